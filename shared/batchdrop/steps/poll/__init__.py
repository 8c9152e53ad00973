"""Polling: the tick, and the sweeps that find what was lost."""
