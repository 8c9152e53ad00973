"""Every limit of Google Cloud that the code relies on, and our own, in one table with its source.

A provider's limits are its facts (`batchdrop.providers`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

_FIRESTORE = "cloud.google.com/firestore/quotas (stored copy, read 2026-11-25)"
_PUBSUB = "cloud.google.com/pubsub/quotas (by google-cloud-python issue 7906 and the reference, read 2026-11-25)"
_STORAGE = (
    "cloud.google.com/storage/quotas and /storage/docs/objects#naming (read 2026-11-25)"
)
_OURS = "ours: chosen for bounded memory and time, see README"

_BOUND = "ours: measured by the hostile corpus, 2026-11-25; each case ends within 2 s and 256 MiB"


@dataclass(frozen=True, slots=True)
class Limit:
    """One number, its unit and where it comes from."""

    value: int
    unit: str
    source: str


LIMITS: Final[dict[str, Limit]] = {
    "input_line": Limit(20 * MIB, "bytes", _OURS),
    "result_row": Limit(
        64 * MIB, "bytes", "the cap @ai-sdk/google puts on a batch row; ours the same"
    ),
    "upload": Limit(64 * GIB, "bytes", _OURS),
    "gzip_ratio": Limit(
        200, "times", "ours: text compresses 3-20 times; a bomb reached 1028 here"
    ),
    "lines": Limit(20_000_000, "lines", _OURS),
    "counted_keys": Limit(1_000_000, "keys", _OURS),
    "recipe": Limit(
        128 * KIB,
        "bytes",
        "ours: PyYAML reads 200 KiB a second, and all of it twice here",
    ),
    "template_steps": Limit(2_000_000, "steps of one rendering", _BOUND),
    "template_made": Limit(64 * MIB, "bytes one rendering makes on the way", _BOUND),
    "parquet_ratio": Limit(
        200, "times", "ours, as gzip's: dictionaries make 30 million long rows of 3 MB"
    ),
    "parquet_footer": Limit(4 * MIB, "bytes", _BOUND),
    "parquet_page": Limit(48 * MIB, "bytes, unpacked", _BOUND),
    "parquet_listed": Limit(
        2_000_000,
        "values of a row's lists, and of a batch's; each counts once a list around it",
        _BOUND,
    ),
    "line_values": Limit(250_000, "values of one line of JSON", _BOUND),
    "schema_values": Limit(20_000, "values", _BOUND),
    "schema_chars": Limit(512 * KIB, "characters", _BOUND),
    "schema_unfolded": Limit(100_000, "schemas, references written out", _BOUND),
    "schema_patterns": Limit(50, "regular expressions of one schema", _BOUND),
    "schema_pattern": Limit(
        128 * KIB, "bytes of one compiled regular expression", _BOUND
    ),
    "schema_steps": Limit(
        2_000_000,
        "pairs of schema and value that jsonschema-rs may look at for one answer",
        _BOUND,
    ),
    "schema_pairs": Limit(
        200_000,
        "different pairs of schema and value that are counted for one answer",
        _BOUND,
    ),
    "answer_values": Limit(
        1_000_000, "values of one JSON answer with a schema", _BOUND
    ),
    "document": Limit(1 * MIB, "bytes, one field 89 less", _FIRESTORE),
    "record": Limit(
        900 * KIB,
        "bytes of `data`",
        "ours: room below `document` for the indexed fields",
    ),
    "record_id": Limit(1500, "bytes; no slash, not . or .., not __.*__", _FIRESTORE),
    "record_list": Limit(
        500, "entries a document holds itself; longer lists are work objects", _OURS
    ),
    "named_lines": Limit(
        200, "lines a document holds that a service objects to", _OURS
    ),
    "named_message": Limit(
        500, "characters kept of a service's sentence about one of them", _OURS
    ),
    "shared_units": Limit(
        10_000, "parts of a first line that a cache is looked for in", _OURS
    ),
    "message": Limit(
        10_000_000, "bytes of data and attributes: one publish request", _PUBSUB
    ),
    "attributes": Limit(100, "attributes of a message", _PUBSUB),
    "attribute_key": Limit(256, "bytes; none begins with `goog`", _PUBSUB),
    "attribute_value": Limit(1024, "bytes", _PUBSUB),
    "object_name": Limit(
        1024, "bytes; no carriage return, no line feed, not . or ..", _STORAGE
    ),
    "object_metadata": Limit(
        8 * KIB, "bytes of custom keys and values of an object", _STORAGE
    ),
    "bucket_name": Limit(63, "characters between dots; 222 in all", _STORAGE),
    "push_deadline": Limit(600, "seconds", "cloud.google.com/pubsub/docs/push"),
    "event_function": Limit(540, "seconds", "cloud.google.com/functions/quotas"),
    "deadline": Limit(14 * 86400, "seconds", _OURS),
    "backup_days": Limit(
        98,
        "days",
        "cloud.google.com/firestore/docs/backups: a backup is kept for 14 weeks at most",
    ),
    "runtime_ends": Limit(
        20291010,
        "day, as yyyymmdd",
        "docs.cloud.google.com/run/docs/runtimes/function-runtimes (stored copies read 2026-11-25): python313 is"
        " deprecated on 2029-10-10 and decommissioned on 2030-04-10",
    ),
}


def limit(name: str) -> int:
    """Return a limit's number."""
    return LIMITS[name].value
