"""How long things of a shard may take, as its provider's facts and the settings say."""

from __future__ import annotations

from datetime import timedelta

from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state.shard import Shard
from batchdrop.steps.context import Context

Submitting = Context[SubmitSettings]


def batch_deadline(context: Submitting, shard: Shard) -> timedelta:
    """Return after how long a batch of this shard is taken for stuck."""
    facts = context.provider_of(shard).facts
    return timedelta(
        seconds=context.settings.batch_deadline_seconds(facts, shard.model)
    )


def create_seconds(context: Submitting, shard: Shard) -> float:
    """Return after how long a create call of this shard is in doubt."""
    facts = context.provider_of(shard).facts
    return context.settings.create_seconds(facts, shard.bytes)
