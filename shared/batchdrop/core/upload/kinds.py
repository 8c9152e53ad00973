"""What an object of the input bucket is, told from its name: an upload, a recipe, data that is none, or none of these.

    .jsonl .ndjson .csv .tsv .parquet, each also .gz    an upload
    .json, also .gz                                     an upload if its content is one; it is looked at
    .xlsx, .zip, .csv.zip, .parquet.snappy …            data that cannot be taken: refused, visibly
    .txt                                                refused beside a recipe, else passed over
    pictures, documents, sound, video, all else         passed over: requests may name them
    dot-files, folders, parts of composite uploads      passed over

Names below gcloud/tmp/ and gsutil/tmp/ are components of parallel composite uploads: run as uploads they would be paid
twice (cloud.google.com/storage/docs/parallel-composite-uploads).
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from batchdrop.core.codes import Code
from batchdrop.core.recipe.recipe import RECIPE_NAME
from batchdrop.core.value import Failure

UPLOAD_SUFFIXES: Final = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
TEMPORARY: Final = ("gcloud/tmp/", "gsutil/tmp/")
_UPWARDS: Final = (".", "..")
_JSON: Final = ".json"
_TEXT: Final = ".txt"
_SHEETS: Final = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers")
_ARCHIVES: Final = (".zip", ".7z", ".rar", ".tar", ".tgz", ".tar.gz")
_TABLES: Final = (".avro", ".orc", ".feather", ".arrow")
_PACKED: Final = re.compile(
    r"\.(jsonl|ndjson|json|csv|tsv)\.(zip|bz2|xz|zst|lz4|br|snappy|sz|7z|txt)$|\.parquet\.\w+$"
)


class Form(StrEnum):
    """What to do with an object."""

    UPLOAD = "upload"
    JSON = "json"
    RECIPE = "recipe"
    DATA = "data"
    TEXT = "text"
    HIDDEN = "hidden"
    COMPONENT = "component"
    OTHER = "other"


ANSWERED: Final = frozenset({Form.UPLOAD, Form.JSON, Form.DATA})
"""What gets a job or a refusal, whatever else is there."""


def form_of(name: str) -> Form:
    """Tell what an object is from its name."""
    if any(f"/{prefix}" in f"/{name}" for prefix in TEMPORARY):
        return Form.COMPONENT
    if name.rpartition("/")[2] == RECIPE_NAME:
        return Form.RECIPE
    if any(
        part.startswith(".") and part not in _UPWARDS for part in name.split("/")
    ) or name.endswith("/"):
        return Form.HIDDEN
    lower = name.lower()
    plain = lower.removesuffix(".gz")
    if plain.endswith(UPLOAD_SUFFIXES):
        return Form.UPLOAD
    if plain.endswith(_JSON):
        return Form.JSON
    if refused_name(lower) is not None:
        return Form.DATA
    return Form.TEXT if plain.endswith(_TEXT) else Form.OTHER


def is_upload(name: str) -> bool:
    """True when an object of this name is a request to run it, whatever it holds."""
    return form_of(name) is Form.UPLOAD


def refused_name(name: str) -> Failure | None:
    """Say why a file that looks like data cannot be taken, and what to do instead."""
    name = name.lower()
    if _PACKED.search(name):
        return Failure.coded(Code.PACKED)
    if name.endswith(_SHEETS):
        return Failure.coded(Code.SPREADSHEET)
    if name.endswith(_ARCHIVES):
        return Failure.coded(Code.ARCHIVE)
    return Failure.coded(Code.UNKNOWN_TABLE) if name.endswith(_TABLES) else None


NO_REQUESTS: Final = Failure.coded(Code.NO_REQUESTS)
API_BODY: Final = Failure.coded(
    Code.NO_REQUESTS,
    'The file is the body of an API call, {"requests": […]}, not the requests.',
    fix="Upload the array of requests alone, or one request a line.",
)


TEXT_FILE: Final = Failure.coded(Code.TEXT_FILE)
