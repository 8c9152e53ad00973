"""A fake engine: runs a Pulumi program as the Pulumi CLI's language host does, makes nothing, and remembers everything.

        subprocess: host.py                              this process
        infra/__main__.py -- registerResource, invoke --> monitor.Monitor --> journal.Journal --> tests
                          <-- ids, outputs, unknowns ---- answers

The program and Pulumi's SDK are the real ones, over the real protocol; configuration arrives as text. What is faked is
Google's side: an answer never fails unless `refuse` says so. What Google would refuse is said by `tests.infra.fields`
(schema) and `tests.infra.rules` (everything else), which read the journal.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import grpc
import yaml
from pulumi.runtime.proto import engine_pb2_grpc, resource_pb2_grpc

from tests.infra.engine.journal import Invoke, Journal, Resource
from tests.infra.engine.monitor import Engine, Monitor, Refusal
from tests.infra.engine.values import UNKNOWN, Archive

__all__ = ["UNKNOWN", "Archive", "Invoke", "Journal", "Resource", "Run", "run"]

HOST = Path(__file__).parent / "host.py"
SECONDS = 120
"""A program that takes longer hangs; on a quiet machine it takes four."""
MESSAGE_BYTES = 400 * 1024 * 1024
"""As the CLI and the SDK have it (pulumi/pulumi, sdk/python/lib/pulumi/runtime/_grpc_settings.py)."""


@dataclass(frozen=True)
class Run:
    """How a program ended, and what it asked for."""

    exit_code: int
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    refused: tuple[str, ...]
    journal: Journal
    printed: str

    def journal_or_fail(self) -> Journal:
        """Return the journal of a run that ended well."""
        assert self.exit_code == 0, "\n".join([*self.errors, self.printed])
        return self.journal


def run(
    program: Path,
    config: Mapping[str, str],
    *,
    secrets: Collection[str] = (),
    preview: bool = False,
    stack: str = "dev",
    path: Sequence[Path] = (),
    refuse: Refusal = lambda _: None,
) -> Run:
    """Run a program once.

    Args:
        program: The folder with `Pulumi.yaml` and `__main__.py`.
        config: What `pulumi config set` was given, as text, by full names (`gcp:project`); values with structure are
            JSON. What `Pulumi.yaml` sets itself comes first.
        secrets: The names that were set with `--secret`.
        preview: Whether nothing is made yet, so that ids and computed outputs are unknown.
        stack: The stack's name.
        path: Folders with packages that stand for installed ones.
        refuse: Says why a resource is refused, or None.
    """
    project = cast("dict[str, Any]", yaml.safe_load((program / "Pulumi.yaml").read_text()))
    monitor = Monitor(project=project["name"], stack=stack, preview=preview, refuse=refuse)
    engine = Engine()
    with _served(monitor, engine) as address:
        arguments = {
            "monitor": address,
            "engine": address,
            "project": project["name"],
            "stack": stack,
            "dry-run": str(preview).lower(),
            "program": str(program),
        }
        done = subprocess.run(
            [sys.executable, str(HOST), *(f"--{name}={value}" for name, value in arguments.items())],
            env=_environment({**_defaults(project), **config}, secrets, path),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    return Run(
        done.returncode,
        tuple(engine.errors),
        tuple(engine.warnings),
        tuple(monitor.refused),
        monitor.journal,
        done.stdout + done.stderr,
    )


def _defaults(project: Mapping[str, Any]) -> dict[str, str]:
    """Return the configuration that `Pulumi.yaml` itself sets: plain values, or objects with a default."""
    given: Mapping[str, Any] = project.get("config", {})
    return {name: _text(_default(value)) for name, value in given.items()}


def _default(value: Any) -> Any:
    return cast("dict[str, Any]", value).get("default") if isinstance(value, dict) else value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _environment(config: Mapping[str, str], secrets: Collection[str], path: Sequence[Path]) -> dict[str, str]:
    """Return what the CLI sets; of this process's environment only what finds Python and its files."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    return kept | {
        "PULUMI_CONFIG": json.dumps(dict(config)),
        "PULUMI_CONFIG_SECRET_KEYS": json.dumps(sorted(secrets)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": ":".join(map(str, path)),
    }


@contextmanager
def _served(monitor: Monitor, engine: Engine) -> Generator[str]:
    limits = [("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)]
    server = grpc.server(ThreadPoolExecutor(max_workers=32), options=limits)
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(monitor, server)
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait()
