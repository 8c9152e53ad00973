"""Models are asked only what they can do: told when an upload is planned, by `validate`, and by the emulator."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from batchdrop.cli.main import main
from batchdrop.ports import BatchKind
from batchdrop.providers.gemini.api import GeminiApi
from batchdrop_local.emulators.gemini import GeminiEmulator
from tests.harness import Row, Stack, jsonl, lines, request

Run = Callable[..., tuple[int, str, str]]
EMBED: Row = {"request": {"content": {"parts": [{"text": "hello"}]}}}
DRAW: Row = {"request": request("a cat", responseModalities=["TEXT", "IMAGE"])}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; return its exit code and what it wrote."""

    def go(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(arguments))
        written = capsys.readouterr()
        return code, written.out, written.err

    return go


def file(folder: Path, *entries: Row, name: str = "a.jsonl") -> str:
    path = folder / name
    path.write_bytes(jsonl(entries))
    return str(path)


# ------------------------------------------------------------------------------------------------ planned
@pytest.mark.parametrize(
    ("model", "data", "cure"),
    [
        ("gemini-2.5-flash-lite", jsonl([EMBED]), "gemini-embedding-001"),
        ("gemini-embedding-001", lines("one"), "gemini-2.5-flash-lite"),
        ("gemini-robotics-er-1.5-preview", lines("one"), "gemini-2.5-flash-lite"),
        ("veo-3.0-generate-001", lines("one"), "gemini-2.5-flash-lite"),
    ],
)
def test_a_model_that_cannot_do_it_is_refused_before_anything_is_sent(
    stack: Stack, gemini: GeminiEmulator, model: str, data: bytes, cure: str
) -> None:
    job = stack.run(stack.upload("a.jsonl", data, {"model": model}))
    assert job.failure is not None
    assert (job.state, job.failure.code) == ("REJECTED", "MODEL_CANNOT")
    assert model in job.failure.message
    assert cure in job.failure.fix
    assert gemini.calls["upload"] == gemini.calls["create"] == 0


