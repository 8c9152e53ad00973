"""From an object of the input bucket to lines, and from lines to ranges and shards."""
