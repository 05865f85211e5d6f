"""The library for the daemon's clients, blocking and asyncio, with the same names and meaning."""
