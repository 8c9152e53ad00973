"""Gemini alone: its calls against the emulator, and what it makes of every failure.

Over real HTTP, and without sockets as the simulation has it.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from batchdrop.core.errors import CapacityError, PermanentError, TransientError
from batchdrop.ports import (
    Batch,
    BatchKind,
    BatchState,
    Busy,
    Cause,
    Created,
    Intent,
    Refused,
    Sight,
    Unit,
    Unknown,
)
from batchdrop.providers.gemini.api import GeminiApi
from batchdrop.providers.gemini.calls import key_reader
from batchdrop_local.emulators.gemini import CallFault, Faults, GeminiEmulator
from tests.harness import direct_provider, lines

MODEL = "gemini-2.5-flash"


@pytest.fixture(params=["http", "direct"])
def provider(request: pytest.FixtureRequest, gemini: GeminiEmulator) -> GeminiApi:
    """The adapter on the emulator."""
    return direct_provider(gemini) if request.param == "direct" else GeminiApi(lambda: "a key", gemini.url)


def stage(provider: GeminiApi, data: bytes = lines("one", "two")) -> str:
    return provider.stage([data], size=len(data), name="bd.x.y").reference


def intent(file: str, timeout: float = 30, model: str = MODEL, kind: BatchKind = BatchKind.GENERATE) -> Intent:
    return Intent("bd.x.y", model, kind, file, requests=2, timeout_seconds=timeout)


def create(provider: GeminiApi, file: str) -> Batch:
    made = provider.create(intent(file))
    assert isinstance(made, Batch)
    return made


def results(provider: GeminiApi, batch: Batch) -> bytes:
    return b"".join(chunk for part in provider.results(batch) for chunk in part.chunks)


def with_fault(gemini: GeminiEmulator, call: str, **fault: object) -> None:
    gemini.faults = Faults(calls=(CallFault(call, **fault),))  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 1, 8 << 20, (8 << 20) + 1, 20_000_000])
def test_staging_sends_exactly_the_bytes(provider: GeminiApi, size: int) -> None:
    data = b"x" * size
    chunks = (data[start : start + 999_999] for start in range(0, size, 999_999))
    file = provider.upload(chunks, size=size, name="bd.x.y", mime_type="application/jsonl")
    assert (file.size, file.display_name) == (size, "bd.x.y")
    assert file.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("declared", [5, 15])
def test_a_stream_of_another_length_is_refused(provider: GeminiApi, declared: int) -> None:
    with pytest.raises(PermanentError) as caught:
        provider.stage([b"0123456789"], size=declared, name="x")
    assert caught.value.code == "SIZE_MISMATCH"


def test_a_batch_is_created_looked_at_read_and_deleted(provider: GeminiApi) -> None:
    made = create(provider, stage(provider))
    found = provider.get(made.name)
    assert found is not None
    assert (found.display_name, found.model, found.state) == ("bd.x.y", MODEL, BatchState.SUCCEEDED)
    assert (found.requests_done, found.raw_state, len(found.parts)) == (2, "BATCH_STATE_SUCCEEDED", 1)
    assert results(provider, found).count(b"\n") == 2
    provider.delete(made.name)
    provider.delete(made.name)
    assert provider.get(made.name) is None


def test_an_embedding_batch_is_created_from_a_file(provider: GeminiApi) -> None:
    data = b'{"key":"1","request":{"content":{"parts":[{"text":"x"}]},"outputDimensionality":3}}\n'
    made = provider.create(intent(stage(provider, data), model="gemini-embedding-001", kind=BatchKind.EMBED))
    assert isinstance(made, Batch)
    found = provider.get(made.name)
    assert found is not None
    assert b'"values"' in results(provider, found)


def test_all_pages_are_listed(provider: GeminiApi, gemini: GeminiEmulator) -> None:
    file = stage(provider)
    made = {create(provider, file).name for _ in range(5)}
    gemini.faults = Faults(page_size=2)
    found: list[Batch] = []
    token: str | None = None
    while True:
        page = provider.list(token)
        found += page.batches
        token = page.next_token
        if token is None:
            break
    assert {batch.name for batch in found} == made
    assert len(found) == 5


def test_files_are_listed_and_deleted(provider: GeminiApi) -> None:
    name = stage(provider)
    assert [file.name for file in provider.list_files().files] == [name]
    provider.delete_file(name)
    provider.delete_file(name)
    assert provider.list_files().files == ()


def test_a_failure_keeps_its_cause(provider: GeminiApi, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(end_state="FAILED", fail_code=8)
    found = provider.get(create(provider, stage(provider)).name)
    assert found is not None
    assert found.state is BatchState.FAILED
    assert found.failed is not None
    assert (found.failed.cause, found.failed.code) == (Cause.POISON, "RESOURCE_EXHAUSTED")
    assert found.failed.message


@pytest.mark.parametrize(
    ("word", "state", "terminal"),
    [
        ("PENDING", BatchState.PENDING, False),
        ("RUNNING", BatchState.RUNNING, False),
        ("CANCELLING", BatchState.CANCELLING, False),
        ("PARTIALLY_SUCCEEDED", BatchState.PARTIALLY_SUCCEEDED, True),
        ("EXPIRED", BatchState.EXPIRED, True),
        ("UNSPECIFIED", BatchState.UNKNOWN, False),
        ("BRAND_NEW", BatchState.UNKNOWN, False),
    ],
)
def test_states_are_read_and_unknown_ones_are_never_terminal(
    provider: GeminiApi, gemini: GeminiEmulator, word: str, state: BatchState, terminal: bool
) -> None:
    gemini.faults = Faults(hold_state=word)
    found = provider.get(create(provider, stage(provider)).name)
    assert found is not None
    assert (found.state, found.state.terminal, found.raw_state) == (state, terminal, f"BATCH_STATE_{word}")


def test_cancelling_is_asked_for_and_never_fails_for_an_ended_batch(
    provider: GeminiApi, gemini: GeminiEmulator
) -> None:
    gemini.faults = Faults(running_seconds=1000)
    made = create(provider, stage(provider))
    provider.cancel(made.name)
    provider.cancel(made.name)
    provider.cancel("batches/nobody")
    found = provider.get(made.name)
    assert found is not None
    assert found.state is BatchState.CANCELLED


# --------------------------------------------------------------------------------------------- create
@pytest.mark.parametrize("status", [500, 503, 504, 408])
def test_a_create_that_may_have_happened_is_unknown(provider: GeminiApi, gemini: GeminiEmulator, status: int) -> None:
    file = stage(provider)
    with_fault(gemini, "create", status=status)
    assert isinstance(provider.create(intent(file)), Unknown)
    assert gemini.calls["create"] == 1


def test_a_lost_create_reply_is_unknown_and_sent_once(provider: GeminiApi, gemini: GeminiEmulator) -> None:
    file = stage(provider)
    with_fault(gemini, "create", lose=True)
    assert isinstance(provider.create(intent(file)), Unknown)
    assert (gemini.calls["create"], len(gemini.batches())) == (1, 1)


def test_a_create_that_hangs_is_unknown(provider: GeminiApi, gemini: GeminiEmulator) -> None:
    file = stage(provider)
    with_fault(gemini, "create", hang_seconds=3)
    assert isinstance(provider.create(intent(file, timeout=0.3)), Unknown)
    assert gemini.calls["create"] == 1


@pytest.mark.parametrize(
    ("status", "word", "code"),
    [
        (400, "refused", "PROVIDER_INVALID_ARGUMENT"),
        (404, "refused", "PROVIDER_NOT_FOUND"),
        (401, "no way in", "PROVIDER_UNAUTHENTICATED"),
        (403, "no way in", "PROVIDER_PERMISSION_DENIED"),
        (429, "tokens", "CAPACITY"),
    ],
)
def test_a_refused_create_says_so(
    provider: GeminiApi, gemini: GeminiEmulator, status: int, word: str, code: str
) -> None:
    file = stage(provider)
    with_fault(gemini, "create", status=status, retry_seconds=17)
    made = provider.create(intent(file))
    assert (_word(made), getattr(made, "code", "")) == (word, code)
    if isinstance(made, Busy) and made.unit:
        assert made.retry_after_seconds == 17
    assert gemini.batches() == []


def _word(made: Created) -> str:
    if isinstance(made, Busy):
        return {None: "no way in", Unit.TOKENS: "tokens"}[made.unit]
    return "refused" if isinstance(made, Refused) else type(made).__name__


@pytest.mark.parametrize(
    ("address", "code"), [("http://127.0.0.1:9", "PROVIDER_UNREACHABLE"), ("nowhere", "ADDRESS_INVALID")]
)
def test_a_create_that_never_left_is_not_in_doubt(address: str, code: str) -> None:
    made = GeminiApi(lambda: "k", address).create(intent("files/x"))
    assert isinstance(made, Busy)
    assert (made.unit, made.code) == (None, code)


def test_a_create_without_a_key_is_not_in_doubt(gemini: GeminiEmulator) -> None:
    made = GeminiApi(key_reader(None, {}), gemini.url).create(intent("files/x"))
    assert isinstance(made, Busy)
    assert (made.unit, made.code) == (None, "API_KEY_MISSING")


# ----------------------------------------------------------------------------------------------- finding
def test_what_was_not_seen_whole_is_not_taken_for_none(provider: GeminiApi, gemini: GeminiEmulator) -> None:
    sought = intent(stage(provider))
    for _ in range(3):
        provider.create(sought)
    gemini.faults = Faults(page_size=2)
    assert len(provider.find(sought, lambda: False).batches) == 3
    late = provider.find(sought, lambda: True)
    assert (late.sight, late.code) == (Sight.COULD_NOT_LOOK, "TIME_OVER")
    gemini.faults = Faults(page_size=2, calls=(CallFault("list", skip=1, status=503),))
    assert provider.find(sought, lambda: False).sight is Sight.COULD_NOT_LOOK


# --------------------------------------------------------------------------------------------- reading
def test_a_cut_download_goes_on_where_it_broke(provider: GeminiApi, gemini: GeminiEmulator) -> None:
    made = create(provider, stage(provider, lines(*(f"t{n}" for n in range(5000)))))
    batch = provider.get(made.name)
    assert batch is not None
    whole = results(provider, batch)
    with_fault(gemini, "download", cut_after_bytes=1_500_000, times=1)
    assert results(provider, batch) == whole


def test_a_download_that_is_cut_again_and_again_gets_on(provider: GeminiApi, gemini: GeminiEmulator) -> None:
    made = create(provider, stage(provider, lines(*(f"t{n}" for n in range(5000)))))
    batch = provider.get(made.name)
    assert batch is not None
    whole = results(provider, batch)
    cuts = [CallFault("download", cut_after_bytes=size, times=1) for size in (0, 0, 1_200_000, 0, 0, 9)]
    gemini.faults = Faults(calls=tuple(cuts))
    began = time.monotonic()
    assert results(provider, batch) == whole
    assert time.monotonic() - began < 15


def test_a_download_that_never_gets_on_is_given_up(provider: GeminiApi, gemini: GeminiEmulator) -> None:
    made = create(provider, stage(provider))
    batch = provider.get(made.name)
    assert batch is not None
    with_fault(gemini, "download", cut_after_bytes=10)
    with pytest.raises(TransientError):
        results(provider, batch)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_look_that_fails_is_not_taken_for_not_found(provider: GeminiApi, gemini: GeminiEmulator, status: int) -> None:
    made = create(provider, stage(provider))
    with_fault(gemini, "*", status=status)
    for look in (lambda: provider.get(made.name), provider.list, lambda: provider.model_info(MODEL)):
        with pytest.raises((TransientError, CapacityError)):
            look()


def test_a_cut_answer_is_not_taken_for_not_found(provider: GeminiApi, gemini: GeminiEmulator) -> None:
    create(provider, stage(provider))
    with_fault(gemini, "list", cut_after_bytes=40)
    with pytest.raises(TransientError):
        provider.list()


# ------------------------------------------------------------------------------------------------ keys
def test_the_key_is_read_again_after_it_was_refused(gemini: GeminiEmulator) -> None:
    keys = iter(["old", "new"])
    provider = GeminiApi(lambda: next(keys), gemini.url)
    with_fault(gemini, "models.get", status=403, times=1)
    with pytest.raises(TransientError):
        provider.model_info(MODEL)
    assert provider.model_info(MODEL) is not None
    assert next(keys, "none left") == "none left"


def test_a_missing_key_says_so(tmp_path: Path) -> None:
    path = tmp_path / "key"
    for read in (key_reader(path, {}), key_reader(None, {})):
        with pytest.raises(TransientError) as caught:
            read()
        assert caught.value.code == "API_KEY_MISSING"
    path.write_text("secret\n")
    assert key_reader(path, {})() == "secret"
    assert key_reader(None, {"GEMINI_API_KEY": " env "})() == "env"


def test_errors_never_quote_the_key(gemini: GeminiEmulator) -> None:
    provider = GeminiApi(lambda: "very-secret", gemini.url)
    with_fault(gemini, "*", status=400)
    with pytest.raises(PermanentError) as caught:
        provider.get("batches/x")
    assert "very-secret" not in repr(caught.value)


def test_looking_and_reading_import_no_sdk(gemini: GeminiEmulator) -> None:
    provider = GeminiApi(lambda: "a key", gemini.url)
    batch = create(provider, stage(provider))
    code = f"""
import sys
from batchdrop.providers.gemini.api import GeminiApi
provider = GeminiApi(lambda: "a key", {gemini.url!r})
batch = provider.get({batch.name!r})
assert batch.state.terminal and provider.list().batches
assert sum(len(chunk) for part in provider.results(batch) for chunk in part.chunks)
assert "google.genai" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
