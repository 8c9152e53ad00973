"""`make smoke PROJECT=my-project`: a real project, a real key, ten lines, a replayed dead letter, the cost, no trace.

Needs the Pulumi CLI with a login, Google Cloud credentials (`gcloud auth application-default login`) of somebody with
the roles that the README lists under "Deploy", and the key in GEMINI_API_KEY. Making and removing the stack and the
batch take most of its time. It has never run where this repository is tested: there is no project there.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

from batchdrop.core.settings import CommonSettings, load
from batchdrop.core.state.messages import Wake
from batchdrop.ports import Topic
from batchdrop.steps.context import Context
from batchdrop.wiring import build
from infra.destroy import PROGRAM, environment
from infra.destroy import main as destroy

LINES = 10
PATIENCE = timedelta(hours=2)
"""Batches of ten lines ended within minutes; the provider promises a day."""
LOOK_SECONDS = 15.0
REPLAY_SECONDS = 120.0


def main() -> int:
    """Run it all; the stack is removed whatever happened."""
    parser = argparse.ArgumentParser(prog="make smoke")
    parser.add_argument("--project", required=True)
    parser.add_argument("--region", default="europe-west1")
    parsed = parser.parse_args()
    key = os.environ.get("GEMINI_API_KEY", "")
    if not key:
        sys.stderr.write("set GEMINI_API_KEY\n")
        return 1
    name = f"smoke-{secrets.token_hex(3)}"
    _pulumi("stack", "init", name)
    try:
        _deploy(name, parsed.project, parsed.region, key)
        os.environ.update(environment())
        _run(build(load(CommonSettings)))
    finally:
        removed = destroy(["--yes"])
        if removed == 0:
            _pulumi("stack", "rm", name, "--yes")
    return removed


def _deploy(prefix: str, project: str, region: str, key: str) -> None:
    chosen = {"gcp:project": project, "gcp:region": region, "batchdrop:prefix": prefix, "batchdrop:keep_data": "false"}
    for name, value in chosen.items():
        _pulumi("config", "set", name, value)
    _pulumi("config", "set", "--secret", "batchdrop:gemini_api_key", said=key)
    _pulumi("up", "--yes")


def _run(context: Context[CommonSettings]) -> None:
    """Send ten lines and wait for their rows; then give up a message on purpose and replay it."""
    with context.objects.create(context.settings.input_bucket, "smoke/ten.jsonl") as writer:
        for number in range(LINES):
            text = f"Answer with the number {number} and nothing else."
            request = {"key": str(number), "request": {"contents": [{"parts": [{"text": text}]}]}}
            writer.write(json.dumps(request).encode() + b"\n")
        writer.close()
    manifest = _manifest(context)
    counts = manifest["counts"]
    if counts["results"] + counts["errors"] + counts["rejections"] != LINES:
        raise SystemExit(f"rows are missing: {counts}")
    _replay(context)
    sys.stdout.write(f"{counts['results']} results of {LINES} lines; cost {manifest['cost']}\n")


def _manifest(context: Context[CommonSettings]) -> dict[str, Any]:
    bucket, until = context.settings.output_bucket, time.monotonic() + PATIENCE.total_seconds()
    while time.monotonic() < until:
        for entry in context.objects.list(bucket, prefix="smoke/").objects:
            if entry.name.endswith("/manifest.json"):
                return dict(json.loads(b"".join(context.objects.read(bucket, entry.name))))
        time.sleep(LOOK_SECONDS)
    raise SystemExit(f"no manifest after {PATIENCE}")


def _replay(context: Context[CommonSettings]) -> None:
    """Put a letter where given-up messages lie, a wake for a job there is not, and have it delivered again."""
    from google.cloud import pubsub_v1

    settings = context.settings
    publisher = pubsub_v1.PublisherClient()
    dead = publisher.topic_path(settings.project, f"{settings.topic_prefix}-{Topic.SHARDS}-dead")
    publisher.publish(dead, Wake("0" * 32).encode()).result(timeout=60)
    replay = "import sys; from batchdrop.cli.main import main; sys.exit(main(['replay', '--json']))"
    until = time.monotonic() + REPLAY_SECONDS
    while time.monotonic() < until:
        done = subprocess.run([sys.executable, "-c", replay], capture_output=True, text=True, check=True)
        if json.loads(done.stdout):
            sys.stdout.write(f"replayed: {done.stdout}")
            return
        time.sleep(LOOK_SECONDS)
    raise SystemExit("the dead letter was not found")


def _pulumi(*arguments: str, said: str | None = None) -> None:
    subprocess.run(["pulumi", *arguments], cwd=PROGRAM, input=said, text=True, check=True)


if __name__ == "__main__":
    sys.exit(main())
