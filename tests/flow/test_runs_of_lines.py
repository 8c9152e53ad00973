"""Lines taken many at a time are planned as they are one by one: the same ranges, shards, rejections and counts."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from batchdrop.core.state.job import Job
from batchdrop.core.upload.cut import RangePlan, ShardPlan, decode_plan
from batchdrop.dialects.dialect import Dialect
from batchdrop.dialects.known.spoken import SPOKEN
from batchdrop_local.emulators.gemini import GeminiEmulator
from tests.harness import Stack, make_stack, request

pytestmark = pytest.mark.embedded_only
ONE_BY_ONE = cast("Dialect", SimpleNamespace(**vars(SPOKEN["gemini"]) | {"runs": None}))
SYSTEM = {"systemInstruction": {"parts": [{"text": "You sort tickets by their words. " * 400}]}}
CONFIG = {"generationConfig": {"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"}}}


def plans(stack: Stack, job: Job) -> list[RangePlan | ShardPlan]:
    """Return the plan; the names of work objects have the job's id in them."""
    found: list[RangePlan | ShardPlan] = []
    for name in job.plan.parts:
        found += decode_plan(b"".join(stack.objects.read("work", name)))
    return [replace_rejections(plan) for plan in found]


def replace_rejections(plan: RangePlan | ShardPlan) -> RangePlan | ShardPlan:
    if isinstance(plan, ShardPlan):
        return plan
    kept = {name: getattr(plan, name) for name in ("index", "first_line", "last_line", "start", "end", "requests")}
    return RangePlan(**kept, rejected=plan.rejected, rejections="some" if plan.rejections else "")


def mixed(seed: int, odd: float, end: bytes = b"\n") -> bytes:
    dice = random.Random(seed)
    first = json.dumps({"key": "first", "request": request("one") | SYSTEM}, separators=(",", ":")).encode()
    return end.join((first, *(line(dice, number, odd) for number in range(700))))


def line(dice: random.Random, number: int, odd: float) -> bytes:
    if dice.random() < odd:
        return dice.choice(ODD)
    key: Any = dice.choice([f"k{number}", number, "twice", None, "ä"])
    asked: dict[str, Any] = request('é\n\t"\\' * dice.randint(0, 9) + "x" * dice.randint(0, 300))
    asked |= dice.choice([{}, SYSTEM, SYSTEM, CONFIG, SYSTEM | CONFIG])
    entry = {"request": asked} if key is None else {"key": key, "request": asked}
    separators = dice.choice([(",", ":"), (", ", ": ")])
    return json.dumps(entry, ensure_ascii=dice.random() < 0.1, separators=separators).encode()


ODD = [
    b"",
    b"  ",
    b"{",
    b'{"key":1,"key":2,"request":{"contents":[{"parts":[{"text":"a"}]}]}}',
    b'{"key":1,"request":{"contents":[{"parts":[{"text":"a"}]}],"tools":[]}}',
    b'{"key":1,"request":{"contents":[{"parts":[{"text":"\xff"}]}]}}',
    b'{"key":1,"request":{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"aGk="}}]}]}}',
    b'{"key":1,"request":{"content":{"parts":[{"text":"a"}]}}}',
    b'{"key":1,"request":{"contents":[{"parts":[{"fileData":{"fileUri":"gs://other/a","mimeType":"a/b"}}]}]}}',
    b'{"key":"long","request":{"contents":[{"parts":[{"text":"' + b"y" * 5000 + b'"}]}]}}',
]


@pytest.mark.parametrize("odd", [0, 0.005, 0.1, 1])
@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"range_lines": 37, "shard_requests": 100},
        {"range_bytes": 7000, "shard_bytes": 50_000},
        {"shard_tokens": 9000, "max_line_bytes": 13_500},
    ],
    ids=["wide", "lines", "bytes", "tokens"],
)
def test_lines_are_planned_in_runs_as_they_are_one_by_one(
    tmp_path: Path, gemini: GeminiEmulator, limits: dict[str, int], odd: float
) -> None:
    plain = [make_stack(tmp_path / name, gemini, **limits) for name in ("runs", "lines")]
    stacks = [plain[0], replace(plain[1], languages={**SPOKEN, "gemini": ONE_BY_ONE})]
    data = mixed(int(odd * 1000), odd, b"\r\n" if odd == 0.1 else b"\n")
    jobs = [stack.run(stack.upload("a.jsonl", data), until=lambda job: bool(job.plan.identity)) for stack in stacks]
    many, single = (plans(stack, job) for stack, job in zip(stacks, jobs, strict=True))
    assert many == single
    assert jobs[0].plan.counts == jobs[1].plan.counts
    assert jobs[0].plan.agreeing == jobs[1].plan.agreeing
    assert jobs[0].plan.requests > 0
    assert jobs[0].plan.agreeing is not None or odd == 1  # the beginnings are watched
