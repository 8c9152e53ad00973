"""Batchdrop: drop a file in a bucket; every line of it comes back as exactly one row in another bucket."""

__version__ = "0.2.0"
