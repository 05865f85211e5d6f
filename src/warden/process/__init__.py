"""Starting wshd with a plan, talking to it, moving the output of jobs. Knows bytes and descriptors, not containers."""
