"""Users' own words in places where a store has rules for names: columns, metadata, labels, ids in messages."""

from __future__ import annotations

import importlib
import io
import json
from typing import Any

import pytest

from batchdrop.ports import Topic
from tests.harness import Row, Stack, assert_accounted, jsonl, lines

JOINED = b"prompt: 'Say: {{ text }}'\noutput: {formats: [jsonl, csv], join: true}\n"
JOB = "0" * 32


def joined(stack: Stack, name: str, data: bytes) -> list[str]:
    """Run records under a recipe that joins; return the columns of the table."""
    stack.upload("recipe.yaml", JOINED)
    job = stack.run(stack.upload(name, data))
    assert_accounted(stack, job)
    assert (job.state, job.verdict) == ("DONE", "complete")
    return stack.output(job)["table-00000.csv"].decode("utf-8-sig").split("\r\n")[0].split(",")


def frame(**columns: list[Any]) -> Any:
    """Return a DataFrame with an index of its own."""
    pandas: Any = importlib.import_module("pandas")
    found = pandas.DataFrame(columns)
    return found.loc[[2, 0, 1]]


def test_joined_columns_keep_the_order_of_the_upload(stack: Stack) -> None:
    columns = joined(stack, "a.csv", b"z,text,a,m\n1,x,2,3\n")
    assert [name for name in columns if name in ("z", "a", "m")] == ["z", "a", "m"]


def test_a_csv_as_pandas_writes_it_is_joined(stack: Stack) -> None:
    joined(stack, "a.csv", frame(text=["a", "b", "c"], __x__=["d", "e", "f"]).to_csv().encode())


def test_a_parquet_file_with_an_index_is_joined(stack: Stack) -> None:
    out = io.BytesIO()
    frame(text=["a", "b", "c"]).to_parquet(out)
    assert "__index_level_0__" in joined(stack, "a.parquet", out.getvalue())


def test_records_with_reserved_names_are_joined(stack: Stack) -> None:
    columns = joined(stack, "a.jsonl", jsonl([{"__typename__": "Review", "text": "x", "": 1, "a.b": [[2]]}]))
    assert {"__typename__", "a.b"} <= set(columns)


@pytest.mark.parametrize(
    "metadata",
    [
        {"__x__": "1"},
        {"label-__x__": "1"},
        {"label-": "1"},
        {"label-note": "x" * 1500},
        {"label-" + "n" * 300: "1"},
        {f"label-{number}": "1" for number in range(120)},
        {"label-team": "é" * 600},
        {"label-team": "../x"},
    ],
    ids=["reserved", "reserved label", "no name", "long value", "long name", "many", "long team", "path"],
)
def test_an_upload_with_any_metadata_ends_and_says_so(metadata: dict[str, str], stack: Stack) -> None:
    job = stack.run(stack.upload("blue/a.jsonl", lines("one"), metadata))
    assert (job.state, job.counts.results) == ("DONE", 1)
    [(_, attributes)] = stack.completions()
    labels = {name.removeprefix("label-"): value for name, value in attributes.items() if name.startswith("label-")}
    assert labels == job.labels
    given = {name.removeprefix("label-"): value for name, value in metadata.items() if name.startswith("label-")}
    assert len(job.labels) + len(job.warnings) == len(given)
    assert all(warning.startswith("METADATA_INVALID label-") for warning in job.warnings)
    assert stack.manifest(job)["warnings"] == list(job.warnings)


def test_labels_of_recipe_and_upload_together_fit_a_message(stack: Stack) -> None:
    attribution = ", ".join(f"a{number}: v" for number in range(64))
    stack.upload("recipe.yaml", f"attribution: {{{attribution}}}\n".encode())
    job = stack.run(stack.upload("a.jsonl", lines("one"), {f"label-b{number}": "v" for number in range(60)}))
    assert job.state == "DONE"
    [(_, attributes)] = stack.completions()
    assert len(attributes) == 100
    assert {f"label-b{number}" for number in range(60)} <= set(attributes)


@pytest.mark.parametrize("topic", [Topic.SHARDS, Topic.BATCHES_FINISHED])
def test_a_wake_with_ids_that_are_none_is_acknowledged(topic: Topic, stack: Stack) -> None:
    ids: list[tuple[object, object]] = [
        ("", None), ("../x", None), ("__x__", None), ("a/b", None), (None, None), (JOB, ""), (JOB, "a/b/c"),
        (JOB, "__x__"), (JOB, "."), (JOB, {"x": 1}),
    ]  # fmt: skip
    for job_id, shard_id in ids:
        wake: Row = {"schema": "batchdrop.wake/1", "job_id": job_id, "shard_id": shard_id}
        stack.topics.publish(topic, json.dumps(wake).encode())
    assert stack.deliver() == len(ids)
    assert {status for _, status in stack.answers} == {204}
