"""Where the root file system of one of LXC's containers is kept: a module for each kind, `kinds` for the table of them."""
