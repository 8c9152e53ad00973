"""Function `submit`: its entry point, where the functions framework looks for it."""

from batchdrop.functions.submit import submit

__all__ = ["submit"]
