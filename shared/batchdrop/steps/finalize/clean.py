"""Cleaning: what an ended job no longer needs is deleted, at the provider first, then in WORK.

A step that crashes in the middle does it all again: deleting what is gone is no error.
"""

from __future__ import annotations

from batchdrop.core.settings import WriteSettings
from batchdrop.core.state.job import Job
from batchdrop.core.state.shard import Shard
from batchdrop.steps.attach import detach
from batchdrop.steps.context import Context

Writing = Context[WriteSettings]


def clean(context: Writing, job: Job) -> None:
    """Delete what an ended job no longer needs: caches, provider files, batches and work objects."""
    _delete_caches(context, job)
    for stored in context.store.shards_of(job.job_id):
        detach(context, stored.value)
        _delete_batches(context, stored.value)
    _delete_work(context, job)


def _delete_caches(context: Writing, job: Job) -> None:
    """Delete the caches that the job had at its provider."""
    caches = context.provider_of(job).caches
    if caches is None or job.caching is None:
        return

    for use in job.caching.uses:
        caches.delete_cache(use.name)


def _delete_batches(context: Writing, shard: Shard) -> None:
    """Delete a shard's file and its batches at the provider."""
    provider = context.provider_of(shard)
    if shard.file and provider.inputs is not None:
        provider.inputs.delete_file(shard.file)

    for batch in filter(None, (shard.batch.name, *shard.past)):
        provider.batches.delete(batch)


def _delete_work(context: Writing, job: Job) -> None:
    """Delete all objects below the job's folder in WORK; each page is the first one of what is left."""
    bucket = context.settings.work_bucket
    while True:
        page = context.objects.list(bucket, prefix=f"{job.job_id}/")
        for info in page.objects:
            context.objects.delete(bucket, info.name, generation=info.generation)
        if page.next_token is None:
            return
