"""Tables out of rows: CSV for a spreadsheet, Parquet for a database, both streamed.

    plan_columns    the columns, fixed by the recipe before the first row
    write_csv       rows -> bytes; no cell can be run as a formula
    write_parquet   rows -> bytes; row groups of bounded size
    kept_types      the types of a Parquet input, kept for the output and restored there

The JSONL rows stay the complete record: a table has no place for what the plan does not foresee.
"""

from batchdrop.core.result.tables.columns import (
    Column,
    Joined,
    Kind,
    plan_columns,
    renamed_fields,
)
from batchdrop.core.result.tables.csv import write_csv
from batchdrop.core.result.tables.parquet import write_parquet
from batchdrop.core.result.tables.types import kept_types, restored

__all__ = [
    "Column",
    "Joined",
    "Kind",
    "kept_types",
    "plan_columns",
    "renamed_fields",
    "restored",
    "write_csv",
    "write_parquet",
]