def test_what_the_provider_does_not_say_is_a_warning(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.methods["gemini-3.7-flash"] = []
    job = stack.run(stack.upload("a.jsonl", lines("one"), {"model": "gemini-3.7-flash"}))
    assert (job.state, job.counts.results) == ("DONE", 1)
    assert any("MODEL_UNSAID" in warning for warning in stack.manifest(job)["warnings"])


def test_a_model_that_embeds_runs_embeddings(stack: Stack) -> None:
    job = stack.run(stack.upload("a.jsonl", jsonl([EMBED]), {"model": "gemini-embedding-001"}))
    assert (job.state, job.counts.results, job.warnings) == ("DONE", 1, ())


def test_a_request_for_pictures_is_rejected_by_a_model_that_draws_none(stack: Stack) -> None:
    data = jsonl([{"key": "text", "request": request("a")}, {"key": "draw", **DRAW}])
    job = stack.run(stack.upload("a.jsonl", data))
    [row] = stack.rows(job, "rejections")
    assert (row["key"], row["code"]) == ("draw", "NOT_SUPPORTED")
    assert "gemini-2.5-flash-image" in row["fix"]
    assert stack.run(stack.upload("b.jsonl", data, {"model": "gemini-2.5-flash-image"})).counts.rejections == 0


def test_the_provider_says_what_a_model_can_do(gemini: GeminiEmulator) -> None:
    provider = GeminiApi(lambda: "k", gemini.url)
    known = {
        "gemini-2.5-flash": {BatchKind.GENERATE},
        "gemini-2.5-flash-image": {BatchKind.GENERATE},
        "gemini-embedding-001": {BatchKind.EMBED},
        "gemini-robotics-er-1.5-preview": set[BatchKind](),
    }
    for model, kinds in known.items():
        info = provider.model_info(model)
        assert info is not None
        assert (info.said, info.batches) == (True, kinds)
    assert provider.model_info("gemini-none") is None


# ----------------------------------------------------------------------------------------------- emulator
@pytest.mark.parametrize(
    ("model", "method", "status"),
    [
        ("gemini-2.5-flash", "embedContent", 404),
        ("gemini-2.5-flash", "batchEmbedContents", 404),
        ("gemini-2.5-flash", "asyncBatchEmbedContent", 404),
        ("gemini-embedding-001", "generateContent", 404),
        ("gemini-embedding-001", "batchGenerateContent", 404),
        ("gemini-embedding-001", "embedContent", 200),
        ("gemini-2.5-flash", "generateContent", 200),
        ("gemini-robotics-er-1.5-preview", "generateContent", 200),
        ("gemini-robotics-er-1.5-preview", "batchGenerateContent", 404),
    ],
)
def test_the_emulator_refuses_what_a_model_cannot_do(
    gemini: GeminiEmulator, model: str, method: str, status: int
) -> None:
    one = EMBED["request"] if "mbed" in method else request("hello")
    bodies = {"batchEmbedContents": {"requests": [one]}}
    batch = {"batch": {"displayName": "x", "inputConfig": {"requests": {"requests": [{"request": one}]}}}}
    body = batch if "atchGenerate" in method or "asyncBatch" in method else bodies.get(method, one)
    url = f"{gemini.url}/v1beta/models/{model}:{method}"
    answer = httpx2.post(url, json=body, headers={"x-goog-api-key": "a key"})
    assert answer.status_code == status, answer.text
    if status == 404:
        assert f"is not supported for {method}" in answer.text


# ------------------------------------------------------------------------------------------------ validate
def test_validate_knows_what_models_can_do(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("validate", file(tmp_path, EMBED), "--model", "gemini-2.5-flash")
    assert code == 1
    assert "MODEL_CANNOT" in out
    assert "gemini-embedding-001" in out
    assert run("validate", file(tmp_path, EMBED), "--model", "gemini-embedding-001")[0] == 0
    code, out, _ = run("validate", file(tmp_path, {"request": request("a")}), "--model", "gemini-embedding-2")
    assert (code, "MODEL_CANNOT" in out) == (1, True)


def test_validate_without_a_model_says_that_the_stacks_own_would_not_do(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("validate", file(tmp_path, EMBED))
    assert code == 0
    assert "gemini-embedding-001" in out


@pytest.mark.parametrize("model", ["gpt-4", "claude-sonnet-4", "o3-mini"])
def test_validate_refuses_models_of_others(run: Run, tmp_path: Path, model: str) -> None:
    code, out, _ = run("validate", file(tmp_path, {"request": request("a")}), "--model", model)
    assert (code, "UNKNOWN_MODEL" in out) == (1, True)


def test_validate_says_which_model_it_does_not_know(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("validate", file(tmp_path, {"request": request("a")}), "--model", "gemini-9")
    assert code == 0
    assert "gemini-9" in out


def test_validate_finds_mixed_kinds_and_pictures(run: Run, tmp_path: Path) -> None:
    path = file(tmp_path, {"request": request("a")}, EMBED, DRAW)
    code, out, _ = run("validate", path, "--model", "gemini-2.5-flash", "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert [(entry["line"], entry["code"]) for entry in found[:-1]] == [(2, "MIXED_KINDS"), (3, "NOT_SUPPORTED")]
    assert (code, found[-1]["requests"], found[-1]["rejections"]) == (1, 1, 2)


def test_validate_says_what_only_the_stack_can_see(run: Run, tmp_path: Path) -> None:
    part = {"fileData": {"fileUri": "gs://somewhere/a.png", "mimeType": "image/png"}}
    code, out, _ = run("validate", file(tmp_path, {"request": {"contents": [{"parts": [part]}]}}))
    assert code == 0
    assert "1 line names objects" in out


def test_validate_names_no_model_that_nobody_named(run: Run, tmp_path: Path) -> None:
    params = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
    out = run("validate", file(tmp_path, {"custom_id": "a", "params": params}))[1]
    assert "all run on the stack's model" in out


def test_validate_reads_standard_input(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(file(tmp_path, {"request": request("a")}))
    with path.open("rb") as stream:
        monkeypatch.setattr("sys.stdin", type("Input", (), {"buffer": stream})())
        code, out, _ = run("validate", "-")
    assert (code, "1 requests, 0 rejections" in out) == (0, True)


@pytest.mark.parametrize(("name", "code"), [("a.xlsx", "SPREADSHEET"), ("a.csv.zip", "PACKED"), ("a.pdf", "NO_UPLOAD")])
def test_validate_refuses_what_the_stack_does_not_take(run: Run, tmp_path: Path, name: str, code: str) -> None:
    status, _, err = run("validate", file(tmp_path, name=name))
    assert status == 1
    assert err.startswith(f"{code}: ")


def test_validate_takes_an_array(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"request": request("a")}, {"request": {}}], indent=2))
    code, out, _ = run("validate", str(path))
    assert (code, f"{path}:2: MISSING_FIELD" in out) == (1, True)
