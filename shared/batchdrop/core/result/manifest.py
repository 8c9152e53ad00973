"""The manifest, which makes an output complete, and the message that says so.

Schema `batchdrop.manifest/1`; the message's data is `batchdrop.job/1`, its attributes are there to filter on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from batchdrop.core.limits import limit
from batchdrop.core.money.cache_cost import SENTENCES
from batchdrop.core.money.usage import tokens
from batchdrop.core.state.cursors import Counts
from batchdrop.core.state.job import Job
from batchdrop.core.state.job_state import JobState
from batchdrop.core.state.messages import JOB_SCHEMA
from batchdrop.core.state.shard import Shard

_LABEL: Final = "label-"
OWN_ATTRIBUTES: Final = 6
"""Of the message about a job, its labels aside."""


@dataclass(frozen=True, slots=True)
class Part:
    """One output object; `what` is results, errors or rejections."""

    what: str
    name: str
    rows: int
    bytes: int
    crc32c: str
    first_line: int
    last_line: int
    by_outcome: dict[str, int] = field(default_factory=dict[str, int])

    def with_outcomes(self, outcomes: dict[str, int]) -> Part:
        """Return the part with the outcomes of its range."""
        return replace(self, by_outcome=outcomes)

    def to_json(self) -> dict[str, Any]:
        """Return the part as it is kept between two steps."""
        return asdict(self)

    @staticmethod
    def from_json(entry: dict[str, Any]) -> Part:
        """Read a part as `to_json` wrote it."""
        return Part(**entry)


def with_outcomes(parts: Iterable[Part], outcomes: dict[str, int]) -> list[Part]:
    """Hang a range's outcomes on its first part, so that they are counted once."""
    return [
        part.with_outcomes(outcomes if index == 0 else {})
        for index, part in enumerate(parts)
    ]


def counted(planned: Counts, parts: Iterable[Part]) -> Counts:
    """Return what planning counted, with the rows of the output."""
    rows: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    for part in parts:
        rows[part.what] += part.rows
        outcomes.update(part.by_outcome)
    return planned.answered(
        results=rows["results"],
        errors=rows["errors"],
        by_outcome=dict(sorted(outcomes.items())),
    )


