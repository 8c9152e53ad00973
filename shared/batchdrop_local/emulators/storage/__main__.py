"""Run the Cloud Storage server alone: `batchdrop emulator storage --port 8086 --data FOLDER`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from batchdrop_local.emulators.storage.server import StorageEmulator


def main(typed: list[str]) -> int:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="batchdrop emulator storage",
        description="A Cloud Storage JSON API on this machine.",
    )
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder that keeps the objects, a folder a bucket",
    )
    arguments = parser.parse_args(typed)
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # a shell's background job would ignore Ctrl-C's signal
        signal.signal(number, signal.default_int_handler)
    with StorageEmulator(arguments.data, arguments.port) as storage:
        print(f"storage emulator: STORAGE_EMULATOR_HOST={storage.url}", flush=True)
        try:
            storage.wait()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
