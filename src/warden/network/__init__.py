"""Addresses and links of containers: pools and netlink messages as pure data, which wshd sends."""
