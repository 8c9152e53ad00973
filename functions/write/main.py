"""Function `write`: its entry point, where the functions framework looks for it."""

from batchdrop.functions.write import write

__all__ = ["write"]
