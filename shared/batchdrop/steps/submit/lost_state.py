"""What submitting must not forget where documents were lost or restored: a batch may run unknown to them."""

from __future__ import annotations

from datetime import datetime

from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state.shard import Shard
from batchdrop.steps.context import Context
from batchdrop.steps.progress import job_of
from batchdrop.steps.stack import recovered_at

Submitting = Context[SubmitSettings]


def may_have_run_before(context: Submitting, shard: Shard) -> bool:
    """True for a shard whose batch was not looked for since documents were lost that may have named it.

    However often it was tried before: what a restored document says of that is older than what was done.
    """
    recovered = recovered_at(context)
    if recovered is None or shard.sought_since(recovered):
        return False
    return job_of(context, shard).value.source.uploaded_at < recovered


def only_collected(context: Submitting, shard: Shard) -> bool:
    """True for a shard of which a batch that runs is adopted, and nothing is made: no file, no cache, no batch."""
    return not context.settings.documents_last and may_have_run_before(context, shard)


def last_intent(context: Submitting, shard: Shard) -> datetime:
    """Return when a create call of this shard was last intended, as far as its document can know.

    One that was restored may have forgotten a later intent, up to the moment of the recovery.
    """
    recovered = recovered_at(context)
    known = shard.intent.at if shard.intent else shard.updated_at
    return known if recovered is None else max(known, recovered)
