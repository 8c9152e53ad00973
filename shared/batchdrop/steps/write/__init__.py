"""Writing: the results of a shard become rows."""
