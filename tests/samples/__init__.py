"""Files as users have them, written deterministically."""
