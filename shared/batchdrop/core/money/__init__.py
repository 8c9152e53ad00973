"""Money: what tokens were used, what they cost by the price source, what is allowed, what was saved.

usage      tokens by class, from the usage metadata of each row
prices     rates and amounts; what is not known is null or flagged, with the reason (P6)
estimate   before: a range for each way to run a job
budget     the month's document: spent and held, by scope
ledger     after: one entry for each shard, and tables over many
"""
