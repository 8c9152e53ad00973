"""Commands that look at a stack's jobs and act on them, on any stack the environment points at.

Acting is a compare-and-set on `job.wanted`, then a wake; the functions do the rest.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from batchdrop.cli.drain import run_drain, run_resume
from batchdrop.cli.jobs import job_of, run_ask, run_rerun
from batchdrop.core.codes import Code
from batchdrop.core.errors import ConfigurationError
from batchdrop.core.money.costs import BY, as_csv, as_json, as_text, savings
from batchdrop.core.settings import CommonSettings, load
from batchdrop.core.state import queries
from batchdrop.core.state.capacity import pool_of
from batchdrop.core.state.job import Job
from batchdrop.core.state.shard import Shard
from batchdrop.core.state.why import why
from batchdrop.steps.context import Context
from batchdrop.steps.dispatch import read_ledger
from batchdrop.steps.poll.report import entries_since
from batchdrop.wiring import build

HOW_TO_GET_A_STACK = (
    "run `. .local/embedded/environment` beside the Makefile for the stack of `make up`, "
    'or `eval "$(pulumi stack output environment)"` in infra/ for the one on Google Cloud.'
)


def run(parsed: argparse.Namespace) -> int:
    """Run one command on the stack of the environment.

    Raises:
        ConfigurationError: There is no stack in the environment, or nobody is signed in to Google Cloud.
    """
    settings = load(CommonSettings)
    if settings.local_dir is None:
        if "project" not in settings.model_fields_set:
            raise ConfigurationError(
                f"The environment names no stack: {HOW_TO_GET_A_STACK}",
                code=Code.STACK_MISSING,
            )
        with _signed_in():
            return COMMANDS[parsed.command](build(settings), parsed)
    if not settings.local_dir.is_dir():
        message = f"There is no stack in {settings.local_dir} (BATCHDROP_LOCAL_DIR): {HOW_TO_GET_A_STACK}"
        raise ConfigurationError(message, code=Code.STACK_MISSING)
    return COMMANDS[parsed.command](build(settings), parsed)


@contextmanager
def _signed_in() -> Generator[None]:
    """Say in a sentence that Google's libraries found nobody to act as."""
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except GoogleAuthError:
        message = "Nobody is signed in to Google Cloud here: run `gcloud auth application-default login`."
        raise ConfigurationError(message, code=Code.CREDENTIALS_MISSING) from None


def _list(context: Context[CommonSettings], parsed: argparse.Namespace) -> int:
    jobs = [
        stored.value for stored in context.store.jobs(queries.newest_jobs(parsed.limit))
    ]
    if parsed.json:
        _write([_summary(job) for job in jobs])
        return 0
    for job in jobs:
        counts = job.counts
        print(
            f"{job.job_id}  {job.created_at:%Y-%m-%d %H:%M}  {job.state.value:<10} {job.verdict or '-':<8} "
            f"{counts.lines:>9,} lines  {counts.results:>9,} results  {json.dumps(job.source.object)[1:-1]}"
        )
    return 0


def _status(context: Context[CommonSettings], parsed: argparse.Namespace) -> int:
    stored = job_of(context, parsed.job_id)
    if stored is None:
        return 1
    job = stored.value
    shards = [
        entry.value for entry in context.store.shards(queries.shards_of(job.job_id))
    ]
    sentences = why(
        job,
        shards,
        read_ledger(context, pool_of(job.provider, job.model)),
        context.now(),
    )
    if parsed.json:
        _write(
            {
                **_summary(job),
                "why": sentences,
                "shards": [_shard(shard) for shard in shards],
            }
        )
        return 0
    print(f"{job.job_id}  {job.state.value}  {json.dumps(job.source.object)[1:-1]}")
    for sentence in sentences:
        print(f"  {sentence}")
    return 0


def _replay(context: Context[CommonSettings], parsed: argparse.Namespace) -> int:
    letters = (
        context.topics.dead_letters() if parsed.dry_run else context.topics.replay()
    )
    shown: list[dict[str, str]] = []
    for letter in letters:
        shown.append({"topic": letter.topic, "message_id": letter.message_id})
        if not parsed.json:
            print(
                f"{letter.topic}  {letter.message_id}  {letter.published_at:%Y-%m-%d %H:%M}"
            )
    if parsed.json:
        _write(shown)
    else:
        print(
            f"{len(shown)} dead letters{'' if parsed.dry_run else ' delivered again'}"
        )
    return 0


def _savings(context: Context[CommonSettings], parsed: argparse.Namespace) -> int:
    since = parsed.since or (context.now() - timedelta(days=30)).date().isoformat()
    if parsed.by not in BY and not parsed.by.startswith("label:"):
        sys.stderr.write(f"--by takes one of {', '.join(BY)}, label:NAME\n")
        return 1
    table = savings(entries_since(context, since), parsed.by)
    if parsed.json:
        _write(as_json(table, parsed.by))
    else:
        sys.stdout.write(
            as_csv(table, parsed.by) if parsed.csv else as_text(table, parsed.by)
        )
    return 0


def _summary(job: Job) -> dict[str, Any]:
    body = job.model_dump(mode="json", by_alias=True)
    names = (
        "job_id",
        "state",
        "verdict",
        "source",
        "model",
        "team",
        "labels",
        "counts",
        "estimate",
        "cost",
        "manifest",
        "failure",
    )
    return {
        name: body[name]
        for name in (
            *names,
            "wanted",
            "held_until",
            "created_at",
            "deadline_at",
            "ended_at",
        )
    }


def _shard(shard: Shard) -> dict[str, Any]:
    body = shard.model_dump(mode="json", by_alias=True)
    names = (
        "shard_id",
        "state",
        "kind",
        "round",
        "requests",
        "tokens",
        "batch",
        "submitted_at",
        "stop",
    )
    return {name: body[name] for name in names}


def _write(body: object) -> None:
    print(json.dumps(body, indent=2, ensure_ascii=False))


COMMANDS: dict[str, Callable[[Context[CommonSettings], argparse.Namespace], int]] = {
    "list": _list,
    "status": _status,
    "cancel": run_ask,
    "release": run_ask,
    "rerun": run_rerun,
    "replay": _replay,
    "savings": _savings,
    "drain": run_drain,
    "resume": run_resume,
}
