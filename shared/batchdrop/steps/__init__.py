"""The use cases: what the three functions do, over the ports only.

intake      an upload becomes a job             planning    a job becomes ranges and shards
dispatching queued shards get capacity          submission  a shard becomes a batch, at most once
polling     batches are looked at               writing     a batch's results become rows
finalizing  rows become the output              sweeping    what was lost is found
"""
