"""Keep a stack running for work by hand: `python -m infra.local.up --stack embedded --data FOLDER`.

A JSONL file copied into the input folder is an upload. Everything it starts ends with it, also when it is killed.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import threading
from pathlib import Path

from batchdrop.core import logs
from infra.local import google_emulators
from infra.local.demo import open_stack
from infra.local.stack import Options, Stack


def main() -> int:
    """Run until SIGINT, SIGTERM or SIGHUP."""
    parser = argparse.ArgumentParser(description="Keep a Batchdrop stack running on this machine.")
    parser.add_argument("--stack", choices=("embedded", "emulators"), default="embedded")
    parser.add_argument("--data", type=Path, required=True, help="the stack's folder, kept between runs")
    parser.add_argument("--live", action="store_true", help="use the real Gemini API with GEMINI_API_KEY")
    arguments = parser.parse_args()
    lacking = google_emulators.missing() if arguments.stack == "emulators" else []
    if arguments.live and not os.environ.get("GEMINI_API_KEY"):
        lacking.append("GEMINI=live needs the environment variable GEMINI_API_KEY")
    if lacking:
        sys.stdout.write("\n".join(lacking) + "\n")
        return 2
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: stopped.set())
    root = arguments.data.resolve()
    log = root / "logs" / "functions.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    options = Options(root=root, live=arguments.live)
    with log.open("a", buffering=1) as out, logs.to(out), open_stack(arguments.stack, options) as stack:
        _say(stack, root)
        stopped.wait()
        print("stopping")
    return 0


def _say(stack: Stack, root: Path) -> None:
    variables = root / "environment"
    lines = (f"export {name}={shlex.quote(value)}" for name, value in sorted(stack.environment.items()))
    variables.write_text("\n".join(lines) + "\n")
    print(f"input folder   {stack.input_folder}   (copy a .jsonl file here)")
    print(f"output         {root / 'buckets' / stack.context.settings.output_bucket}")
    print(f"functions      {stack.url_of('submit')}  {stack.url_of('poll')}  {stack.url_of('write')}")
    print(f"Gemini         {stack.gemini_url or 'the real API'}")
    for name in ("PUBSUB_EMULATOR_HOST", "FIRESTORE_EMULATOR_HOST", "STORAGE_EMULATOR_HOST"):
        if name in stack.environment:
            print(f"{name:<24} {stack.environment[name]}")
    print(f"logs           {root / 'logs'}")
    print(f"variables      source {variables}")
    print("ready; stop with Ctrl-C", flush=True)


if __name__ == "__main__":
    sys.exit(main())
