"""Schedules of Cloud Scheduler: unix-cron, five fields (cloud.google.com/scheduler/docs, read 2026-11-25)."""

from __future__ import annotations

import re

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
FIELDS: tuple[tuple[int, int, list[str]], ...] = ((0, 59, []), (0, 23, []), (1, 31, []), (1, 12, MONTHS), (0, 7, DAYS))
PART = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?")


def is_cron(text: object) -> bool:
    """Tell whether a schedule has five fields of `*`, numbers, names, ranges, steps and lists within their bounds."""
    fields = str(text).split(" ")
    return len(fields) == len(FIELDS) and all(_field(*pair) for pair in zip(fields, FIELDS, strict=True))


def _field(text: str, bounds: tuple[int, int, list[str]]) -> bool:
    return all(_part(part, *bounds) for part in text.split(","))


def _part(text: str, low: int, high: int, names: list[str]) -> bool:
    found = PART.fullmatch(text)
    if found is None or (found[4] is not None and int(found[4]) == 0):
        return False
    ends = [_number(entry, names, low) for entry in found.group(2, 3) if entry is not None]
    return all(low <= end <= high for end in ends) and ends == sorted(ends)


def _number(text: str, names: list[str], low: int) -> int:
    if text.isdigit():
        return int(text)
    return names.index(text.upper()) + low if text.upper() in names else -1
