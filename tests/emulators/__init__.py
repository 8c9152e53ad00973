"""What the emulators answer to unmodified clients."""
