"""The flow tests once more, with each function held to what the Pulumi program grants its account."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from batchdrop_local.emulators.gemini import GeminiEmulator
from tests.fault import test_sweeping
from tests.flow import test_attachments, test_conversions, test_flow
from tests.harness import Stack, lines, make_stack
from tests.infra.engine import Journal
from tests.infra.guard import Guard, guarded
from tests.infra.rules.grants import Grant
from tests.infra.stands import deployed

FLOWS: tuple[tuple[ModuleType, str], ...] = (
    (test_flow, ""),
    (test_attachments, ""),
    (test_conversions, "recipe"),
    (test_sweeping, "event"),
)
"""Modules, and what the names of their tests must contain: together they use every role of every function but those of
`finish: standard` on objects of other buckets, and the message of a job that is held for money."""
Make = Callable[..., Stack]

for flows, word in FLOWS:
    globals().update({name: test for name, test in vars(flows).items() if name.startswith("test_") and word in name})


def granted() -> Journal:
    """Return what the program grants when requests may name the buckets of `test_attachments`."""
    return deployed({"batchdrop:attachment_buckets": "pictures,other"})


@pytest.fixture
def guard() -> Generator[Guard]:
    """A guard that nothing may lack at the end."""
    found = Guard(granted())
    yield found
    assert sorted(set(found.lacking)) == []


@pytest.fixture
def stack_with(tmp_path: Path, gemini: GeminiEmulator, guard: Guard) -> Make:
    """Make stacks whose functions are held to their grants."""

    def make(**overrides: Any) -> Stack:
        return guarded(make_stack(tmp_path, gemini, **overrides), guard)

    return make


@pytest.fixture
def stack(stack_with: Make) -> Stack:
    """A stack with the settings as they are."""
    return stack_with()


NEEDED = (
    ("submit", "storage.objectViewer", "buckets/my-project-batchdrop-input"),
    ("submit", "storage.objectViewer", "buckets/my-project-batchdrop-work"),
    ("submit", "storage.objectCreator", "buckets/my-project-batchdrop-work"),
    ("submit", "pubsub.publisher", "topics/batchdrop-shards"),
    ("submit", "datastore.user", "projects/my-project"),
    ("shards", "storage.objectViewer", "buckets/my-project-batchdrop-work"),
    ("shards", "secretmanager.secretAccessor", "secrets/batchdrop-gemini-key"),
    ("shards", "datastore.user", "projects/my-project"),
    ("poll", "storage.objectViewer", "buckets/my-project-batchdrop-input"),
    ("poll", "storage.objectUser", "buckets/my-project-batchdrop-output"),
    ("poll", "pubsub.publisher", "topics/batchdrop-batches-finished"),
    ("poll", "secretmanager.secretAccessor", "secrets/batchdrop-gemini-key"),
    ("poll", "datastore.user", "projects/my-project"),
    ("write", "storage.objectUser", "buckets/my-project-batchdrop-work"),
    ("write", "storage.objectCreator", "buckets/my-project-batchdrop-output"),
    ("write", "storage.objectViewer", "buckets/my-project-batchdrop-output"),
    ("write", "pubsub.publisher", "topics/batchdrop-jobs-completed"),
    ("write", "secretmanager.secretAccessor", "secrets/batchdrop-gemini-key"),
    ("write", "datastore.user", "projects/my-project"),
)
"""What one upload that runs to its end needs at least: function, role, where."""


def of(guard: Guard, service: str, role: str, place: str) -> Grant:
    """Return the one grant of a role to a function on something."""
    held = guard.grants[f"batchdrop-{service}"]
    [found] = [grant for grant in held if grant.role == f"roles/{role}" and grant.place.endswith(place)]
    return found


def test_taking_any_of_these_roles_away_is_seen(stack: Stack, guard: Guard) -> None:
    stack.run(stack.upload("a.jsonl", lines("one", "two")))
    for service, role, place in NEEDED:
        grant = of(guard, service, role, place)
        asked = [demand for demand in guard.asked if demand[0] == f"batchdrop-{service}"]
        assert any(not guard.allowed(demand, taken=grant) for demand in asked), grant.resource.name


def test_a_flow_without_a_role_lacks_it(tmp_path: Path, gemini: GeminiEmulator) -> None:
    journal = granted()
    taken = of(Guard(journal), "write", "storage.objectCreator", "output")
    guard = Guard(journal.without(taken.resource))
    stack = guarded(make_stack(tmp_path, gemini), guard)
    stack.run(stack.upload("a.jsonl", lines("one")))
    assert {(who, what) for who, what, _ in guard.lacking} == {("batchdrop-write", "storage.objects.create")}
    assert {name.partition("/objects/")[0] for _, _, name in guard.lacking} == {OUTPUT}


OUTPUT = "projects/_/buckets/my-project-batchdrop-output"
