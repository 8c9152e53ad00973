"""Images and audio in answers: objects beside the rows, named in them, and shards sized by what they will answer."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from batchdrop.core.result.inline import Inline
from batchdrop.dialects.gemini import request as view
from batchdrop.dialects.gemini.media import taken_out
from batchdrop_local.emulators.gemini import Faults, GeminiEmulator
from tests.harness import Row, Stack, assert_accounted, jsonl, request

Make = Callable[..., Stack]
MODEL = {"model": "gemini-2.5-flash-image"}
PNG = b"\x89PNG\r\n\x1a\n"


def drawing(number: int, size: str = "1K") -> Row:
    config: Row = {"responseModalities": ["TEXT", "IMAGE"], "imageConfig": {"aspectRatio": "16:9", "imageSize": size}}
    return {"key": f"picture {number}", "request": request(f"a red house, number {number}", **config)}


def test_an_image_becomes_an_object_named_in_its_row(stack: Stack) -> None:
    job = stack.run(stack.upload("team/a.jsonl", jsonl(map(drawing, range(3))), MODEL))
    assert_accounted(stack, job)
    output = stack.output(job)
    rows = stack.rows(job, "results")
    assert [row["files"][0]["name"] for row in rows] == [f"files/000000{n}-1.png" for n in (1, 2, 3)]
    for row in rows:
        [file] = row["files"]
        data = output[file["name"]]
        assert data.startswith(PNG)
        assert file["bytes"] == len(data)
        assert file["mime_type"] == "image/png"
        holder = row["response"]["candidates"][0]["content"]["parts"][1]["inlineData"]
        assert holder == {"mimeType": "image/png", "file": file["name"]}
        assert row["text"]
    assert stack.manifest(job)["files"] == {"count": 3, "bytes": sum(row["files"][0]["bytes"] for row in rows)}


def test_a_large_image_is_written_in_slices_and_unharmed(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(image_kib=5000)
    job = stack.run(stack.upload("a.jsonl", jsonl([drawing(1, "2K")]), MODEL))
    [row] = stack.rows(job, "results")
    data = stack.output(job)[row["files"][0]["name"]]
    assert len(data) == row["files"][0]["bytes"] >= 5000 * 1024
    assert data.startswith(PNG)


def test_the_same_images_give_the_same_rows_after_a_second_run(stack: Stack) -> None:
    first = stack.output(stack.run(stack.upload("a.jsonl", jsonl([drawing(1)]), MODEL)))
    stack.gemini.reset()
    second = stack.output(stack.run(stack.upload("b.jsonl", jsonl([drawing(1)]), {**MODEL, "again": "1"})))
    del first["manifest.json"], second["manifest.json"]
    assert first == second


def test_image_requests_are_cut_by_what_they_will_answer(stack_with: Make) -> None:
    stack = stack_with(shard_output_bytes=20 * 1024 * 1024)
    entries = [drawing(n, "2K") for n in range(5)] + [drawing(n) for n in range(5, 9)]
    job = stack.run(stack.upload("a.jsonl", jsonl(entries), MODEL))
    assert_accounted(stack, job)
    assert [shard.requests for shard in stack.shards(job.job_id)] == [2, 2, 5]


@pytest.mark.parametrize(
    ("config", "mib"),
    [
        ({}, 2),
        ({"imageConfig": {"imageSize": "2K"}}, 8),
        ({"image_config": {"image_size": "4k"}}, 24),
        ({"imageConfig": {"imageSize": "900K"}}, 24),
        ({"imageConfig": 3}, 2),
    ],
)
def test_the_size_of_an_image_row_follows_its_resolution(config: Row, mib: int) -> None:
    [line] = jsonl([{"request": {"generationConfig": config}}]).splitlines()
    assert view.request(line).image_bytes == mib * 1024 * 1024


@pytest.mark.parametrize(
    ("data", "mime", "extension"),
    [
        (PNG, "image/jpeg", "png"),
        (b"\xff\xd8\xff\xe0", "", "jpg"),
        (b"RIFF0000WAVEfmt ", "audio/wav", "wav"),
        (b"RIFF0000WEBPVP8 ", "image/webp", "webp"),
        (b"\x01\x02\x03\x04", "audio/L16;codec=pcm;rate=24000", "pcm"),
        (b"\x01\x02\x03\x04", "x/../../etc", "bin"),
    ],
)
def test_the_extension_comes_from_the_content(data: bytes, mime: str, extension: str) -> None:
    assert Inline(mime, base64.b64encode(data).decode()).extension() == extension
    assert Inline(mime, base64.urlsafe_b64encode(data).decode().rstrip("=")).extension() == extension


def test_a_binary_part_that_is_not_base64_stays_where_it_is(stack: Stack) -> None:
    body, found = taken_out(b'{"candidates":[{"content":{"parts":[{"inlineData":{"data":"***"}}]}}]}')
    assert found[0][1].data == "***"
    with pytest.raises(ValueError, match="base64"):
        list(found[0][1].decoded())
    assert body["candidates"][0]["content"]["parts"][0] == {"inlineData": {}}
