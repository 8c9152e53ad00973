"""Who takes a document's next step: the one place that knows which function does what.

    job     RECEIVED PLANNING HELD, RUNNING without its shards or told to stop     submit
            RUNNING, FINALIZING, an end that is not announced or tidied            write
    shard   QUEUED STAGING STAGED CREATING                                         submit
            SUBMITTED                                                              poll, which looks without a wake
            ENDED WRITING SETTLING                                                 write
            WRITTEN SPLIT CANCELLED                                                write: is the job complete now?

A wake says no more than "look at this document": it may be late, lost or sent twice.
"""

from __future__ import annotations

import json
from typing import Final

from batchdrop.core.settings import CommonSettings
from batchdrop.core.state.job import Job, JobState
from batchdrop.core.state.shard import Shard
from batchdrop.ports import ObjectInfo, Topic
from batchdrop.steps.context import Context

_PLANNING: Final = frozenset({JobState.RECEIVED, JobState.PLANNING, JobState.HELD})


def wake(context: Context[CommonSettings], value: Job | Shard) -> None:
    """Wake a document for its next step; a shard that is over wakes its job."""
    if isinstance(value, Job):
        context.wake(topic_of(value), value.job_id)
    elif value.state.terminal:
        wake_if_complete(context, value.job_id)
    else:
        context.wake(topic_of(value), value.job_id, value.shard_id)


def wake_planning(context: Context[CommonSettings], job_id: str) -> None:
    """Wake a job by its id that was just made, or that waits."""
    context.wake(Topic.SHARDS, job_id)


def wake_if_complete(context: Context[CommonSettings], job_id: str) -> None:
    """Let it be seen whether all shards of a job are over, or its end is still to be announced."""
    context.wake(Topic.BATCHES_FINISHED, job_id)


def wake_waiting(context: Context[CommonSettings], job: Job) -> None:
    """Wake those who wait for an ended job; who took over from it has inherited them, and wakes them itself."""
    if not job.plan.identity:
        return
    claim = context.store.identities.get(job.plan.identity)
    if claim is not None and claim.job_id == job.job_id:
        for job_id in claim.waiting:
            wake_planning(context, job_id)


def announce(context: Context[CommonSettings], upload: ObjectInfo, why: str) -> None:
    """Say that there is an upload, as Cloud Storage does by itself; the data says who does it instead."""
    attributes = {
        "eventType": "OBJECT_FINALIZE",
        "bucketId": upload.bucket,
        "objectId": upload.name,
        "objectGeneration": str(upload.generation),
    }
    data = json.dumps({why: True}).encode()
    context.topics.publish(Topic.UPLOADS, data, attributes)


def topic_of(value: Job | Shard) -> Topic:
    """Return the topic of who takes a document's next step."""
    submits = value.state.unsent if isinstance(value, Shard) else _is_planned(value)
    return Topic.SHARDS if submits else Topic.BATCHES_FINISHED


def _is_planned(job: Job) -> bool:
    """True until all of a job's shards are in the queue, and when it was told to stop."""
    if job.state is JobState.RUNNING:
        return not job.spawned or job.wanted != ""
    return job.state in _PLANNING
