"""The ports on one machine: a directory and SQLite."""
