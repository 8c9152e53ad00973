"""The main job on one machine: a file goes in, rows come out, a summary says what happened.

batchdrop demo [--input FILE] [--model NAME] [--stack embedded|emulators] [--gemini emulator|live]
               [--provider gemini|vertex]
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from batchdrop.core import logs
from batchdrop.core.errors import ConfigurationError
from batchdrop.core.recipe.recipe import RECIPE_NAME
from batchdrop.core.state import names
from batchdrop.core.upload.kinds import UPLOAD_SUFFIXES, Form, form_of, refused_name
from batchdrop_local.choosing import in_utf8, open_stack, problems
from batchdrop_local.demo import runs
from batchdrop_local.demo.runs import Asked, Run
from batchdrop_local.demo.sample import write_sample
from batchdrop_local.demo.summarizing import manifest_path, print_memory, summarize
from batchdrop_local.demo.watching import (
    UploadRefusedError,
    View,
    check_not_refused,
    follow,
)
from batchdrop_local.emulators import google_jars
from batchdrop_local.stack.children import ChildDiedError
from batchdrop_local.stack.ending import ended_by_signals, within_grace
from batchdrop_local.stack.owning import FolderError
from batchdrop_local.stack.stack import Options, Stack

TIMEOUT_SECONDS = 3600.0
LIVE_TIMEOUT_SECONDS = 48 * 3600.0
INTERRUPTED = 130
"""What shells return for a program that Ctrl-C ended."""
SAMPLE = "tickets.jsonl"
FORGETFUL_LIVE = (
    "GEMINI=live needs STACK=embedded here: the emulators forget a run that is interrupted,"
    " and it would be paid again"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for."""

    home: Path
    """Where runs get their folders."""
    input: Path | None
    """None: a sample is written."""
    model: str
    stack: str
    gemini: str
    moved: bool
    provider: str = "gemini"


def run(wanted: Wanted) -> int:
    """Run the demo; return 0 when every line is accounted for."""
    in_utf8()
    lacking = _lacking(wanted)
    if lacking:
        print("\n".join(lacking))
        return 2
    source, begun, goes_on = _begun(wanted)
    try:
        with ended_by_signals(INTERRUPTED):
            return _run(begun, source, wanted, goes_on)
    except KeyboardInterrupt:
        _say_stopped(begun)
        return INTERRUPTED
    except (FolderError, ChildDiedError, ConfigurationError, TimeoutError) as error:
        print(error)
        return 1


def _lacking(wanted: Wanted) -> list[str]:
    """Return a sentence for everything that stands in the way, before anything is started."""
    found = problems(wanted.stack, wanted.gemini, wanted.provider)
    if wanted.stack == "emulators":
        found += google_jars.missing()
        found += [FORGETFUL_LIVE] if wanted.gemini == "live" else []
    source = wanted.input
    if source is not None and not source.is_file():
        found.append(f"there is no file {source}")
    elif source is not None and form_of(source.name) not in (Form.UPLOAD, Form.JSON):
        endings = ", ".join((*UPLOAD_SUFFIXES, ".json"))
        general = f"is no upload: an upload's name ends in one of {endings}, or one of them and .gz"
        refusal = refused_name(source.name)
        found.append(
            f"{source.name}: {refusal.message} {refusal.fix}"
            if refusal
            else f"{source.name} {general}"
        )
    return found


def _begun(wanted: Wanted) -> tuple[Path, Run, bool]:
    """Return the file, the run, and whether it is an interrupted one that goes on."""
    if wanted.input is None:
        wanted.home.mkdir(parents=True, exist_ok=True)
        source = wanted.home / SAMPLE
        write_sample(source)
    else:
        source = wanted.input
    recipe = source.parent / RECIPE_NAME
    digest = runs.digest_of(source, *([recipe] if recipe.is_file() else []))
    answers = wanted.gemini if wanted.provider == "gemini" else wanted.provider
    asked = Asked(source.name, digest, wanted.model, wanted.stack, answers)
    run, goes_on = runs.begin(wanted.home, asked)
    return source, run, goes_on


def _run(run: Run, source: Path, wanted: Wanted, goes_on: bool) -> int:
    log = run.folder / "logs" / "functions.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    _say_interrupted(wanted.home, run)
    options = Options(
        root=run.folder,
        moved=wanted.moved,
        provider=wanted.provider,
        live=wanted.gemini == "live",
    )
    print(
        f"run        {run.folder}"
        + (f"  (begun {run.begun}, interrupted: it goes on)" if goes_on else "")
    )
    started = time.monotonic()
    with (
        log.open("a", buffering=1) as out,
        logs.to(out),
        open_stack(wanted.stack, options) as stack,
    ):
        ready = time.monotonic() - started
        print(
            f"stack      {wanted.stack}, ready in {ready:.1f} s; logs in {log.parent}"
        )
        try:
            view = _followed(stack, source, wanted)
        except KeyboardInterrupt:
            _say_stopped(run)
            return INTERRUPTED
        except UploadRefusedError as error:
            run.end()
            print(error, flush=True)
            return 1
        except ChildDiedError as error:
            within_grace(1)  # calls to the dead one may never be answered
            print(error, flush=True)
            return 1
        ok = summarize(
            stack.context,
            view,
            ready,
            live=wanted.gemini == "live",
            folder=source.parent,
        )
        print_memory(stack)
    run.end()
    print(f"manifest: {manifest_path(run.folder, view)}")
    return 0 if ok else 1


def _followed(stack: Stack, source: Path, wanted: Wanted) -> View:
    """Bring the file in, unless an earlier start did, and follow its job to the end."""
    recipe = source.parent / RECIPE_NAME
    if recipe.is_file():
        with recipe.open("rb") as content:
            stack.inbox.bring(content, f"demo/{RECIPE_NAME}")
        print(f"recipe     {recipe}")
    name = f"demo/{source.name}"
    with source.open("rb") as content:
        info, _ = stack.inbox.bring(
            content, name, {"model": wanted.model} if wanted.model else {}
        )
    print(f"upload     {info.bucket}/{name}  {info.size:,} bytes")
    job_id = names.job_id(info.bucket, name, info.generation)
    timeout = LIVE_TIMEOUT_SECONDS if wanted.gemini == "live" else TIMEOUT_SECONDS

    def meanwhile() -> None:
        stack.children.tend()
        check_not_refused(stack.context, info)

    return follow(stack.context, job_id, timeout, meanwhile)


def _say_interrupted(home: Path, run: Run) -> None:
    for other in runs.all_runs(home):
        if other.folder != run.folder and other.goes_on:
            what = (
                f"{other.asked.name}, Gemini {other.asked.gemini}, begun {other.begun}"
            )
            print(
                f"note       the run in {other.folder} ({what}) was interrupted; ask for it again and it goes on"
            )


def _say_stopped(run: Run) -> None:
    if run.asked.stack == "embedded":
        print(
            f"\nstopped; the same command goes on with the run in {run.folder}",
            flush=True,
        )
    else:
        print(
            "\nstopped; the emulators have forgotten the run: the same command begins a new one",
            flush=True,
        )
