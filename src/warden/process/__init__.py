"""Starting wshd with a plan, talking to it, and moving the output of jobs. Knows bytes and descriptors, not containers."""
