"""Where adapters are chosen: a folder and SQLite when `local_dir` is set, Google Cloud otherwise.

Only the entry points of the functions, the command line and the local runner call this. Adapters open their
connections when first used, so building a context does no I/O beyond opening local files.
"""

from __future__ import annotations

import os
from typing import TypeVar

from batchdrop.core.clock import SystemClock, TimeLeft
from batchdrop.core.settings import CommonSettings
from batchdrop.ports import Documents, Objects, Topics
from batchdrop.providers.gemini.api import GeminiProvider, key_reader
from batchdrop.steps.context import Context
from batchdrop.store import Store

S = TypeVar("S", bound=CommonSettings)


def build(settings: S) -> Context[S]:
    """Return the context of a stack's use cases."""
    objects, records, topics = _ports(settings)
    clock = SystemClock()
    return Context(
        settings=settings,
        objects=objects,
        store=Store(records, clock.pause, settings.record_days),
        topics=topics,
        provider=GeminiProvider(key_reader(settings.gemini_api_key_file, os.environ), settings.gemini_base_url),
        clock=clock,
        time_left=TimeLeft.start(clock, settings.call_seconds),
    )


def _ports(settings: CommonSettings) -> tuple[Objects, Documents, Topics]:
    if settings.local_dir is not None:
        from batchdrop.adapters.local.directory import DirectoryObjects
        from batchdrop.adapters.local.sqlite_documents import SqliteDocuments
        from batchdrop.adapters.local.sqlite_topics import SqliteTopics

        state = settings.local_dir / "state"
        state.mkdir(parents=True, exist_ok=True)
        return (
            DirectoryObjects(settings.local_dir / "buckets"),
            SqliteDocuments(state / "records.sqlite"),
            SqliteTopics(state / "topics.sqlite"),
        )
    from batchdrop.adapters.cloud.firestore import FirestoreDocuments
    from batchdrop.adapters.cloud.gcs import GcsObjects
    from batchdrop.adapters.cloud.pubsub import PubSubTopics

    return (
        GcsObjects(settings.project),
        FirestoreDocuments(settings.project, settings.database),
        PubSubTopics(settings.project, settings.topic_prefix),
    )
