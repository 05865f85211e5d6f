"""The kernel's interfaces by their manual-page names: system calls, /proc parsers, feature probes. No policy."""
