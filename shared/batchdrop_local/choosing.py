"""What `demo` and `up` are asked for: which stack, which Gemini; and what is wrong with that, in sentences."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager
from typing import Final

from batchdrop_local.stack.stack import Options, Stack, embedded

STACKS: Final = ("embedded", "emulators")
GEMINIS: Final = ("emulator", "live")
PROVIDERS: Final = ("gemini", "vertex")


def problems(stack: str, gemini: str, provider: str = "gemini") -> list[str]:
    """Return a sentence for each thing that cannot be had as it was asked for."""
    found: list[str] = []
    if stack not in STACKS:
        found.append(f"STACK={stack} is unknown: it is {' or '.join(STACKS)}")
    if gemini not in GEMINIS:
        found.append(f"GEMINI={gemini} is unknown: it is {' or '.join(GEMINIS)}")
    if gemini == "live" and not os.environ.get("GEMINI_API_KEY"):
        found.append("GEMINI=live needs the environment variable GEMINI_API_KEY")
    if provider not in PROVIDERS:
        found.append(f"PROVIDER={provider} is unknown: it is {' or '.join(PROVIDERS)}")
    if provider == "vertex" and gemini == "live":
        found.append(
            "PROVIDER=vertex has an emulator here: the real one reads buckets of Google Cloud only"
        )
    return found


def open_stack(name: str, options: Options) -> AbstractContextManager[Stack]:
    """Return the stack of that name, to be entered."""
    if name == "embedded":
        return embedded(options)
    from batchdrop_local.stack.emulated import emulated

    return emulated(options)


def in_utf8() -> None:
    """Start this program again in Python's UTF-8 mode where names would be taken for another encoding (PEP 540)."""
    if sys.getfilesystemencoding() != "utf-8":
        command = [sys.executable, "-X", "utf8", *sys.orig_argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "PYTHONUTF8": "1"})
