"""LXC's configuration files and command line tools: a door beside `cli`."""
