"""The services table: a row a function. Accounts, roles, subscriptions, variables and alerts are derived from it.

         entry   INPUT  WORK                  OUTPUT        called by         publishes to
submit   submit  read   create, read          own reports   uploads           shards, batches-finished, jobs-completed
shards   submit  read   create, read          the identity  shards            shards, batches-finished, jobs-completed
poll     poll    read   list, delete          own reports   the clock, looks  uploads, shards, batches-finished
write    write   read   create, read, delete  create, read  batches-finished  shards, batches-finished, jobs-completed

`submit` and `shards` run the same code: uploads that convert for minutes must not take the instances that send batches.
Every row: the database of the stack only, and the keys of its providers. A function that is added later is a row here,
a folder in `functions/` and, if it is pushed to, a topic.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from batchdrop.core.limits import limit
from batchdrop.core.settings import (
    CommonSettings,
    PollSettings,
    SubmitSettings,
    WriteSettings,
)
from batchdrop.ports import Topic

RUNTIME: Final = "python313"
"""The newest that every pinned dependency has wheels for; its end stands in `limits` (`runtime_ends`)."""


class Place(StrEnum):
    """The buckets that services and people use."""

    INPUT = "input"
    WORK = "work"
    OUTPUT = "output"


class Caller(StrEnum):
    """The accounts that call functions."""

    PUSH = "push"
    SCHEDULER = "scheduler"


@dataclass(frozen=True, slots=True)
class BucketRole:
    """A role on one bucket; `only` is an IAM condition in which `{0}` is the bucket's name."""

    place: Place
    role: str
    only: str = ""


@dataclass(frozen=True, slots=True)
class MountedSecret:
    """A secret that a function reads from a file: the key of one provider."""

    name: str
    folder: str
    file: str = "api-key"

    @staticmethod
    def of(provider: str) -> MountedSecret:
        """Return where the key of a configured provider is kept, and where it is read."""
        return MountedSecret(f"{provider}-key", f"/etc/secrets/{provider}")

    @property
    def path(self) -> str:
        """Where the function finds it."""
        return f"{self.folder}/{self.file}"


@dataclass(frozen=True, slots=True)
class Service:
    """One function: what runs, with what, and what it may do."""

    name: str
    entry: str
    """The folder in `functions/` and the function in its `main.py`."""
    settings: type[CommonSettings]
    memory: str
    callers: tuple[Caller, ...]
    pushed: tuple[Topic, ...]
    publishes: tuple[Topic, ...]
    buckets: tuple[BucketRole, ...]
    attaches: bool
    """Whether it reads the objects that requests name in other buckets."""
    cpu: str = "1"
    concurrency: int = 1
    """Work is bound by one core and by memory for one stream."""
    instances: int | None = None
    """At most so many at once; None: as the program chooses."""
    timeout_seconds: int = limit("event_function")


_READS_INPUT = BucketRole(Place.INPUT, "roles/storage.objectViewer")
_USES_WORK = BucketRole(Place.WORK, "roles/storage.objectUser")
_ADDS_WORK = (
    BucketRole(Place.WORK, "roles/storage.objectCreator"),
    BucketRole(Place.WORK, "roles/storage.objectViewer"),
)
_LISTS_OUTPUT = BucketRole(Place.OUTPUT, "roles/storage.legacyBucketReader")
"""Names only: without it Cloud Storage answers 403 for an object that is not there, instead of 404."""
_IDENTITY = 'resource.name == "projects/_/buckets/{0}/objects/_batchdrop/stack.json"'
"""Whoever comes first makes the stack's identity; it is read where the documents were lost."""
_FOUNDS_STACK = BucketRole(Place.OUTPUT, "roles/storage.objectUser", _IDENTITY)
_REPORTS = BucketRole(
    Place.OUTPUT,
    "roles/storage.objectUser",
    'resource.name.endsWith("/recipe.errors.json") || resource.name.endsWith(".refused.json") || '
    + _IDENTITY,
)
_REPORTS_SPENDING = BucketRole(
    Place.OUTPUT,
    "roles/storage.objectUser",
    'resource.name.startsWith("projects/_/buckets/{0}/objects/_batchdrop/")',
)
"""With the reports and the identity the only output objects that are ever replaced."""
_STEPS = (Topic.SHARDS, Topic.BATCHES_FINISHED, Topic.JOBS_COMPLETED)

SERVICES: Final = (
    Service(
        name="submit",
        entry="submit",
        settings=SubmitSettings,
        memory="1Gi",
        callers=(Caller.PUSH,),
        pushed=(Topic.UPLOADS,),
        publishes=_STEPS,
        buckets=(_READS_INPUT, *_ADDS_WORK, _LISTS_OUTPUT, _REPORTS),
        attaches=True,
    ),
    Service(
        name="shards",
        entry="submit",
        settings=SubmitSettings,
        memory="1Gi",
        callers=(Caller.PUSH,),
        pushed=(Topic.SHARDS,),
        publishes=_STEPS,
        buckets=(_READS_INPUT, *_ADDS_WORK, _LISTS_OUTPUT, _FOUNDS_STACK),
        attaches=True,
    ),
    Service(
        name="poll",
        entry="poll",
        settings=PollSettings,
        memory="512Mi",
        callers=(Caller.SCHEDULER, Caller.PUSH),
        pushed=(Topic.LOOKS,),
        publishes=(Topic.UPLOADS, Topic.SHARDS, Topic.BATCHES_FINISHED),
        buckets=(_READS_INPUT, _USES_WORK, _LISTS_OUTPUT, _REPORTS_SPENDING),
        attaches=False,
        instances=1,
    ),
    Service(
        name="write",
        entry="write",
        settings=WriteSettings,
        memory="1Gi",
        callers=(Caller.PUSH,),
        pushed=(Topic.BATCHES_FINISHED,),
        publishes=_STEPS,
        buckets=(
            _READS_INPUT,
            _USES_WORK,
            BucketRole(Place.OUTPUT, "roles/storage.objectCreator"),
            BucketRole(Place.OUTPUT, "roles/storage.objectViewer"),
        ),
        attaches=True,
    ),
)

PUSHED: Final = {topic: service for service in SERVICES for topic in service.pushed}
ENTRIES: Final = tuple(dict.fromkeys(service.entry for service in SERVICES))


@dataclass(frozen=True, slots=True)
class Audience:
    """People, and what they may do; `setting` names the argument that lists them."""

    setting: str
    buckets: tuple[BucketRole, ...] = ()
    publishes: tuple[Topic, ...] = ()
    subscribes: tuple[Topic, ...] = ()
    takes_dead_letters: bool = False
    uses_database: bool = False
    project_roles: tuple[str, ...] = ()


AUDIENCES: Final = (
    Audience(
        "uploaders", buckets=(BucketRole(Place.INPUT, "roles/storage.objectUser"),)
    ),
    Audience(
        "readers",
        buckets=(BucketRole(Place.OUTPUT, "roles/storage.objectViewer"),),
        subscribes=(Topic.JOBS_COMPLETED,),
    ),
    Audience(
        "operators",
        buckets=(
            _READS_INPUT,
            BucketRole(Place.WORK, "roles/storage.objectUser"),
            BucketRole(Place.OUTPUT, "roles/storage.objectViewer"),
        ),
        publishes=(Topic.UPLOADS, Topic.SHARDS, Topic.BATCHES_FINISHED, Topic.LOOKS),
        takes_dead_letters=True,
        uses_database=True,
        project_roles=("roles/logging.viewer", "roles/monitoring.viewer"),
    ),
)
"""The three kinds of people a stack has, beside whoever deploys it."""
