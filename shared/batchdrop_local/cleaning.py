"""`make clean`: removes the data folders that we made, and nothing else.

python3 -m batchdrop_local.cleaning FOLDER      (needs nothing but Python)
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from batchdrop_local.stack.owning import in_use, is_ours

DEMO_MARK = "run.json"
"""What a run of the demo holds before its stack has started (`runs`)."""
EMULATOR_MARKS = ("state.sqlite", "content")
"""What the Gemini emulator's own folder holds (`gemini/store.py`)."""


def main() -> int:
    """Remove what is ours below the folder; return 1 when something stays."""
    root = Path(sys.argv[1])
    kept = list(clean(root))
    for sentence in kept:
        print(sentence)
    return 1 if kept else 0


def clean(root: Path) -> Iterator[str]:
    """Remove our folders, then the folder itself if nothing else is in it; yield a sentence for each thing kept."""
    if not root.is_dir():
        return
    for folder in sorted(root.iterdir()):
        if folder.name == "demo" and folder.is_dir() and not folder.is_symlink():
            yield from _clean_home(folder)
        else:
            yield from _remove(folder)
    if not any(root.iterdir()):
        root.rmdir()


def _clean_home(home: Path) -> Iterator[str]:
    """Remove the runs of the demo and its sample."""
    for folder in sorted(home.iterdir()):
        if folder.name == "tickets.jsonl":
            folder.unlink()
        else:
            yield from _remove(folder)
    if not any(home.iterdir()):
        home.rmdir()


def _remove(folder: Path) -> Iterator[str]:
    marked = is_ours(folder) or (folder / DEMO_MARK).is_file()
    marked = marked or all((folder / name).exists() for name in EMULATOR_MARKS)
    if folder.is_symlink() or not marked:
        yield f"{folder} was not made by Batchdrop, or by an older version: it stays; remove it yourself if it may go"
    elif in_use(folder):
        yield f"a stack runs on {folder}: it stays; stop the stack first"
    else:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
