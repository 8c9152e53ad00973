"""The command `batchdrop`: look at jobs and act on them, on any stack the environment points at.

Acting is a compare-and-set on `job.wanted`, then a wake; the functions do the rest.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from datetime import timedelta
from typing import Any

from batchdrop import cli_drain, cli_files
from batchdrop.core import queries
from batchdrop.core.errors import BatchdropError
from batchdrop.core.jobs import Job
from batchdrop.core.money.ledger import BY, as_csv, as_json, as_text, savings
from batchdrop.core.settings import CommonSettings, load
from batchdrop.core.shards import Shard
from batchdrop.core.waiting import why
from batchdrop.ports import Topic
from batchdrop.usecases.context import Context
from batchdrop.usecases.dispatching import read_ledger
from batchdrop.usecases.reporting import entries_since
from batchdrop.wiring import build

SHOWN = 20
WORDS = {
    "cancel": "asked the job to stop; what is answered already is written",
    "release": "asked the job to run",
}


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
    listing.add_argument("--limit", type=int, default=SHOWN)
    listing.set_defaults(run=_list)
    status = commands.add_parser("status", help="where a job is and why it waits")
    status.set_defaults(run=_status)
    cancel = commands.add_parser("cancel", help="stop a job; what is answered already is written")
    cancel.set_defaults(run=_want, wanted="cancel")
    release = commands.add_parser("release", help="let a held job run")
    release.set_defaults(run=_want, wanted="release")
    for command in (status, cancel, release):
        command.add_argument("job_id")
    replay = commands.add_parser("replay", help="deliver dead letters again")
    replay.add_argument("--dry-run", action="store_true", help="only show them")
    replay.set_defaults(run=_replay)
    saved = commands.add_parser("savings", help="what was spent, and what sending at once would have cost")
    saved.add_argument("--by", default="team", help=f"one of {', '.join(BY)}")
    saved.add_argument("--since", default="", help="a day, 2026-11-01 (default: 30 days ago)")
    saved.add_argument("--csv", action="store_true", help="for a spreadsheet")
    saved.set_defaults(run=_savings)
    for command in (listing, status, replay, saved):
        command.add_argument("--json", action="store_true", help="for programs")
    cli_files.add_commands(commands)
    cli_drain.add_commands(commands)
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
    stored = context.store.job(parsed.job_id)
    if stored is None:
        return _unknown()
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


def _want(context: Context[CommonSettings], parsed: argparse.Namespace) -> int:
    stored = context.store.job(parsed.job_id)
    if stored is None:
        return _unknown()
    if stored.value.state.terminal:
        sys.stderr.write(f"the job has ended: {stored.value.state.value}\n")
        return 1
    now = context.now()

    def wanted(job: Job) -> Job | None:
        return None if job.state.terminal else job.with_(wanted=parsed.wanted, due_at=now, updated_at=now)

    context.store.change(stored, wanted)
    context.wake(Topic.SHARDS, parsed.job_id)
    print(WORDS[parsed.wanted])
    return 0


def _replay(context: Context[CommonSettings], parsed: argparse.Namespace) -> int:
    letters = context.topics.dead_letters() if parsed.dry_run else context.topics.replay()
    shown: list[dict[str, str]] = []
    for letter in letters:
        shown.append({"topic": letter.topic, "message_id": letter.message_id})
        if not parsed.json:
            print(f"{letter.topic}  {letter.message_id}  {letter.published_at:%Y-%m-%d %H:%M}")
    if parsed.json:
        _write(shown)
    else:
        print(f"{len(shown)} dead letters{'' if parsed.dry_run else ' delivered again'}")
    return 0


def _savings(context: Context[CommonSettings], parsed: argparse.Namespace) -> int:
    since = parsed.since or (context.now() - timedelta(days=30)).date().isoformat()
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", since) or not (parsed.by in BY or parsed.by.startswith("label:")):
        sys.stderr.write(f"--since takes a day such as 2026-11-01, --by one of {', '.join(BY)}\n")
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
    return {name: body[name] for name in (*names, "wanted", "created_at", "deadline_at", "ended_at")}


def _shard(shard: Shard) -> dict[str, Any]:
    body = shard.model_dump(mode="json", by_alias=True)
    names = ("shard_id", "state", "kind", "round", "requests", "tokens", "batch", "submitted_at", "stop")
    return {name: body[name] for name in names}


def _write(body: object) -> None:
    print(json.dumps(body, indent=2, ensure_ascii=False))


def _unknown() -> int:
    sys.stderr.write("there is no such job\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
