"""The ports: everything foreign that a step may touch, as small Protocols and value objects.

Each port has one contract suite (`tests/contract/test_*_contract.py`) run against every adapter of it:

    Objects   Cloud Storage | a directory        streams, generation preconditions, copies, lists
    Documents Firestore | SQLite                 compare-and-set on one document, declared queries
    Topics    Pub/Sub | a SQLite queue           publish; the broker pushes, retries, dead-letters
    Provider  a service that runs batches        stage, create, find, look, cancel, stream results, delete
"""

from batchdrop.ports.clock import Clock
from batchdrop.ports.documents import Collection, Document, Documents, IndexValue, Json, Query
from batchdrop.ports.objects import ObjectInfo, ObjectPage, Objects, ObjectWriter
from batchdrop.ports.provider import (
    JSONL,
    Batch,
    BatchKind,
    BatchPage,
    BatchState,
    Cache,
    CachePage,
    FilePage,
    ModelInfo,
    Provider,
    ProviderFile,
)
from batchdrop.ports.topics import DeadLetter, Topic, Topics

__all__ = [
    "JSONL",
    "Batch",
    "BatchKind",
    "BatchPage",
    "BatchState",
    "Cache",
    "CachePage",
    "Clock",
    "Collection",
    "DeadLetter",
    "Document",
    "Documents",
    "FilePage",
    "IndexValue",
    "Json",
    "ModelInfo",
    "ObjectInfo",
    "ObjectPage",
    "ObjectWriter",
    "Objects",
    "Provider",
    "ProviderFile",
    "Query",
    "Topic",
    "Topics",
]
