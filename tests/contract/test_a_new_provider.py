"""A provider that nobody has heard of runs the whole flow in a language of its own: the two files are all it takes."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from batchdrop.core.settings import PollSettings, SubmitSettings
from batchdrop.core.state import queries
from batchdrop.core.state.capacity import account_of, pool_of
from batchdrop.core.state.job import Job
from batchdrop.dialects.dialect import Dialect
from batchdrop.dialects.known.spoken import SPOKEN
from batchdrop.ports import (
    Batch,
    BatchKind,
    BatchState,
    Busy,
    Cause,
    Created,
    Failed,
    Found,
    Intent,
    ModelInfo,
    NamedLine,
    ObjectInfo,
    Part,
    Refused,
    Staging,
    Topic,
    Unit,
    Unknown,
)
from batchdrop.providers.gemini.api import gemini as offered
from batchdrop.steps.context import routed
from batchdrop.steps.dispatch import read_ledger
from batchdrop.steps.submit.create import FIRST_LOOK_SECONDS
from batchdrop_local.emulators.gemini import GeminiEmulator
from tests.contract import fake_language
from tests.contract.fake import FACTS, FakeBatches, fake
from tests.harness import Stack, assert_accounted, lines, make_stack

pytestmark = pytest.mark.embedded_only
Make = Callable[..., Stack]
LANGUAGES: dict[str, Dialect] = {**SPOKEN, "fake": fake_language}


KINDS = {
    f"{staging} {'with' if named else 'without'} names": dataclasses.replace(
        FACTS, staging=staging, names_batches=named, file_life=FACTS.file_life if staging is Staging.FILE else math.inf
    )
    for staging in Staging
    for named in (True, False)
}


@pytest.fixture
def batches(request: pytest.FixtureRequest) -> FakeBatches:
    """The service: of each kind where a test names the kinds, else one that has files and names."""
    return FakeBatches(getattr(request, "param", FACTS))


of_each_kind = pytest.mark.parametrize("batches", KINDS.values(), ids=list(KINDS), indirect=True)


@pytest.fixture
def stack(tmp_path: Path, gemini: GeminiEmulator, batches: FakeBatches) -> Stack:
    """A stack with the fake provider and, under another name, Gemini."""
    plain = make_stack(tmp_path, gemini, model="fake-1")
    batches.objects = plain.objects
    return dataclasses.replace(
        plain, providers={"fake": fake(batches), "gemini": offered(plain.provider)}, languages=LANGUAGES
    )


@of_each_kind
def test_an_upload_becomes_rows(stack: Stack, batches: FakeBatches) -> None:
    job = stack.run(stack.upload("a.jsonl", lines("one", "two", "fail", "four")))
    assert_accounted(stack, job)
    assert [(row["key"], row["text"]) for row in stack.rows(job, "results")] == [
        ("k1", "ONE"),
        ("k2", "TWO"),
        ("k4", "FOUR"),
    ]
    [row] = stack.rows(job, "errors")
    assert (row["key"], row["code"], row["message"]) == ("k3", "FAKE_FAULT", "it was told to")
    assert (job.provider, job.model, job.account) == ("fake", "fake-1", "nobody's")
    assert batches.batches == {}, "what a job had at the provider is deleted when it has ended"
    assert batches.files == {} or batches.facts.staging is Staging.STREAM
    assert stack.objects.list("work", prefix=job.job_id).objects == ()


def test_ids_on_the_wire_are_ours_and_the_users_keys_stay_here(stack: Stack, batches: FakeBatches) -> None:
    staged: list[bytes] = []
    batches.delete_file = lambda name: staged.append(batches.files[name])  # type: ignore[method-assign]
    job = stack.run(stack.upload("a.jsonl", lines("one", "two")))
    [shard] = stack.shards(job.job_id)
    [file] = staged
    assert [line.split(b" ")[0].decode() for line in file.splitlines()] == [f"{shard.wire}-1", f"{shard.wire}-2"]
    assert b"k1" not in file


def test_rows_of_others_are_counted_and_never_written(stack: Stack, batches: FakeBatches) -> None:
    def foreign(batch: Batch) -> Iterator[Part]:
        [file] = [batches.files[part] for part in batch.parts]
        lines = [line.replace(b"ONE", b"THEIRS").replace(b"one", b"theirs") for line in file.splitlines(keepends=True)]
        yield Part("theirs", (b"x" * 12 + line[12:] for line in lines))
        yield from FakeBatches.results(batches, batch)
        yield Part("more of theirs", iter([b"7 nobody's\n", b"\n"]))

    batches.results = foreign  # type: ignore[method-assign]
    job = stack.run(stack.upload("a.jsonl", lines("one", "two")))
    assert_accounted(stack, job)
    assert [row["text"] for row in stack.rows(job, "results")] == ["ONE", "TWO"]
    assert stack.shards(job.job_id)[0].unknown_rows == 4


# -------------------------------------------------------------------------------------------- the language
CHAT = {"model": "gpt", "messages": [{"role": "user", "content": "hi"}]}
OPENAI = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": CHAT}
RECIPE = b'prompt: "About {{ name }}"'


def bodies(batches: FakeBatches) -> list[bytes]:
    """The requests that went out."""
    return [line.partition(b" ")[2] for file in batches.files.values() for line in file.splitlines()]


@pytest.mark.parametrize(
    ("name", "data", "body"),
    [
        ("a.jsonl", lines("one"), b'{"v":1,"say":"one"}'),
        ("a.jsonl", json.dumps(OPENAI).encode(), b'{"v":1,"say":"hi"}'),
        ("a.csv", b"name\nAda\n", b'{"v":1,"say":"About Ada"}'),
    ],
    ids=["lines of another language", "OpenAI's lines", "records"],
)
def test_whatever_the_upload_holds_the_provider_gets_its_own_language(
    stack: Stack, batches: FakeBatches, name: str, data: bytes, body: bytes
) -> None:
    stack.upload("recipe.yaml", RECIPE)
    job = stack.run(stack.upload(name, data))
    assert_accounted(stack, job)
    assert bodies(batches) == [body]
    assert (job.counts.results, job.tokens["output_text"]) == (1, 3)


def test_what_a_language_cannot_say_is_a_rejection(stack: Stack, batches: FakeBatches) -> None:
    request = {"contents": [{"parts": [{"text": "one"}]}], "generationConfig": {"temperature": 0}}
    job = stack.run(stack.upload("a.jsonl", json.dumps({"key": "k", "request": request}).encode()))
    assert_accounted(stack, job)
    [row] = stack.rows(job, "rejections")
    assert (row["key"], row["code"], batches.files) == ("k", "NO_EQUIVALENT", {})


def test_an_address_is_found_in_any_language(stack: Stack) -> None:
    job = stack.run(stack.upload("a.jsonl", lines("gs://theirs/secret")))
    [row] = stack.rows(job, "rejections")
    assert (row["code"], row["pointer"]) == ("ATTACHMENT_FORBIDDEN", "/say")


def test_a_model_is_refused_without_naming_one_of_another_language(stack: Stack, batches: FakeBatches) -> None:
    batches.model_info = lambda _model: ModelInfo(frozenset({BatchKind.EMBED}))  # type: ignore[method-assign]
    job = stack.run(stack.upload("a.jsonl", lines("one")))
    assert job.failure is not None
    assert (job.state, job.failure.code) == ("REJECTED", "MODEL_CANNOT")
    assert "gemini" not in job.failure.fix


def test_an_answer_in_any_language_is_written_in_the_words_the_user_wrote_in(stack: Stack) -> None:
    job = stack.run(stack.upload("a.jsonl", json.dumps(OPENAI).encode(), {"output": "openai"}))
    [row] = stack.rows(job, "results")
    assert row["response"]["body"]["choices"][0]["message"]["content"] == "HI"


# ---------------------------------------------------------------------------------------------- create
def then(batches: FakeBatches, *answers: Created) -> None:
    """Let the next creates be answered so; an unknown one is made all the same."""
    left = list(answers)

    def create(intent: Intent) -> Created:
        if not left:
            return FakeBatches.create(batches, intent)
        if isinstance(left[0], Unknown):
            FakeBatches.create(batches, intent)
        return left.pop(0)

    batches.create = create  # type: ignore[method-assign]


@of_each_kind
@pytest.mark.parametrize(
    "answer",
    [
        Busy(Unit.TOKENS, "FULL", "no room", 30),
        Busy(Unit.BATCHES, "FULL", "no room"),
        Busy(None, "LOCKED", "no way in"),
        Unknown("LOST"),
    ],
    ids=lambda answer: f"{type(answer).__name__} {getattr(answer, 'unit', '')}",
)
def test_what_a_create_says_is_done_and_nothing_is_created_twice(
    stack: Stack, batches: FakeBatches, answer: Created
) -> None:
    then(batches, answer)
    info = stack.upload("a.jsonl", lines("one"))
    stack.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)))
    assert len(batches.batches) == 1
    assert_accounted(stack, stack.run(info))


@pytest.mark.parametrize(("unit", "halved"), [(Unit.TOKENS, True), (Unit.BATCHES, False), (Unit.BYTES, False)])
def test_a_refusal_holds_off_what_it_is_about(stack: Stack, batches: FakeBatches, unit: Unit, halved: bool) -> None:
    then(batches, Busy(unit, "FULL", "no room", 7200))
    info = stack.upload("a.jsonl", lines("one"))
    stack.run(info, until=lambda job: any(shard.attempts == 1 for shard in stack.shards(job.job_id)))
    context = stack.context(PollSettings)
    pool, account = (read_ledger(context, name) for name in (pool_of("fake", "fake-1"), account_of("fake")))
    assert (pool.learnt_limit is not None, pool.held(context.now())) == (halved, halved)
    assert account.held(context.now()) == (not halved)


def test_a_refused_create_is_the_answer_of_its_lines(stack: Stack, batches: FakeBatches) -> None:
    then(batches, Refused("FAKE_REFUSED", "never"))
    job = stack.run(stack.upload("a.jsonl", lines("one")))
    assert [row["code"] for row in stack.rows(job, "errors")] == ["FAKE_REFUSED"]


nameless = pytest.mark.parametrize("batches", [KINDS["stream without names"]], indirect=True)


def submitted(stack: Stack, info: ObjectInfo) -> Job:
    """Run an upload until its batch is known."""
    return stack.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)))


@nameless
def test_a_lost_batch_without_a_name_is_found_among_strangers_by_its_ids(stack: Stack, batches: FakeBatches) -> None:
    batches.files["theirs"] = b"somebody-1 else's\n"
    theirs = Batch("fake/theirs", "", "fake-1", BatchState.RUNNING, "busy", datetime(2100, 1, 1, tzinfo=UTC))
    batches.batches["fake/theirs"] = dataclasses.replace(theirs, parts=("theirs",))
    then(batches, Unknown("LOST"))
    job = submitted(stack, stack.upload("a.jsonl", lines("one")))
    [shard] = stack.shards(job.job_id)
    assert (shard.batch.name, batches.made) == ("fake/0", 1)
    assert shard.intent is not None
    assert shard.intent.mark is not None
    assert shard.intent.mark.newest == "fake/theirs", "what was asked before the call is kept with the intent"


@nameless
def test_a_batch_that_is_another_shards_leaves_nobody_in_doubt(stack: Stack, batches: FakeBatches) -> None:
    batches.hanging = {"fake/0", "fake/1"}
    lost: list[Created] = [Unknown("LOST")]
    make = batches.create
    batches.create = lambda intent: lost.pop() if lost else make(intent)  # type: ignore[method-assign]
    first = stack.upload("a.jsonl", lines("one"))
    stack.run(first, until=lambda job: any(shard.state == "CREATING" for shard in stack.shards(job.job_id)))
    second = submitted(stack, stack.upload("b.jsonl", lines("two")))
    job = submitted(stack, first)
    found = [stack.shards(each.job_id)[0].batch.name for each in (second, job)]
    assert (found, batches.made) == (["fake/0", "fake/1"], 2), "the one that was never made is made now"


@pytest.mark.parametrize(
    "batches", [dataclasses.replace(KINDS["stream without names"], proof_seconds=600)], indirect=True
)
def test_a_batch_that_may_be_shown_late_is_looked_for_twice_before_another_is_made(
    stack: Stack, batches: FakeBatches
) -> None:
    looks: list[datetime] = []
    make, find = batches.create, batches.find
    lost: list[Created] = [Unknown("LOST")]
    batches.create = lambda intent: lost.pop() if lost else make(intent)  # type: ignore[method-assign]

    def noted(intent: Intent, over: Callable[[], bool]) -> Found:
        looks.append(stack.clock.now())
        return find(intent, over)

    batches.find = noted  # type: ignore[method-assign]
    job = submitted(stack, stack.upload("a.jsonl", lines("one")))
    quarantine = timedelta(seconds=stack.context(SubmitSettings).settings.quarantine_seconds)
    sent_at = looks[0] - timedelta(seconds=FIRST_LOOK_SECONDS)
    after = [look for look in looks if look >= sent_at + quarantine]
    assert stack.shards(job.job_id)[0].attempts == 2
    assert after[-1] - after[0] >= timedelta(minutes=10)


# ------------------------------------------------------------------------------------- failures of a whole batch
def fails(batches: FakeBatches, cause: Cause, *named: int) -> None:
    """Let the first batch fail whole, for the lines at these positions."""
    of_lines = tuple(NamedLine(position=position, code="FAKE_LINE", message=f"not {position}") for position in named)

    def get(name: str) -> Batch | None:
        batch = FakeBatches.get(batches, name)
        if name != "fake/0" or batch is None:
            return batch
        failed = Failed(cause, "FAKE_FAILURE", "it fell over", of_lines)
        return dataclasses.replace(batch, state=type(batch.state).FAILED, parts=(), failed=failed)

    batches.get = get  # type: ignore[method-assign]


@pytest.mark.parametrize(("cause", "creates"), [(Cause.POISON, 3), (Cause.WAIT, 2)])
def test_a_batch_that_fails_whole_goes_again_as_its_cause_says(
    stack: Stack, batches: FakeBatches, cause: Cause, creates: int
) -> None:
    fails(batches, cause)
    made: list[str] = []
    create = batches.create
    batches.create = lambda intent: (made.append(intent.staged), create(intent))[1]  # type: ignore[method-assign]
    job = stack.run(stack.upload("a.jsonl", lines("one", "two")))
    assert_accounted(stack, job)
    assert (job.counts.results, len(made)) == (2, creates)
    assert (made[0] == made[1]) == (cause is Cause.WAIT), "the same file goes again, or halves of it"


@pytest.mark.parametrize("max_rounds", [0, 2])
def test_lines_that_are_named_are_refused_and_the_rest_goes_again(
    stack: Stack, batches: FakeBatches, max_rounds: int
) -> None:
    fails(batches, Cause.LINES, 2, 3)
    stack = dataclasses.replace(stack, overrides={**stack.overrides, "max_rounds": max_rounds})
    job = stack.run(stack.upload("a.jsonl", lines("one", "two", "three", "four")))
    assert_accounted(stack, job)
    assert [(row["line"], row["text"], row["round"]) for row in stack.rows(job, "results")] == [
        (1, "ONE", 0),
        (4, "FOUR", 0),
    ]
    assert [(row["line"], row["code"], row["message"]) for row in stack.rows(job, "errors")] == [
        (2, "FAKE_LINE", "not 2"),
        (3, "FAKE_LINE", "not 3"),
    ]
    assert [shard.requests for shard in stack.shards(job.job_id)] == [4, 2], "nothing was halved"
    assert batches.made == 2


def test_a_batch_whose_lines_are_all_named_does_not_go_again(stack: Stack, batches: FakeBatches) -> None:
    fails(batches, Cause.LINES, 1, 2)
    job = stack.run(stack.upload("a.jsonl", lines("one", "two")))
    assert_accounted(stack, job)
    assert [row["code"] for row in stack.rows(job, "errors")] == ["FAKE_LINE"] * 2
    assert batches.made == 1


def test_a_service_that_says_it_names_lines_and_names_none_gets_halves(stack: Stack, batches: FakeBatches) -> None:
    fails(batches, Cause.LINES)
    job = stack.run(stack.upload("a.jsonl", lines("one", "two")))
    assert_accounted(stack, job)
    assert (job.counts.results, batches.made) == (2, 3)


def test_lines_that_we_made_wrongly_do_not_go_again(stack: Stack, batches: FakeBatches) -> None:
    fails(batches, Cause.OURS)
    job = stack.run(stack.upload("a.jsonl", lines("one", "two")))
    assert_accounted(stack, job)
    assert [row["code"] for row in stack.rows(job, "errors")] == ["BATCH_FAILED_FAKE_FAILURE"] * 2


# ---------------------------------------------------------------------------------------- results that come late
def shows(stack: Stack, batches: FakeBatches, *counts: int) -> list[int]:
    """Let a batch have so many parts at each look after its end; return what each look showed."""
    seen: list[int] = []

    def get(name: str) -> Batch | None:
        batch = FakeBatches.get(batches, name)
        if batch is None:
            return None
        seen.append(counts[min(len(seen), len(counts) - 1)])
        return dataclasses.replace(batch, parts=batch.parts * seen[-1], ended_at=stack.clock.now())

    batches.get = get  # type: ignore[method-assign]
    return seen


late = pytest.mark.parametrize("batches", [dataclasses.replace(FACTS, settle_seconds=900)], indirect=True)


@late
def test_a_batch_is_read_when_two_looks_show_the_same_parts(stack: Stack, batches: FakeBatches) -> None:
    seen = shows(stack, batches, 1, 2, 2)
    job = stack.run(stack.upload("a.jsonl", lines("one", "two")))
    assert_accounted(stack, job)
    assert seen == [1, 2, 2]
    assert len(stack.shards(job.job_id)[0].batch.parts) == 2


@late
def test_a_batch_whose_parts_change_for_ever_is_read_all_the_same(stack: Stack, batches: FakeBatches) -> None:
    shows(stack, batches, *range(1, 100))
    ended = stack.clock.now()
    get = batches.get

    def ended_then(name: str) -> Batch | None:
        batch = get(name)
        return batch and dataclasses.replace(batch, ended_at=ended)

    batches.get = ended_then  # type: ignore[method-assign]
    assert_accounted(stack, stack.run(stack.upload("a.jsonl", lines("one"))))


# -------------------------------------------------------------------------------------------- instances
def test_two_providers_stand_side_by_side_and_share_no_ledger(stack: Stack) -> None:
    ours = stack.run(stack.upload("a.jsonl", lines("one")))
    theirs = stack.run(stack.upload("b.jsonl", lines("one"), {"model": "gemini/gemini-2.5-flash"}))
    assert (ours.provider, theirs.provider, theirs.model) == ("fake", "gemini", "gemini-2.5-flash")
    assert_accounted(stack, theirs)
    context = stack.context(PollSettings)
    names = {name for name, _ in context.store.ledgers.found(queries.ledgers())}
    assert names == {
        account_of("fake"),
        account_of("gemini"),
        pool_of("fake", "fake-1"),
        pool_of("gemini", "gemini-2.5-flash"),
    }
    assert read_ledger(context, pool_of("fake", "fake-1")).entries == {}


@pytest.mark.parametrize(
    ("model", "provider", "name"),
    [
        ("fake-1", "fake", "fake-1"),
        ("gemini-2.5-flash", "gemini", "gemini-2.5-flash"),
        ("gemini/fake-1", "gemini", "fake-1"),
        ("fake/gemini-2.5-flash", "fake", "gemini-2.5-flash"),
        ("meta-llama/Llama-3.3-70B", "fake", "meta-llama/Llama-3.3-70B"),
        ("gemini/", "fake", "gemini/"),
    ],
)
def test_a_prefix_counts_when_a_provider_is_configured_under_it(
    stack: Stack, model: str, provider: str, name: str
) -> None:
    assert routed(stack.context(PollSettings).providers, model) == (provider, name)


def test_a_wake_on_looks_looks_at_once(stack: Stack, batches: FakeBatches) -> None:
    info = stack.upload("a.jsonl", lines("one"))
    stack.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)))
    [shard] = stack.shards(stack.find_by(info).job_id)
    stack.context(PollSettings).wake(Topic.LOOKS, shard.job_id, shard.shard_id)
    stack.deliver()
    [shard] = stack.shards(shard.job_id)
    assert shard.state == "WRITTEN"
