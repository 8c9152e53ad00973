"""`make destroy`: end what runs at the provider, remove the stack, say what stays.

Batches and context caches are not the stack's resources: a stack that is removed under running jobs would go on paying
for them. So `batchdrop drain` comes first, and when it fails nothing is removed. What users own is protected, and left.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

PROGRAM = Path(__file__).resolve().parent
DRAIN = "import sys; from batchdrop.cli.main import main; sys.exit(main(['drain']))"
STAYS = """What stays, and what it costs:
  - the buckets for uploads and results and the database, unless keep_data is false: storage
      to remove them: pulumi config set batchdrop:keep_data false && make deploy && make destroy
      to use them again: make deploy, then batchdrop resume, because draining pauses a stack for 24 hours
      to use them in a new stack: pulumi config set batchdrop:adopt true, for its first deployment
  - deleted objects of these buckets for 7 days (soft delete): storage
  - the bucket gcf-v2-sources-NUMBER-REGION of Cloud Functions, with old archives: less than a cent a month
  - the APIs, switched on; logs until their retention ends; both free
  - the name of a deleted database cannot be used again for 5 minutes"""


def main(arguments: list[str] | None = None) -> int:
    """Destroy the chosen stack; 0 when it was done."""
    parser = argparse.ArgumentParser(
        prog="make destroy", description="Remove the stack that Pulumi has selected."
    )
    parser.add_argument(
        "--no-drain",
        action="store_true",
        help="leave batches and caches at the provider running",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parsed = parser.parse_args(arguments)
    if not parsed.no_drain and not drained():
        sys.stderr.write(
            "the stack was not drained, so nothing was removed; DRAIN=no removes it all the same\n"
        )
        return 1
    if (
        _pulumi("destroy", "--exclude-protected", *(["--yes"] if parsed.yes else []))
        != 0
    ):
        return 1
    _pulumi("stack", "--show-ids")
    sys.stdout.write(STAYS + "\n")
    return 0


def drained() -> bool:
    """Cancel all jobs of the stack and delete its caches; True when nothing of it runs any more."""
    variables = environment()
    if not variables:
        sys.stdout.write(
            "the stack has no outputs: it never ran, nothing is to be drained\n"
        )
        return True
    with TemporaryDirectory() as folder:
        drain = subprocess.run(
            [sys.executable, "-c", DRAIN],
            env={**os.environ, **variables, **keys(Path(folder))},
            check=False,
        )
    return drain.returncode == 0


def keys(folder: Path) -> dict[str, str]:
    """Return how the command line reaches the providers: their keys are written to files of this folder."""
    settings = json.loads(asked("config", "--json"))
    configured = settings.get("batchdrop:providers", {}).get("value")
    if configured is None:
        return {"GEMINI_API_KEY": asked("config", "get", "batchdrop:gemini_api_key")}
    providers: dict[str, dict[str, object]] = json.loads(configured)
    for name, instance in providers.items():
        if "secret" in instance:
            path = folder / name
            path.touch(mode=0o600)
            path.write_text(asked("config", "get", f"batchdrop:{instance['secret']}"))
            instance["secret"] = str(path)
    return {"BATCHDROP_PROVIDERS": json.dumps(providers)}


def environment() -> dict[str, str]:
    """Return what the command line needs to know of the stack, from its outputs."""
    text = str(
        json.loads(asked("stack", "output", "--json") or "{}").get("environment", "")
    )
    return dict(part.split("=", 1) for part in text.removeprefix("export ").split())


def asked(*arguments: str) -> str:
    """Return what Pulumi answers."""
    done = subprocess.run(
        ["pulumi", *arguments], cwd=PROGRAM, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _pulumi(*arguments: str) -> int:
    sys.stdout.flush()
    return subprocess.run(["pulumi", *arguments], cwd=PROGRAM, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
