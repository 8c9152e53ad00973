"""Records out of tables: CSV, TSV, Parquet and JSON lines, each entry in constant memory.

A reader yields every record exactly once, in order, as a `Record` of fields or as `Unreadable` with what is wrong with
it; so accepted and rejected together are all the records of the file. What spoils the whole file (no header, no
Parquet at all) is a PermanentError. Given a `Place`, a reader goes on there and moves it along.
"""

from batchdrop.core.upload.tables.csv import read_header, read_separated
from batchdrop.core.upload.tables.entry import Blank, Entry, Place, Record, Unreadable
from batchdrop.core.upload.tables.jsonl import read_jsonl
from batchdrop.core.upload.tables.parquet import (
    parquet_kinds,
    parquet_types,
    read_parquet,
)

__all__ = [
    "Blank",
    "Entry",
    "Place",
    "Record",
    "Unreadable",
    "parquet_kinds",
    "parquet_types",
    "read_header",
    "read_jsonl",
    "read_parquet",
    "read_separated",
]
