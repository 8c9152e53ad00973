"""Planning: an upload becomes a job, its lines become ranges and shards, gates are passed."""
