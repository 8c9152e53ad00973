"""Records out of tables: CSV, TSV, Parquet and JSON lines, each entry in constant memory.

A reader yields every record exactly once, in order, as a `Row` of fields or as `Unreadable` with what is wrong with
it; so accepted and rejected together are all the records of the file. What spoils the whole file (no header, no
Parquet at all) is a PermanentError. Given a `Place`, a reader goes on there and moves it along.
"""

from batchdrop.core.reading.entry import Blank, Entry, Place, Row, Unreadable
from batchdrop.core.reading.jsonl import read_jsonl
from batchdrop.core.reading.parquet import parquet_kinds, parquet_types, read_parquet
from batchdrop.core.reading.separated import read_header, read_separated

__all__ = [
    "Blank",
    "Entry",
    "Place",
    "Row",
    "Unreadable",
    "parquet_kinds",
    "parquet_types",
    "read_header",
    "read_jsonl",
    "read_parquet",
    "read_separated",
]
