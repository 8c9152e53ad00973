"""One figure, the table a person reads and the JSON a program reads. Lower is better, always."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

Context = dict[str, float | str]


class Size(StrEnum):
    """How much is run: for every day, or for the README."""

    SMALL = "small"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured; `goal` is the bar: of the ratio when there is a floor or a rival, else of the value."""

    bench: str
    what: str
    value: float
    unit: str
    floor: float | None = None
    goal: float | None = None
    context: Context = field(default_factory=Context)

    @property
    def ratio(self) -> float | None:
        """Times the floor, or the rival."""
        return self.value / self.floor if self.floor else None

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        return (self.value if self.ratio is None else self.ratio) <= self.goal


def machine() -> Context:
    """Describe where this runs, and how busy it was."""
    model = next((line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if "model name" in line), "")
    return {
        "cpu": model or platform.processor(),
        "cores": os.cpu_count() or 0,
        "load_1m": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as aligned columns."""
    head = ("bench", "what", "ours", "rival or floor", "ratio", "bar", "", "context")
    rows = [head, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head) - 1)]
    return "\n".join("  ".join([*map(str.ljust, row, widths), row[-1]]).rstrip() for row in rows)


def write_json(path: Path, size: Size, figures: Sequence[Figure]) -> None:
    """Write everything to a file."""
    entries = [asdict(figure) | {"ratio": figure.ratio, "met": figure.met} for figure in figures]
    path.write_text(json.dumps({"machine": machine(), "size": size, "figures": entries}, indent=2) + "\n")


def _row(figure: Figure) -> tuple[str, ...]:
    ratio, met = figure.ratio, figure.met
    return (
        figure.bench,
        figure.what,
        f"{_short(figure.value)} {figure.unit}".strip(),
        "" if figure.floor is None else _short(figure.floor),
        "" if ratio is None else f"{ratio:.2f}x",
        "" if figure.goal is None else f"<= {figure.goal:g}",
        "" if met is None else ("met" if met else "MISSED"),
        ", ".join(f"{name} {_short(value)}" for name, value in figure.context.items()),
    )


def _short(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
