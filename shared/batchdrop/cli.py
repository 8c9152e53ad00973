"""The command `batchdrop`: look at jobs and act on them, on any stack the environment points at.

Acting is a compare-and-set on `job.wanted`, then a wake; the functions do the rest.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import timedelta
from typing import Any

from batchdrop import cli_files, cli_jobs
from batchdrop.core import queries
from batchdrop.core.errors import BatchdropError
from batchdrop.core.jobs import Job
from batchdrop.core.money.ledger import BY, as_csv, as_json, as_text, savings
from batchdrop.core.settings import CommonSettings, load
from batchdrop.core.shards import Shard
from batchdrop.core.waiting import why
from batchdrop.usecases.context import Context
from batchdrop.usecases.dispatching import read_ledger
from batchdrop.usecases.reporting import entries_since
from batchdrop.wiring import build

SHOWN = 20


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when it was done, 1 when it could not be, with a sentence on stderr."""
    parsed = _parser().parse_args(arguments)
    try:
        if "local" in parsed:
            return int(parsed.local(parsed))
        return int(parsed.run(build(load(CommonSettings)), parsed))
    except BatchdropError as error:
        sys.stderr.write(f"{error.code}: {error.sentence}\n")
    except BrokenPipeError:
        sys.stderr.close()
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="batchdrop", description="Look at batch jobs and act on them.")
    commands = parser.add_subparsers(required=True, metavar="command")
    listing = commands.add_parser("list", help="the newest jobs")
    listing.add_argument("--limit", type=cli_jobs.count, default=SHOWN)
    listing.set_defaults(run=_list)
    status = commands.add_parser("status", help="where a job is and why it waits")
    status.set_defaults(run=_status)
    status.add_argument("job_id")
    cli_jobs.add_commands(commands)
    replay = commands.add_parser("replay", help="deliver dead letters again")
    replay.add_argument("--dry-run", action="store_true", help="only show them")
    replay.set_defaults(run=_replay)
    saved = commands.add_parser("savings", help="what was spent, and what sending at once would have cost")
    saved.add_argument("--by", default="team", help=f"one of {', '.join(BY)}")
    saved.add_argument("--since", type=cli_jobs.day, default="", help="a day, 2026-11-01 (default: 30 days ago)")
    saved.add_argument("--csv", action="store_true", help="for a spreadsheet")
    saved.set_defaults(run=_savings)
    for command in (listing, status, replay, saved):
        command.add_argument("--json", action="store_true", help="for programs")
    cli_files.add_commands(commands)
    return parser


def _list(context: Context[CommonSettings], parsed: argparse.Namespace) -> int:
    jobs = [stored.value for stored in context.store.jobs(queries.newest_jobs(parsed.limit))]
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
    stored = cli_jobs.job_of(context, parsed.job_id)
    if stored is None:
        return 1
    job = stored.value
    shards = [entry.value for entry in context.store.shards(queries.shards_of(job.job_id))]
    sentences = why(job, shards, read_ledger(context, job.model), context.now())
    if parsed.json:
        _write({**_summary(job), "why": sentences, "shards": [_shard(shard) for shard in shards]})
        return 0
    print(f"{job.job_id}  {job.state.value}  {json.dumps(job.source.object)[1:-1]}")
    for sentence in sentences:
        print(f"  {sentence}")
    return 0


def _replay(context: Context[CommonSettings], parsed: argparse.Namespace) -> int:
    letters = context.topics.dead_letters()
    for letter in letters:
        if not parsed.dry_run:
            context.topics.replay(letter)
    if parsed.json:
        _write([{"topic": entry.topic, "message_id": entry.message_id} for entry in letters])
        return 0
    for letter in letters:
        print(f"{letter.topic}  {letter.message_id}  {letter.published_at:%Y-%m-%d %H:%M}")
    print(f"{len(letters)} dead letters{'' if parsed.dry_run else ' delivered again'}")
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
        sys.stdout.write(as_csv(table, parsed.by) if parsed.csv else as_text(table, parsed.by))
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
    return {name: body[name] for name in (*names, "wanted", "held_until", "created_at", "deadline_at", "ended_at")}


def _shard(shard: Shard) -> dict[str, Any]:
    body = shard.model_dump(mode="json", by_alias=True)
    names = ("shard_id", "state", "kind", "round", "requests", "tokens", "batch", "submitted_at", "stop")
    return {name: body[name] for name in names}


def _write(body: object) -> None:
    print(json.dumps(body, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    sys.exit(main())
