"""The Provider port: what every service's folder must keep, shown on the fake one, on Gemini's and on Vertex AI's.

A new provider joins by one line in `PROVIDERS`; what only it does is tested in a file of its own.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.adapters.local.directory import DirectoryObjects
from batchdrop.core.errors import PermanentError
from batchdrop.core.result.result import ABSENT
from batchdrop.ports import Batch, BatchKind, BatchState, Intent, Objects, Provider, Sight, Staging
from batchdrop.providers.gemini.api import GeminiApi, gemini
from batchdrop.providers.vertex.api import VertexApi, vertex
from batchdrop_local.emulators.vertex import VertexEmulator
from batchdrop_local.stack.agent import Agent
from tests.contract.fake import FakeBatches, fake
from tests.harness import NOWHERE

KIND = BatchKind.GENERATE
MODELS = {"fake": "fake-1", "gemini": "gemini-2.5-flash", "vertex": "gemini-2.5-flash"}
WORK = "work"
ENVELOPES = (
    fake(FakeBatches()),
    gemini(GeminiApi(lambda: "")),
    vertex(VertexApi(lambda: "", "acme", "global", NOWHERE)),
)
NAMES = ("bd.stack.one", "bd.stack.two")


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    """The stack's buckets."""
    return DirectoryObjects(tmp_path / "buckets")


@pytest.fixture
def vertex_emulator(tmp_path: Path, objects: Objects) -> Generator[VertexEmulator]:
    """Vertex AI on the stack's buckets."""
    with VertexEmulator(data_dir=tmp_path / "vertex", storage=Agent(objects)) as emulator:
        yield emulator


@pytest.fixture(params=["fake", "gemini", "vertex"])
def provider(request: pytest.FixtureRequest, objects: Objects) -> Provider:
    """Each provider, with nothing in its account."""
    if request.param == "fake":
        return fake(FakeBatches())
    if request.param == "gemini":
        return gemini(GeminiApi(lambda: "a key", request.getfixturevalue("gemini").url))
    url: str = request.getfixturevalue("vertex_emulator").url
    return vertex(VertexApi(lambda: "a token", "acme", "europe-west4", objects, url))


def body(provider: Provider, text: str) -> bytes:
    """A request in the provider's language."""
    gemini = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    return json.dumps({"say": text} if provider.facts.dialect == "fake" else gemini).encode()


def rendered(provider: Provider, *texts: str) -> bytes:
    envelope = provider.envelope(MODELS[provider.facts.kind], KIND)
    return b"".join(envelope.line(b"wire-%d" % number, body(provider, text)) for number, text in enumerate(texts))


@dataclass
class Intending:
    """Stages two lines, where the provider takes them from, and returns what is stored before they are created."""

    provider: Provider
    objects: Objects

    def __call__(self, name: str = NAMES[0], past: frozenset[str] = frozenset()) -> Intent:
        data = rendered(self.provider, "one", "two")
        staged = self.staged(data, name)
        return Intent(name, MODELS[self.provider.facts.kind], KIND, staged, requests=2, past=past)

    def staged(self, data: bytes, name: str) -> str:
        if self.provider.inputs is not None:
            return self.provider.inputs.stage([data[:7], data[7:]], size=len(data), name=name).reference
        path = f"staged/{name}.{secrets.token_hex(4)}.jsonl"
        with self.objects.create(WORK, path) as writer:
            writer.write(data)
            writer.close()
        return f"gs://{WORK}/{path}"


@pytest.fixture
def intent(provider: Provider, objects: Objects) -> Intending:
    return Intending(provider, objects)


def made(provider: Provider, intent: Intent) -> Batch:
    batch = provider.batches.create(intent)
    assert isinstance(batch, Batch)
    return batch


def ended(provider: Provider, batch: Batch) -> Batch:
    found = provider.batches.get(batch.name)
    assert found is not None
    assert found.state.terminal
    return found


def never() -> bool:
    return False


# ----------------------------------------------------------------------------------------------- facts
def test_facts_agree_with_each_other(provider: Provider) -> None:
    facts = provider.facts
    assert facts.serves(MODELS[facts.kind])
    assert not facts.serves("somebody-elses")
    assert facts.tokens_of("somebody-elses") > 0
    assert (provider.inputs is not None) == (facts.staging is Staging.FILE)
    if facts.staging is Staging.FILE:
        assert facts.stuck_after < facts.file_life, "a staged file must outlive its batch"
    assert re.fullmatch(facts.id_pattern, "abcdefghij23-zik0zj"), "our ids must be in the service's alphabet"


