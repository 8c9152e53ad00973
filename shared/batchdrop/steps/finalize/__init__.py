"""Finalizing: rows become the output, the manifest comes last."""
