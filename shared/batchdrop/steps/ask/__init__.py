"""Asking: lines answered by synchronous calls."""
