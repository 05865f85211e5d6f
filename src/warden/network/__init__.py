"""Addresses, links and names of containers: pools and netlink messages as pure data; wshd sends them (docs/plan-format.md)."""
