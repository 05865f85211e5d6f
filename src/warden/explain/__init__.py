"""The kernel's view of one process or container, read and put into sentences: changes nothing."""
