"""One directory per container is the truth: its files, its snapshot, its jobs, and the lock of the whole."""
