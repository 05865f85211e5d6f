"""Fakes that tests, ours and users', may use in place of a kernel or an engine."""
