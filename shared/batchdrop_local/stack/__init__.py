"""The topology of the cloud on one machine, embedded or on the emulators of Google."""
