"""A Cloud Storage server for unmodified clients."""
