"""The core: pure rules and value objects. Nothing here imports google.* or performs I/O."""
