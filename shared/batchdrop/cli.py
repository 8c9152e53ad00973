"""The command `batchdrop`: look at jobs and act on them, on any stack the environment points at.

Acting is a compare-and-set on `job.wanted`, then a wake; the functions do the rest.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter

from batchdrop.core import queries
from batchdrop.core.errors import BatchdropError
from batchdrop.core.jobs import Job
from batchdrop.core.settings import CommonSettings, load
from batchdrop.ports import Topic
from batchdrop.usecases.context import Context
from batchdrop.wiring import build

SHOWN = 20


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when it was done, 1 when it could not be, with a sentence on stderr."""
    parsed = _parser().parse_args(arguments)
    try:
        return int(parsed.run(build(load(CommonSettings)), parsed))
    except BatchdropError as error:
        sys.stderr.write(f"{error.code}: {error.sentence}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="batchdrop", description="Look at batch jobs and act on them.")
    commands = parser.add_subparsers(required=True, metavar="command")
    listing = commands.add_parser("list", help="the newest jobs")
    listing.add_argument("--limit", type=int, default=SHOWN)
    listing.set_defaults(run=_list)
    for name, what in (
        ("status", "everything about one job, as JSON"),
        ("cancel", "stop a job; what is answered already is written"),
        ("release", "let a held job run"),
    ):
        command = commands.add_parser(name, help=what)
        command.add_argument("job_id")
        command.set_defaults(run=_status if name == "status" else _want, wanted=name)
    replay = commands.add_parser("replay", help="deliver dead letters again")
    replay.add_argument("--dry-run", action="store_true", help="only show them")
    replay.set_defaults(run=_replay)
    return parser


def _list(context: Context[CommonSettings], parsed: argparse.Namespace) -> int:
    for stored in context.store.jobs(queries.newest_jobs(parsed.limit)):
        job = stored.value
        counts = job.counts
        print(
            f"{job.job_id}  {job.created_at:%Y-%m-%d %H:%M}  {job.state.value:<10} {job.verdict or '-':<8} "
            f"{counts.lines:>9,} lines  {counts.results:>9,} results  {job.source.object}"
        )
    return 0


def _status(context: Context[CommonSettings], parsed: argparse.Namespace) -> int:
    stored = context.store.job(parsed.job_id)
    if stored is None:
        return _unknown()
    shards = [entry.value for entry in context.store.shards(queries.shards_of(parsed.job_id))]
    body = stored.value.model_dump(mode="json", by_alias=True)
    body["shards"] = dict(Counter(shard.state.value for shard in shards))
    body["batches"] = [shard.batch.model_dump(mode="json") for shard in shards if shard.batch.name]
    print(json.dumps(body, indent=2, ensure_ascii=False))
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
        return None if job.state.terminal else job.with_(wanted=parsed.wanted, updated_at=now)

    context.store.change(stored, wanted)
    context.wake(Topic.SHARDS, parsed.job_id)
    print(f"{parsed.wanted} asked for")
    return 0


def _replay(context: Context[CommonSettings], parsed: argparse.Namespace) -> int:
    letters = context.topics.dead_letters()
    for letter in letters:
        print(f"{letter.topic}  {letter.message_id}  {letter.published_at:%Y-%m-%d %H:%M}")
        if not parsed.dry_run:
            context.topics.replay(letter)
    print(f"{len(letters)} dead letters{'' if parsed.dry_run else ' delivered again'}")
    return 0


def _unknown() -> int:
    sys.stderr.write("there is no such job\n")
    return 1
