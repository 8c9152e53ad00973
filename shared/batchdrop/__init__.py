"""Batchdrop: drop a file in a bucket; every line of it ends as exactly one row in another bucket."""

__version__ = "0.1.0"
