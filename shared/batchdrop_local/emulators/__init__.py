"""Emulators: the services a stack needs, for unmodified clients, on loopback."""
