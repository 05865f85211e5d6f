"""Fixtures that several modules here share; a module with one of its own by that name has its own."""

from firewall_scene import closed, container, place

__all__ = ["closed", "container", "place"]
