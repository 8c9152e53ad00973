"""The ports: everything foreign that a step may touch, as small Protocols and value objects.

Each port has one contract suite (`tests/contract/test_*_contract.py`) run against every adapter of it:

    Objects   Cloud Storage | a directory        streams, generation preconditions, copies, lists
    Documents Firestore | SQLite                 compare-and-set on one document, declared queries
    Topics    Pub/Sub | a SQLite queue           publish; the broker pushes, retries, dead-letters
    Provider  a service that runs batches        stage, create, find, look, cancel, stream results, delete
"""

from batchdrop.ports.clock import Clock
from batchdrop.ports.documents import (
    Collection,
    Document,
    Documents,
    IndexValue,
    Json,
    Query,
)
from batchdrop.ports.objects import ObjectInfo, ObjectPage, Objects, ObjectWriter
from batchdrop.ports.optional import (
    Ask,
    BatchKind,
    Cache,
    CachePage,
    Caches,
    FilePage,
    Files,
    ProviderFile,
    Tokens,
)
from batchdrop.ports.provider import (
    JSONL,
    Batch,
    Batches,
    BatchPage,
    BatchState,
    Busy,
    Cause,
    Created,
    Envelope,
    Facts,
    Failed,
    Found,
    Intent,
    ModelInfo,
    Part,
    Profile,
    Provider,
    Refused,
    Sight,
    Staged,
    Staging,
    Unit,
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
    "Intent",
    "Json",
    "ModelInfo",
    "ObjectInfo",
    "ObjectPage",
    "ObjectWriter",
    "Objects",
    "Part",
    "Profile",
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
