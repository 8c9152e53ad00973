"""Cutting: ranges are fixed runs of lines, shards are runs of whole ranges, and nothing is in two of them."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from batchdrop.core.upload.cut import CutLimits, Cutter, RangePlan, ShardPlan, chained, decode_plan, encode_plan
from batchdrop.dialects.gemini.check import examine
from batchdrop.dialects.gemini.render import bodies_of, body_bytes, body_of
from batchdrop.dialects.gemini.request import identify, identify_all
from batchdrop.dialects.line import Accepted

Line = tuple[int, int, bool]


def cut(lines: list[Line], limits: CutLimits) -> list[RangePlan | ShardPlan]:
    """Drive a cutter as the planner does."""
    cutter = Cutter(limits, ranges=0, shards=0, line=1, offset=0)
    plans: list[RangePlan | ShardPlan] = []
    offset = 0
    for number, (size, tokens, accepted) in enumerate(lines, 1):
        if cutter.range_full(number, offset):
            plans.append(cutter.close_range(number, offset, ""))
        if not accepted:
            cutter.reject()
        else:
            if cutter.shard_full(size, tokens):
                if number > cutter.first_line:
                    plans.append(cutter.close_range(number, offset, ""))
                plans += filter(None, [cutter.close_shard()])
            cutter.add(size, tokens)
        offset += size
    if len(lines) + 1 > cutter.first_line:
        plans.append(cutter.close_range(len(lines) + 1, offset, ""))
    plans += filter(None, [cutter.close_shard()])
    return plans


lines_ = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 30), st.booleans()), max_size=80)
limits_ = st.builds(
    CutLimits,
    range_lines=st.integers(1, 20),
    range_bytes=st.integers(1, 300),
    shard_requests=st.integers(1, 20),
    shard_bytes=st.integers(50, 400),
    shard_tokens=st.integers(30, 200),
)


@given(lines_, limits_)
def test_every_line_is_in_one_range_and_every_request_in_one_shard(lines: list[Line], limits: CutLimits) -> None:
    plans = cut(lines, limits)
    ranges = [plan for plan in plans if isinstance(plan, RangePlan)]
    shards = [plan for plan in plans if isinstance(plan, ShardPlan)]
    assert [plan.index for plan in ranges] == list(range(len(ranges)))
    assert [plan.index for plan in shards] == list(range(len(shards)))
    ends = [0, *(plan.last_line for plan in ranges)]
    assert [plan.first_line for plan in ranges] == [end + 1 for end in ends[:-1]]
    assert ends[-1] == len(lines)
    assert [plan.start for plan in ranges] == [0, *(plan.end for plan in ranges)][: len(ranges)]
    assert sum(plan.requests for plan in ranges) == sum(accepted for _, _, accepted in lines)
    assert sum(plan.requests for plan in shards) == sum(plan.requests for plan in ranges)
    covered = [index for plan in shards for index in range(plan.first_range, plan.last_range + 1)]
    assert len(covered) == len(set(covered))
    with_requests = {plan.index for plan in ranges if plan.requests}
    assert with_requests <= set(covered)
    for plan in shards:
        inside = ranges[plan.first_range : plan.last_range + 1]
        assert plan.requests == sum(found.requests for found in inside)


@given(lines_, limits_)
def test_no_shard_is_over_a_limit_unless_one_request_is(lines: list[Line], limits: CutLimits) -> None:
    for plan in cut(lines, limits):
        if isinstance(plan, ShardPlan) and plan.requests > 1:
            assert plan.requests <= limits.shard_requests
            assert plan.bytes <= limits.shard_bytes
            assert plan.tokens <= limits.shard_tokens


@given(lines_, limits_)
def test_the_same_lines_are_cut_the_same_way(lines: list[Line], limits: CutLimits) -> None:
    assert cut(lines, limits) == cut(lines, limits)


def test_a_plan_part_is_read_back() -> None:
    plans = cut([(10, 1, True), (10, 1, False)] * 5, CutLimits(3, 1000, 2, 1000, 1000, 1000))
    assert decode_plan(encode_plan(plans)) == plans
    assert chained("", b"a") != chained("", b"b")


def test_the_shard_knows_the_size_of_its_file() -> None:
    [_, shard] = cut([(3, 1, True), (4, 1, True)], CutLimits(10, 1000, 10, 1000, 1000, 1000))
    assert isinstance(shard, ShardPlan)
    assert shard.bytes == 7


SPELLINGS = st.sampled_from([(", ", ": ", True), (",", ":", False), (",", ":", True), (" , ", ":", False)])
KEYS = st.none() | st.text(max_size=9) | st.integers(-(10**20), 10**20)


@given(st.text(max_size=40), KEYS, st.booleans(), SPELLINGS)
def test_the_size_of_a_request_is_known_without_rendering_it(
    text: str, key: str | int | None, keyless: bool, spelling: tuple[str, str, bool]
) -> None:
    comma, colon, escaped = spelling
    request = {"contents": [{"parts": [{"text": text}]}], "generationConfig": {"temperature": 0.50}}
    line = {"request": request} if keyless else {"key": key, "request": request}
    raw = json.dumps(line, separators=(comma, colon), ensure_ascii=escaped).encode(errors="replace")
    accepted = examine(raw, "", converted=False)
    assert isinstance(accepted, Accepted)
    assert body_bytes(raw, accepted) == len(body_of(raw, longer=False))


CONFIGS = st.sampled_from([None, {}, {"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"}}])


@given(
    st.lists(st.tuples(st.text(max_size=9), KEYS, CONFIGS, SPELLINGS), min_size=1), st.sampled_from([b"\n", b"\r\n"])
)
def test_lines_taken_many_at_a_time_become_what_they_become_one_by_one(
    entries: list[tuple[str, str | int | None, object, tuple[str, str, bool]]], end: bytes
) -> None:
    raws: list[bytes] = []
    for text, key, config, (comma, colon, escaped) in entries:
        request = {"contents": [{"parts": [{"text": text}]}]} | ({} if config is None else {"generationConfig": config})
        line = json.dumps({"key": key, "request": request}, separators=(comma, colon), ensure_ascii=escaped)
        raws.append(line.encode(errors="replace") + end)
    numbered = list(enumerate(raws, 7))
    assert bodies_of(b"".join(raws), 7) == [(n, body_of(raw, longer=False)) for n, raw in numbered]
    assert identify_all(b"".join(raws), 7) == [identify(raw, n) for n, raw in numbered]


def test_a_range_is_unbroken_when_no_line_is_blank_or_rejected() -> None:
    unbroken = RangePlan(0, 1, 3, 0, 9, requests=3, rejected=0)
    assert unbroken.unbroken
    assert not RangePlan(0, 1, 3, 0, 9, requests=2, rejected=1).unbroken
    assert not RangePlan(0, 1, 3, 0, 9, requests=2, rejected=0).unbroken
