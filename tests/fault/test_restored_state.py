"""Documents restored from a backup, and documents that do not last: no batch that runs is paid a second time."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from batchdrop.adapters.local.sqlite_documents import SqliteDocuments
from batchdrop.core.settings import CommonSettings
from batchdrop.core.state.job import Job
from batchdrop.steps.steer import rerun
from batchdrop.steps.take_over import take_over
from batchdrop_local.emulators.gemini import CallFault, Faults, GeminiEmulator
from tests.fault.test_lost_state import creates, submitted
from tests.harness import Stack, assert_accounted, lines, wrapped


def restored(stack: Stack, backup: Path) -> Stack:
    """Return the stack as it starts, certainly alone, on documents that are older than what was done with them."""
    again = wrapped(stack, documents=SqliteDocuments(backup))
    take_over(again.context(CommonSettings), restored=True)
    return again


def backed_up(records: Path, backup: Path) -> Path:
    """Copy the documents as a backup of a data folder holds them."""
    with closing(sqlite3.connect(records)) as now, closing(sqlite3.connect(backup)) as copy:
        now.backup(copy)
    return backup


def is_submitted(stack: Stack) -> Callable[[Job], bool]:
    """Return what tells that a job's batches run."""
    return lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id))


@pytest.mark.embedded_only("the records are copied as a backup of a data folder holds them")
def test_a_stack_restored_from_a_backup_finds_the_batch_that_was_made_since(
    stack: Stack, gemini: GeminiEmulator, tmp_path: Path
) -> None:
    gemini.faults = Faults(running_seconds=7200)
    stack.tick()
    info = stack.upload("a.jsonl", lines("one", "two"))
    stack.receive_only(info)
    backup = backed_up(tmp_path / "records.sqlite", tmp_path / "b")
    stack.run(info, until=is_submitted(stack))
    again = restored(stack, backup)
    job = again.run(info)
    assert_accounted(again, job)
    assert (job.state, job.counts.results, creates(gemini)) == ("DONE", 2, 1)


@pytest.mark.embedded_only("the records are copied as a backup of a data folder holds them")
def test_a_shard_that_was_refused_before_the_backup_is_looked_for_too(
    stack: Stack, gemini: GeminiEmulator, tmp_path: Path, log: io.StringIO
) -> None:
    gemini.faults = Faults(running_seconds=7200, calls=(CallFault("create", status=429, times=1),))
    stack.tick()
    info = stack.upload("a.jsonl", lines("one", "two"))
    stack.deliver()
    [shard] = stack.shards(stack.find_by(info).job_id)
    assert (shard.state, shard.attempts) == ("QUEUED", 1)
    backup = backed_up(tmp_path / "records.sqlite", tmp_path / "b")
    stack.run(info, until=is_submitted(stack))
    again = restored(stack, backup)
    job = again.run(info)
    assert_accounted(again, job)
    assert (job.state, job.counts.results, creates(gemini)) == ("DONE", 2, 2), "one was refused, one made"
    assert log.getvalue().count("STATE_LOST") == 1


@pytest.mark.embedded_only("the records are copied as a backup of a data folder holds them")
def test_documents_that_do_not_know_the_last_mark_count_as_restored_without_being_told(
    stack: Stack, gemini: GeminiEmulator, tmp_path: Path
) -> None:
    gemini.faults = Faults(running_seconds=7200)
    stack.tick()
    info = stack.upload("a.jsonl", lines("one", "two"))
    stack.receive_only(info)
    backup = backed_up(tmp_path / "records.sqlite", tmp_path / "b")
    stack.advance(301)
    stack.tick()
    stack.run(info, until=is_submitted(stack))
    stack.advance(301)
    again = wrapped(stack, documents=SqliteDocuments(backup))
    again.tick()
    again.advance(800)  # the mark is old now
    job = again.run(info)
    assert_accounted(again, job)
    assert (job.counts.results, creates(gemini)) == (2, 1)


@pytest.mark.embedded_only("the records are copied as a backup of a data folder holds them")
def test_an_old_intent_of_a_backup_is_quarantined_from_the_recovery_on(
    stack: Stack, gemini: GeminiEmulator, tmp_path: Path
) -> None:
    lost = CallFault("create", status=503, times=1)
    gemini.faults = Faults(running_seconds=7200, list_lag_seconds=60, calls=(lost,))
    stack.tick()
    info = stack.upload("a.jsonl", lines("one", "two"))
    stack.deliver()
    [shard] = stack.shards(stack.find_by(info).job_id)
    assert shard.state == "CREATING"
    backup = backed_up(tmp_path / "records.sqlite", tmp_path / "b")
    stack.run(info, until=is_submitted(stack))
    again = restored(stack, backup)
    job = again.run(info)
    assert (job.counts.results, creates(gemini)) == (2, 2), "one failed, one made"


@pytest.mark.embedded_only("the records are copied as a backup of a data folder holds them")
def test_after_a_recovery_a_shard_is_looked_for_once(
    stack: Stack, gemini: GeminiEmulator, tmp_path: Path, log: io.StringIO
) -> None:
    stack.tick()
    info = stack.upload("a.jsonl", lines("one"))
    stack.receive_only(info)
    again = restored(stack, backed_up(tmp_path / "records.sqlite", tmp_path / "b"))
    gemini.faults = Faults(calls=(CallFault("create", status=429, times=2),))
    job = again.run(info)
    assert (job.counts.results, creates(gemini)) == (1, 3), "two were refused, one made"
    assert log.getvalue().count("STATE_LOST") == 1


# ------------------------------------------------------------------------------- documents that do not last
def forgetful(stack: Stack, tmp_path: Path) -> Stack:
    """Return the stack after a restart that lost its documents, as it was told that it would."""
    again = wrapped(stack, documents=SqliteDocuments(tmp_path / "fresh.sqlite"), overrides={"documents_last": False})
    take_over(again.context(CommonSettings))
    return again


def test_an_old_upload_is_not_run_where_documents_do_not_last(
    stack: Stack, gemini: GeminiEmulator, tmp_path: Path
) -> None:
    stack.tick()
    info = stack.upload("a.jsonl", lines("one", "two"))
    again = forgetful(stack, tmp_path)
    job = again.run(info)
    assert_accounted(again, job)
    assert {(row["outcome"], row["code"]) for row in again.rows(job)} == {("missing", "STATE_LOST")}
    assert all("batchdrop rerun" in row["message"] for row in again.rows(job))
    assert (gemini.calls["upload.start"], creates(gemini)) == (0, 0)
    copy = rerun(again.context(CommonSettings), job)
    again.announce(again.objects_info(job))
    assert again.run(again.objects_info(job)).job_id == copy
    assert creates(gemini) == 1


def test_a_batch_that_runs_is_collected_where_documents_do_not_last(
    stack: Stack, gemini: GeminiEmulator, tmp_path: Path
) -> None:
    gemini.faults = Faults(running_seconds=7200)
    info = submitted(stack, lines("one", "two [[emulate:error-once=13]]"))
    job = forgetful(stack, tmp_path).run(info)
    assert_accounted(stack, job)
    assert (job.counts.results, job.counts.errors, creates(gemini)) == (1, 1, 1)


def test_an_upload_after_the_loss_runs_where_documents_do_not_last(stack: Stack, tmp_path: Path) -> None:
    stack.tick()
    again = forgetful(stack, tmp_path)
    assert again.run(again.upload("b.jsonl", lines("one"))).counts.results == 1
