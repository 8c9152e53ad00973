"""The ports: everything foreign that a step may touch, as small Protocols over values of the core.

Each port has one contract suite (`tests/contract/test_*_contract.py`) run against every adapter of it:

    Objects   Cloud Storage | a directory        streams, generation preconditions, copies, lists
    Documents Firestore | SQLite                 compare-and-set on one document, declared queries
    Topics    Pub/Sub | a SQLite queue           publish; the broker pushes, retries, dead-letters
    Provider  a service that runs batches        create, find, look, cancel, stream results, delete
"""

from batchdrop.core.clock import Clock
from batchdrop.core.provider.batch import (
    Batch,
    BatchKind,
    BatchState,
    Cause,
    Failed,
    Mark,
    ModelInfo,
    NamedLine,
)
from batchdrop.core.provider.facts import Facts, Staging, Unit
from batchdrop.core.state.collections import Collection, IndexValue, Query
from batchdrop.ports.documents import Document, Documents, Json
from batchdrop.ports.objects import ObjectInfo, ObjectPage, Objects, ObjectWriter
from batchdrop.ports.optional import (
    Ask,
    Cache,
    CachePage,
    Caches,
    FilePage,
    Files,
    Inputs,
    ProviderFile,
    Staged,
    Tokens,
)
from batchdrop.ports.provider import (
    JSONL,
    Batches,
    BatchPage,
    Busy,
    Created,
    Envelope,
    Found,
    Intent,
    Part,
    Provider,
    Refused,
    Sight,
    Unknown,
)
from batchdrop.ports.topics import DeadLetter, Topic, Topics

__all__ = [
    "JSONL",
    "Ask",
    "Batch",
    "BatchKind",
    "BatchPage",
    "BatchState",
    "Batches",
    "Busy",
    "Cache",
    "CachePage",
    "Caches",
    "Cause",
    "Clock",
    "Collection",
    "Created",
    "DeadLetter",
    "Document",
    "Documents",
    "Envelope",
    "Facts",
    "Failed",
    "FilePage",
    "Files",
    "Found",
    "IndexValue",
    "Inputs",
    "Intent",
    "Json",
    "Mark",
    "ModelInfo",
    "NamedLine",
    "ObjectInfo",
    "ObjectPage",
    "ObjectWriter",
    "Objects",
    "Part",
    "Provider",
    "ProviderFile",
    "Query",
    "Refused",
    "Sight",
    "Staged",
    "Staging",
    "Tokens",
    "Topic",
    "Topics",
    "Unit",
    "Unknown",
]
