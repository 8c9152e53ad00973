"""The command `batchdrop`: check a file before it is uploaded, look at jobs and act on them.

    validate estimate convert                           a file on this machine: no stack, no network (`files`)
    list status cancel release replay savings drain resume   the stack that the environment points at (`stack`)
    demo up emulator                                    a stack on this machine (`local`)

This module knows words only: what a command needs is imported when it runs, so help comes at once and a command
works without the packages of another. A package that is missing is answered with the extra that brings it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from batchdrop import __version__
from batchdrop.cli import drain, jobs, local
from batchdrop.core.errors import BatchdropError

SHOWN = 20
EXTRAS = {
    "pyarrow": "Parquet needs more packages: pip install 'batchdrop[tables]'",
    "google": "A stack on Google Cloud needs more packages: pip install 'batchdrop[cloud]'",
}
"""What to do when a package is missing, by its top level name."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when it was done, 1 when it could not be, with a sentence on stderr."""
    parsed = _parser().parse_args(arguments)
    try:
        return _run(parsed)
    except BatchdropError as error:
        sys.stderr.write(f"{error.code}: {error.sentence}\n")
    except ModuleNotFoundError as error:
        sentence = EXTRAS.get((error.name or "").partition(".")[0])
        if sentence is None:
            raise
        sys.stderr.write(f"EXTRA_MISSING: {sentence}\n")
    except BrokenPipeError:
        sys.stderr.close()
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
    return 1


def _run(parsed: argparse.Namespace) -> int:
    if "file" in parsed:
        from batchdrop.cli import files

        return files.COMMANDS[parsed.command](parsed)
    if parsed.command in local.COMMANDS:
        return local.run(parsed)
    from batchdrop.cli import stack

    return stack.run(parsed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="batchdrop", description="Check files, look at batch jobs and act on them."
    )
    parser.add_argument(
        "--version", action="version", version=f"batchdrop {__version__}"
    )
    commands = parser.add_subparsers(required=True, metavar="command", dest="command")
    _add_file_commands(commands)
    _add_stack_commands(commands)
    local.add_commands(commands)
    return parser


def _add_file_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]
) -> None:
    validate = commands.add_parser(
        "validate", help="check a file before it is uploaded"
    )
    validate.add_argument(
        "--json",
        action="store_true",
        help="for programs: one JSON object a problem, then the sums",
    )
    estimate = commands.add_parser(
        "estimate", help="what a file may cost, run in each way"
    )
    estimate.add_argument("--json", action="store_true", help="for programs")
    estimate.add_argument(
        "--output-tokens",
        type=int,
        default=None,
        help="tokens of an answer, if you know them",
    )
    estimate.add_argument(
        "--hours",
        type=float,
        default=24,
        help="how long a cache will be kept (default 24)",
    )
    convert = commands.add_parser(
        "convert", help="write a file as Gemini batch JSONL to standard output"
    )
    convert.add_argument("--to", choices=("gemini",), default="gemini")
    for command in (validate, estimate, convert):
        command.add_argument("file", type=Path)
        command.add_argument(
            "--recipe",
            type=Path,
            help="the recipe (default: recipe.yaml beside the file)",
        )
        command.add_argument("--model", default="", help="the model it will run on")


def _add_stack_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]
) -> None:
    listing = commands.add_parser("list", help="the newest jobs")
    listing.add_argument("--limit", type=jobs.count, default=SHOWN)
    status = commands.add_parser("status", help="where a job is and why it waits")
    status.add_argument("job_id")
    jobs.add_commands(commands)
    replay = commands.add_parser("replay", help="deliver dead letters again")
    replay.add_argument("--dry-run", action="store_true", help="only show them")
    saved = commands.add_parser(
        "savings", help="what was spent, and what sending at once would have cost"
    )
    saved.add_argument(
        "--by", default="team", help="one of team, model, day, job, label:NAME"
    )
    saved.add_argument(
        "--since", type=jobs.day, help="a day, 2026-11-01 (default: 30 days ago)"
    )
    saved.add_argument("--csv", action="store_true", help="for a spreadsheet")
    for command in (listing, status, replay, saved):
        command.add_argument("--json", action="store_true", help="for programs")
    drain.add_commands(commands)


if __name__ == "__main__":
    sys.exit(main())
