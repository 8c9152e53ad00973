"""Runs of the program that several tests look at: each is made once a session."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.infra.engine import Journal, Run, run

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "infra"
KEY = "AIzaNotARealKey"
LONGEST_PROJECT = "a-project-of-thirty-characters"
"""As long as a project's id may be (cloud.google.com/resource-manager/docs/creating-managing-projects)."""
BASE = {
    "gcp:project": "my-project",
    "gcp:region": "europe-west1",
    "batchdrop:gemini_api_key": KEY,
    "batchdrop:alert_email": "somebody@example.com",
}


def tried(config: dict[str, str] | None = None, *, preview: bool = False) -> Run:
    """Run the program with what the base leaves out or has otherwise."""
    return _tried(tuple(sorted({**BASE, **(config or {})}.items())), preview)


@cache
def _tried(config: tuple[tuple[str, str], ...], preview: bool) -> Run:
    return run(PROGRAM, dict(config), secrets=["batchdrop:gemini_api_key"], preview=preview)


def deployed(config: dict[str, str] | None = None, *, preview: bool = False) -> Journal:
    """Return what the program asked for; it must have ended well."""
    return tried(config, preview=preview).journal_or_fail()


def neighbour() -> Journal:
    """Return a second stack in the same project, whose name begins with the first one's."""
    return deployed({"batchdrop:prefix": "batchdrop-b"})