def sendable(labels: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the labels that a message can carry beside its own attributes, and the names of those it cannot."""
    room = limit("attributes") - OWN_ATTRIBUTES
    kept: dict[str, str] = {}
    left: list[str] = []
    for name, value in labels.items():
        long = len(f"{_LABEL}{name}".encode()) > limit("attribute_key") or len(
            value.encode()
        ) > limit("attribute_value")
        if long or len(kept) >= room:
            left.append(name)
        else:
            kept[name] = value
    return kept, left


def manifest(
    job: Job, shards: Iterable[Shard], parts: Iterable[Part]
) -> dict[str, Any]:
    """Return the manifest of an ended job."""
    members = sorted(shards, key=lambda shard: shard.shard_id)
    source = job.source
    return {
        "schema": "batchdrop.manifest/1",
        "job_id": job.job_id,
        "state": job.state.value,
        "verdict": job.verdict,
        "error": None if job.failure is None else job.failure.model_dump(mode="json"),
        "source": {
            "bucket": source.bucket,
            "object": source.object,
            "generation": source.generation,
            "crc32c": source.crc32c,
            "bytes": source.bytes,
        },
        "dialect": job.dialect,
        "model": job.model,
        "team": job.team,
        "labels": job.labels,
        "recipe": job.recipe_name or None,
        "recipe_digest": job.recipe_digest,
        "output": job.output.model_dump(mode="json"),
        "counts": job.counts.model_dump(mode="json"),
        "tokens": {"estimated_input": job.plan.tokens, **job.tokens},
        "estimate": job.estimate,
        "cost": job.cost
        or {"amount": "0", "currency": "USD", "reason": "NOTHING_SENT"},
        "cache": _cache(job),
        "timings": _timings(job, members),
        "rounds": 1 + max((shard.round for shard in members), default=0),
        "batches": [entry for shard in members for entry in _batches(shard)],
        "parts": [_part(part) for part in parts],
        "files": _files(members),
        "warnings": list(job.warnings),
        "duplicate_of": _duplicate_of(job),
    }


def done_message(job: Job) -> tuple[bytes, dict[str, str]]:
    """Return the data and the attributes of the message about an ended (or held) job."""
    data = {
        "schema": JOB_SCHEMA,
        "job_id": job.job_id,
        "state": job.state.value,
        "verdict": job.verdict,
        "bucket": job.source.bucket,
        "object": job.source.object,
        "manifest": job.manifest,
        "counts": job.counts.model_dump(mode="json"),
        "cost": job.cost,
        "duplicate_of": _duplicate_of(job),
        "held_until": job.held_until.isoformat()
        if job.state is JobState.HELD and job.held_until
        else None,
        "error": None if job.failure is None else job.failure.model_dump(mode="json"),
    }
    attributes = {
        "state": job.state.value,
        "verdict": job.verdict or "",
        "bucket": job.source.bucket,
        "object": job.source.object,
        "job_id": job.job_id,
        "team": job.team,
        **{f"{_LABEL}{name}": value for name, value in sendable(job.labels)[0].items()},
    }
    return json.dumps(data, ensure_ascii=False).encode(), attributes


def _duplicate_of(job: Job) -> dict[str, Any] | None:
    """The job whose rows answer a duplicate, and where its manifest is."""
    return (
        {"job_id": job.duplicate_of, "manifest": job.duplicate_manifest}
        if job.duplicate_of
        else None
    )


def _part(part: Part) -> dict[str, Any]:
    entry = part.to_json()
    del entry["what"], entry["by_outcome"]
    return entry


def _batches(shard: Shard) -> list[dict[str, Any]]:
    """Return a shard's batches as a manifest lists them: refused ones first, then its own, then duplicates."""
    refused = [
        {"name": name, "state": "REFUSED", "duplicate_of": None} for name in shard.past
    ]
    if not shard.batch.name:
        return refused
    own = {
        "name": shard.batch.name,
        "state": shard.batch.raw_state,
        "duplicate_of": None,
    }
    return [
        *refused,
        own,
        *(
            {"name": name, "state": "CANCELLED", "duplicate_of": shard.batch.name}
            for name in shard.batch.duplicates
        ),
    ]


def _cache(job: Job) -> dict[str, Any]:
    """Whether a context cache was used and why, and what share of the input came from a cache, ours or implicit."""
    served, whole = tokens(job.tokens, "cached"), tokens(job.tokens, "input", "cached")
    found: dict[str, Any] = {
        "mode": job.cache,
        "used": bool(job.caching and job.caching.uses),
    }
    if job.caching is not None:
        found |= job.caching.model_dump(
            mode="json",
            include={"reason", "requests", "tokens", "hours", "spared", "cost"},
        )
        found["sentence"] = SENTENCES.get(job.caching.reason, "")
    return found | {"served_share": round(served / whole, 6) if whole else 0.0}


def _files(shards: list[Shard]) -> dict[str, int]:
    """How many binary answers stand in `files/`, and their bytes."""
    segments = [segment for shard in shards for segment in shard.segments]
    return {
        "count": sum(segment.files for segment in segments),
        "bytes": sum(segment.file_bytes for segment in segments),
    }


def _timings(job: Job, shards: list[Shard]) -> dict[str, Any]:
    """Times of the job's phases; `seconds` are between them, where both are known."""
    submitted = [shard.submitted_at for shard in shards if shard.submitted_at]
    written = [shard.written_at for shard in shards if shard.written_at]
    moments: dict[str, datetime | None] = {
        "uploaded": job.source.uploaded_at,
        "received": job.created_at,
        "planned": job.planned_at,
        "first_submitted": min(submitted, default=None),
        "last_submitted": max(submitted, default=None),
        "last_written": max(written, default=None),
        "ended": job.ended_at,
    }
    known = [(name, moment) for name, moment in moments.items() if moment is not None]
    seconds = {
        f"{first}_to_{second}": round((later - earlier).total_seconds(), 3)
        for (first, earlier), (second, later) in pairwise(known)
    }
    return {**{name: moment.isoformat() for name, moment in known}, "seconds": seconds}
