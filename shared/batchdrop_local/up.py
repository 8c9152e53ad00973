"""`batchdrop up`: keep a stack running for work by hand.

A file copied into the input folder is an upload. Everything it starts ends with it, also when it is killed.
"""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from batchdrop.core import logs
from batchdrop.core.errors import ConfigurationError
from batchdrop_local.choosing import in_utf8, open_stack, problems
from batchdrop_local.emulators import google_jars
from batchdrop_local.folder.settling import QUIET_SECONDS
from batchdrop_local.stack.children import ChildDiedError
from batchdrop_local.stack.ending import ended_by_signals, within_grace
from batchdrop_local.stack.forgotten import not_run
from batchdrop_local.stack.owning import FolderError
from batchdrop_local.stack.stack import EMULATOR_KEY, Options, Stack
from batchdrop_local.telling import Teller

TEND_SECONDS = 0.5
FORGETFUL = (
    "The emulators keep jobs, records and messages in memory: at the next start, files that were not answered are\n"
    "planned again, and their batches are looked for before anything is sent; touch a file to run it again."
)
FORGETFUL_LIVE = (
    "GEMINI=live with STACK=emulators: when this stops, what it knows of batches under way is lost. At the next start\n"
    "they are looked for by their names and collected; other files that were not answered are not run again. Touch a\n"
    "file to run it. STACK=embedded keeps everything on disk and goes on where it stopped."
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for."""

    data: Path
    """The stack's folder, kept between runs."""
    stack: str
    gemini: str
    quiet_seconds: float | None
    moved: bool


def run(wanted: Wanted) -> int:
    """Run until SIGINT, SIGTERM or SIGHUP, or until a process dies whose memory held the stack's state."""
    in_utf8()
    lacking = problems(wanted.stack, wanted.gemini)
    lacking += google_jars.missing() if wanted.stack == "emulators" else []
    if lacking:
        print("\n".join(lacking))
        return 2
    options = Options(
        root=wanted.data.resolve(),
        moved=wanted.moved,
        live=wanted.gemini == "live",
        quiet_seconds=QUIET_SECONDS
        if wanted.quiet_seconds is None
        else wanted.quiet_seconds,
    )
    try:
        with ended_by_signals(0):
            return _run(wanted.stack, options)
    except KeyboardInterrupt:
        return 0
    except (FolderError, ChildDiedError, ConfigurationError) as error:
        print(error)
        return 1


def _run(name: str, options: Options) -> int:
    log = options.root / "logs" / "functions.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("a", buffering=1) as out,
        logs.to(out),
        open_stack(name, options) as stack,
    ):
        teller = Teller(stack.context, options.say)
        _introduce(stack, options)
        with teller.telling():
            return _tended(stack)


def _tended(stack: Stack) -> int:
    """Look after the children until a signal comes; return how `up` ends.

    They are started from this, the main thread. What follows may wait for calls that a dead emulator never answers, so
    the end has its time from here on.
    """
    try:
        while True:
            stack.children.tend()
            time.sleep(TEND_SECONDS)
    except ChildDiedError as error:
        within_grace(1)
        print(error, flush=True)
        return 1
    except KeyboardInterrupt:
        print("stopping; a second Ctrl-C stops at once", flush=True)
        if stack.notifies:
            print(
                FORGETFUL if stack.gemini_url is not None else FORGETFUL_LIVE,
                flush=True,
            )
        return 0


def _introduce(stack: Stack, options: Options) -> None:
    root = options.root
    variables = root / "environment"
    lines = (
        f"export {name}={shlex.quote(value)}"
        for name, value in sorted(exported(stack).items())
    )
    variables.write_text("\n".join(lines) + "\n")
    print(f"input folder   {stack.input_folder}   (copy a file here)")
    print(f"output         {root / 'buckets' / stack.context.settings.output_bucket}")
    print(
        f"functions      {stack.url_of('submit')}  {stack.url_of('poll')}  {stack.url_of('write')}"
    )
    if stack.gemini_url is None:
        print("Gemini         the real API, which is paid")
    else:
        print(
            f"Gemini         GOOGLE_GEMINI_BASE_URL={stack.gemini_url} GEMINI_API_KEY={EMULATOR_KEY}"
        )
    for name in (
        "PUBSUB_EMULATOR_HOST",
        "FIRESTORE_EMULATOR_HOST",
        "STORAGE_EMULATOR_HOST",
    ):
        if name in stack.environment:
            print(f"{name:<24} {stack.environment[name]}")
    print(f"logs           {root / 'logs'}")
    print(
        f"variables      source {shlex.quote(str(variables))}   (for batchdrop, gcloud and client libraries)"
    )
    if stack.notifies and stack.gemini_url is not None:
        print(FORGETFUL)
    if stack.notifies and stack.gemini_url is None:
        print("\n".join(filter(None, (FORGETFUL_LIVE, not_run(stack.context)))))
    print("ready; stop with Ctrl-C", flush=True)


def exported(stack: Stack) -> dict[str, str]:
    """Return the variables with which the command line, gcloud and the client libraries reach the stack.

    Overrides must end in a slash (gcloud 528 refuses others); gcloud appends `storage/v1/` and `v1/` itself.
    """
    found = dict(stack.environment)
    if stack.gemini_url is not None:
        found["GOOGLE_GEMINI_BASE_URL"] = stack.gemini_url
    if "STORAGE_EMULATOR_HOST" in found:
        found |= {
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{found['STORAGE_EMULATOR_HOST']}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": f"http://{found['PUBSUB_EMULATOR_HOST']}/",
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_CORE_PROJECT": google_jars.PROJECT,
        }
    return found


if __name__ == "__main__":
    from batchdrop.cli.main import main

    sys.exit(main(["up", *sys.argv[1:]]))
