"""People's doors: parse arguments, print, exit codes."""
