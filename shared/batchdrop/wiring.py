"""Where adapters are chosen: a folder and SQLite when `local_dir` is set, Google Cloud otherwise.

Only the entry points of the functions, the command line and the local runner call this. Adapters open their
connections when first used, so building a context does no I/O beyond opening local files.
"""

from __future__ import annotations

import os
from typing import TypeVar

from batchdrop.adapters.gemini import GeminiProvider, key_reader
from batchdrop.core.clock import Budget, SystemClock
from batchdrop.core.settings import CommonSettings
from batchdrop.ports import Objects, Records, Topics
from batchdrop.store import Store
from batchdrop.usecases.context import Context

S = TypeVar("S", bound=CommonSettings)


def build(settings: S) -> Context[S]:
    """Return the context of a stack's use cases."""
    objects, records, topics = _ports(settings)
    clock = SystemClock()
    return Context(
        settings=settings,
        objects=objects,
        store=Store(records, settings.record_days),
        topics=topics,
        provider=GeminiProvider(key_reader(settings.gemini_api_key_file, os.environ), settings.gemini_base_url),
        clock=clock,
        budget=Budget.start(clock, settings.budget_seconds),
    )


def _ports(settings: CommonSettings) -> tuple[Objects, Records, Topics]:
    if settings.local_dir is not None:
        from batchdrop.adapters.directory import DirectoryObjects
        from batchdrop.adapters.sqlite_records import SqliteRecords
        from batchdrop.adapters.sqlite_topics import SqliteTopics

        state = settings.local_dir / "state"
        state.mkdir(parents=True, exist_ok=True)
        return (
            DirectoryObjects(settings.local_dir / "buckets"),
            SqliteRecords(state / "records.sqlite"),
            SqliteTopics(state / "topics.sqlite"),
        )
    from batchdrop.adapters.firestore import FirestoreRecords
    from batchdrop.adapters.gcs import GcsObjects
    from batchdrop.adapters.pubsub import PubSubTopics

    return (
        GcsObjects(settings.project),
        FirestoreRecords(settings.project, settings.database),
        PubSubTopics(settings.project, settings.topic_prefix),
    )
