"""Measure, print a table, write JSON: `python -m tests.bench --size small`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.bench import (
    cold,
    cost,
    decoding,
    end_to_end,
    faults,
    hot,
    latency,
    many,
    memory,
    rivalry,
    streaming,
    ticking,
)
from tests.bench.figures import Figure, Size, machine, table, write_json

BENCHES: dict[str, Callable[[Size], Iterable[Figure]]] = {
    "rivals": rivalry.run,
    "faults": faults.run,
    "decode": decoding.run,
    "stream": streaming.run,
    "tick": ticking.run,
    "cold": cold.run,
    "many": many.run,
    "hot": hot.run,
    "latency": latency.run,
    "end": end_to_end.run,
    "memory": memory.run,
    "cost": cost.run,
}


def main() -> int:
    """Run the chosen benches one after the other."""
    parser = argparse.ArgumentParser(description="Ratios against a floor measured in the same run.")
    parser.add_argument("--size", type=Size, choices=list(Size), default=Size.FULL)
    parser.add_argument("--json", type=Path, default=None, help="write the figures to this file, too")
    parser.add_argument("--only", default="", help=f"comma separated: {', '.join(BENCHES)}")
    arguments = parser.parse_args()
    chosen = [name for name in str(arguments.only).split(",") if name] or list(BENCHES)
    unknown = set(chosen) - set(BENCHES)
    if unknown:
        parser.error(f"there is no bench {', '.join(sorted(unknown))}")
    figures: list[Figure] = []
    for name in chosen:
        begun = time.perf_counter()
        figures += BENCHES[name](arguments.size)
        sys.stderr.write(f"{name}: {time.perf_counter() - begun:.1f} s\n")
        if arguments.json:
            write_json(arguments.json, arguments.size, figures)
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print(table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
