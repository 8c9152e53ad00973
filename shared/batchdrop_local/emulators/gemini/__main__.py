"""Run the Gemini emulator alone: `batchdrop emulator gemini --port 8085 --data FOLDER`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

import msgspec

from batchdrop_local.emulators.gemini.faults import Faults, decode
from batchdrop_local.emulators.gemini.server import GeminiEmulator


def main(typed: list[str]) -> int:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="batchdrop emulator gemini",
        description="A Gemini Developer API on this machine.",
    )
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder that keeps files and batches"
    )
    parser.add_argument(
        "--port-file", type=Path, default=None, help="write the port here when ready"
    )
    parser.add_argument(
        "--faults",
        default="",
        help="JSON, see batchdrop_local/emulators/gemini/faults.py",
    )
    parser.add_argument(
        "--models", default="", help="more model names, comma separated"
    )
    arguments = parser.parse_args(typed)
    try:
        faults = decode(arguments.faults) if arguments.faults else Faults()
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        sys.stderr.write(f"--faults: {error}\n")
        return 2
    models = tuple(str(name) for name in arguments.models.split(",") if name)
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # a shell's background job would ignore Ctrl-C's signal
        signal.signal(number, signal.default_int_handler)
    with GeminiEmulator(
        data_dir=arguments.data, faults=faults, port=arguments.port, models=models
    ) as gemini:
        if arguments.port_file:
            partial = arguments.port_file.with_suffix(".new")
            partial.write_text(gemini.url.rpartition(":")[2])
            partial.replace(arguments.port_file)
        print(f"gemini emulator: {gemini.url}", flush=True)
        try:
            gemini.wait()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
