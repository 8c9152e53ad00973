"""No prompt, answer, key value, file name, header or secret in any log line: one secret word through every failure."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from batchdrop.ports import ObjectInfo
from batchdrop_local.emulators.gemini import CallFault, Faults, GeminiEmulator, RowFaults
from tests.harness import Row, Stack, assert_accounted, jsonl, request

SECRET = "the-secret-word"


def entry(mark: str = "", **config: object) -> Row:
    return {"key": f"{SECRET}-{mark}", "request": request(f"{SECRET} {mark}", **config)}


def cancel(stack: Stack, info: ObjectInfo) -> None:
    stack.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)))
    stack.want(info, "cancel")


@dataclass(frozen=True)
class Path:
    """One way to fail."""

    name: str
    data: bytes = jsonl([entry(), entry("2")])
    faults: Faults = Faults()  # noqa: RUF009
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    act: Callable[[Stack, ObjectInfo], None] | None = None
    object: str = "a.jsonl"


def calls(*faults: CallFault) -> Faults:
    return Faults(calls=faults)


PATHS = [
    Path(
        "rejected lines",
        jsonl([{SECRET: 1}, [SECRET], {"key": SECRET, "request": {SECRET: 2}}, entry()]) + b"{" + SECRET.encode(),
    ),
    Path("not JSONL", SECRET.encode() * 100),
    Path("broken gzip", gzip.compress(jsonl([entry()]) * 100)[:-9], object="a.jsonl.gz"),
    Path(
        "rows that fail",
        jsonl(
            entry(mark)
            for mark in (
                "[[emulate:error=13]]",
                "[[emulate:error=3]]",
                "[[emulate:block]]",
                "[[emulate:filter]]",
                "[[emulate:empty]]",
                "[[emulate:missing]]",
                "[[emulate:truncate]]",
                "[[emulate:poison]]",
            )
        ),
    ),
    Path("strange results", faults=Faults(rows=RowFaults(shuffle=True, duplicate_rate=0.5))),
    Path("a batch that failed", faults=Faults(end_state="FAILED", fail_message="Bad line.")),
    Path("a batch that expired", faults=Faults(end_state="EXPIRED")),
    Path("a state nobody knows", faults=Faults(hold_state="DREAMING"), metadata={"deadline": "1h"}),
    Path("refused for quota", faults=calls(CallFault("create", status=429, times=3))),
    Path("refused for good", faults=calls(CallFault("create", status=400))),
    Path("create lost", faults=calls(CallFault("create", lose=True, times=1))),
    Path("upload broken", faults=calls(CallFault("upload", drop=True, times=2))),
    Path("download cut", faults=calls(CallFault("download", cut_after_bytes=20, times=3))),
    Path("results gone", faults=calls(CallFault("download", status=404))),
    Path("server errors", faults=calls(CallFault("*", status=503, times=6))),
    Path("key refused", faults=calls(CallFault("*", status=403, times=3))),
    Path("finished at once", faults=Faults(hold_state="RUNNING"), metadata={"deadline": "1h", "finish": "standard"}),
    Path("cancelled", faults=Faults(running_seconds=7200), act=cancel),
    Path("an unknown model", metadata={"model": SECRET}),
    Path(
        "labels and strange metadata",
        metadata={"label-x": SECRET, "deadline": SECRET, "priority": SECRET, "finish": SECRET},
    ),
    Path("a secret name", object=f"{SECRET}/{SECRET}.jsonl"),
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_no_content_key_or_secret_reaches_the_log(
    path: Path, stack: Stack, gemini: GeminiEmulator, log: io.StringIO
) -> None:
    gemini.faults = path.faults
    info = stack.upload(path.object, path.data, path.metadata)
    if path.act is not None:
        path.act(stack, info)
    job = stack.run(info, rounds=5000)
    assert_accounted(stack, job)
    text = log.getvalue()
    assert job.job_id in text
    assert SECRET not in text
    assert "a key" not in text
    for line in text.splitlines():
        assert json.loads(line)["severity"] in {"INFO", "WARNING", "ERROR"}
