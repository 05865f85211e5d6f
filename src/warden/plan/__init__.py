"""What the kernel will be asked, as data: steps, plans for containers and jobs, seccomp programs, capability sets."""