# -------------------------------------------------------------------------------------------- envelope
@given(st.from_regex(r"[a-z2-7]{12}-[1-9a-z][0-9a-z]{0,5}", fullmatch=True), st.text())
@pytest.mark.parametrize("provider", ENVELOPES, ids=lambda provider: provider.facts.kind)
def test_a_lines_size_is_known_without_making_it(provider: Provider, id: str, text: str) -> None:
    envelope = provider.envelope("m", KIND)
    line = envelope.line(id.encode(), body(provider, text))
    assert len(line) == envelope.size(len(id), len(body(provider, text)))
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")


@given(st.binary() | st.text().map(str.encode))
@pytest.mark.parametrize("provider", ENVELOPES, ids=lambda provider: provider.facts.kind)
def test_reading_never_raises(provider: Provider, line: bytes) -> None:
    row = provider.envelope("m", KIND).read(line)
    assert row is None or isinstance(row[0], str)


@pytest.mark.parametrize("line", [b"", b"{}", b'{"key":null}', b"[" * 100_000, b'{"key":"\xff"}', b"null"])
def test_a_line_of_nobody_is_told_from_others(provider: Provider, line: bytes) -> None:
    assert provider.envelope("m", KIND).read(line) is None


# --------------------------------------------------------------------------------------------- batches
@pytest.mark.parametrize("wrong", [-1, 1])
def test_a_staging_of_another_length_is_refused(provider: Provider, wrong: int) -> None:
    data = rendered(provider, "one")
    if provider.inputs is None:
        return  # the step lays the lines ready, and looks at their length
    with pytest.raises(PermanentError) as caught:
        provider.inputs.stage([data], size=len(data) + wrong, name=NAMES[0])
    assert caught.value.code == "SIZE_MISMATCH"


def test_every_request_has_one_row_with_its_id_and_a_body_or_a_fault(provider: Provider, intent: Intending) -> None:
    batch = ended(provider, made(provider, intent()))
    envelope = provider.envelope(batch.model, KIND)
    data = b"".join(b"".join(part.chunks) for part in provider.batches.results(batch))
    rows = [envelope.read(line) for line in data.splitlines()]
    assert sorted(row[0] for row in rows if row) == ["wire-0", "wire-1"]
    assert all(row and (row[1].body is not ABSENT or row[1].fault) for row in rows)


def test_a_created_batch_is_found_by_its_intent_alone(provider: Provider, intent: Intending) -> None:
    sought, other = intent(), intent(NAMES[1])
    assert provider.batches.find(sought, never).sight is Sight.NONE
    first, _, third = made(provider, sought), made(provider, other), made(provider, sought)
    found = provider.batches.find(sought, never)
    assert found.sight is Sight.OURS
    assert [batch.name for batch in found.batches] == [first.name, third.name], "the oldest first"


def test_a_batch_that_never_ran_is_not_found_again(provider: Provider, intent: Intending) -> None:
    first = made(provider, intent())
    again = intent(past=frozenset({first.name}))
    assert provider.batches.find(again, never).sight is Sight.NONE
    second = made(provider, again)
    assert [batch.name for batch in provider.batches.find(again, never).batches] == [second.name]


def test_a_batch_is_listed_looked_at_and_deleted(provider: Provider, intent: Intending) -> None:
    batch = made(provider, intent())
    assert [listed.name for listed in provider.batches.list().batches] == [batch.name]
    assert ended(provider, batch).raw_state
    provider.batches.delete(batch.name)
    provider.batches.delete(batch.name)
    assert provider.batches.get(batch.name) is None
    assert provider.batches.list().batches == ()


def test_cancelling_is_never_an_error(provider: Provider, intent: Intending) -> None:
    batch = made(provider, intent())
    for name in (batch.name, batch.name, f"{batch.name}0"):
        provider.batches.cancel(name)
    assert ended(provider, batch).state in (BatchState.CANCELLED, BatchState.SUCCEEDED)


def test_models_are_known_or_not(provider: Provider) -> None:
    info = provider.batches.model_info(MODELS[provider.facts.kind])
    assert info is not None
    assert not info.said or KIND in info.batches
    assert provider.batches.model_info("nobodys-model") is None


def test_an_account_has_a_fingerprint(provider: Provider) -> None:
    assert provider.batches.account() == provider.batches.account() != ""
