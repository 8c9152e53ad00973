"""Submitting: a queued shard becomes one batch at the provider."""
