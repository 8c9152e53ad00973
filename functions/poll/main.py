"""Function `poll`: its entry point, where the functions framework looks for it."""

from batchdrop.functions.poll import poll

__all__ = ["poll"]
