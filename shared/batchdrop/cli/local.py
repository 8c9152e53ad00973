"""The commands that need no cloud: a demo, a stack that stays, an emulator alone.

They are the package `batchdrop_local`, which the extra `local` gives what it needs; it is imported when one runs.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Final

from batchdrop.core.codes import Code
from batchdrop.core.errors import PermanentError

COMMANDS: Final = ("demo", "up", "emulator")
EMULATORS: Final = ("gemini", "storage")


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    """Add the commands; nothing of the local package is imported."""
    demo = commands.add_parser(
        "demo", help="run one file through a stack on this machine"
    )
    demo.add_argument(
        "--input",
        type=Path,
        default=None,
        help="a file of requests or records (default: a sample)",
    )
    demo.add_argument(
        "--model", default="", help="the Gemini model (default: the stack's)"
    )
    demo.add_argument(
        "--provider",
        default="gemini",
        help="which service answers: gemini (default), or vertex, as an emulator",
    )
    up = commands.add_parser("up", help="keep a stack running on this machine")
    up.add_argument(
        "--quiet-seconds",
        type=float,
        help="how long a file that was seen to grow must rest (default: 10)",
    )
    for command in (demo, up):
        command.add_argument(
            "--stack",
            default="embedded",
            help="embedded (default), or emulators: Google's",
        )
        command.add_argument(
            "--gemini",
            default="emulator",
            help="emulator (default), or live: the real API, paid",
        )
        command.add_argument(
            "--data",
            type=Path,
            help="the folder that is kept (default: in ~/.local/share/batchdrop)",
        )
        command.add_argument(
            "--moved",
            action="store_true",
            help="take a moved or restored folder for the only one",
        )
    emulator = commands.add_parser(
        "emulator", help="run an emulator alone, for your own tests"
    )
    emulator.add_argument("service", choices=EMULATORS)
    emulator.add_argument(
        "options",
        nargs=argparse.REMAINDER,
        help="see `batchdrop emulator SERVICE --help`",
    )


def data_home() -> Path:
    """Return where data goes that nobody named a folder for (XDG Base Directory Specification 0.8)."""
    named = os.environ.get("XDG_DATA_HOME", "")
    home = (
        Path(named) if Path(named).is_absolute() else Path.home() / ".local" / "share"
    )
    return home / "batchdrop"


def run(parsed: argparse.Namespace) -> int:
    """Run one of the commands.

    Raises:
        PermanentError: EXTRA_MISSING, a package of the extra is not installed.
    """
    try:
        return _RUN[parsed.command](parsed)
    except ModuleNotFoundError as error:
        if (error.name or "batchdrop").startswith("batchdrop"):
            raise
        sentence = "A stack on this machine needs more packages: pip install 'batchdrop[local]'"
        raise PermanentError(sentence, code=Code.EXTRA_MISSING) from None


def _demo(parsed: argparse.Namespace) -> int:
    from batchdrop_local.demo.demo import Wanted, run

    home = (parsed.data or data_home() / "demo").resolve()
    return run(
        Wanted(
            home,
            parsed.input,
            parsed.model,
            parsed.stack,
            parsed.gemini,
            parsed.moved,
            parsed.provider,
        )
    )


def _up(parsed: argparse.Namespace) -> int:
    from batchdrop_local.up import Wanted, run

    data = parsed.data or data_home() / parsed.stack
    return run(
        Wanted(data, parsed.stack, parsed.gemini, parsed.quiet_seconds, parsed.moved)
    )


def _emulator(parsed: argparse.Namespace) -> int:
    if parsed.service == "gemini":
        from batchdrop_local.emulators.gemini.__main__ import main
    else:
        from batchdrop_local.emulators.storage.__main__ import main
    return main(["--data", str(data_home() / parsed.service), *parsed.options])


_RUN: Final = {"demo": _demo, "up": _up, "emulator": _emulator}
