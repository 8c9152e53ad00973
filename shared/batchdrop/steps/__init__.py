"""The steps: what the three functions do, over the ports only. A room for each verb, and what the verbs share.

    plan      an upload becomes a job, its lines ranges and shards
    submit    a shard becomes a batch, at most once         ask       a shard's lines are asked one by one
    poll      batches are looked at; what was lost is found
    write     a batch's results become rows                 finalize  rows become the output

The verbs do not know each other, but that `write` asks first what no batch answers: whose turn it is, `next` says by a
message. What several of them need stands here, below them all:

    context                                   what every step works with
    next  progress  stack  work  pieces       whose turn it is; what is kept of a step; who we are; objects in WORK
    attach  cache  costs  dispatch  …         what more than one verb does
"""
