"""Each function does only what its account was granted: the grants of the Pulumi program, held under the flow tests.

        message of a topic, or a tick  ->  the function that the program pushes it to  ->  its account  ->  its grants
                                                   every call of a port is looked up there

What Cloud Storage asks for (cloud.google.com/storage/docs/access-control/iam-json): an object is read with
`objects.get`; when it is not there the answer is 404 only for who may `objects.list`, 403 otherwise; it is written with
`objects.create`, and replaced with `objects.delete` as well. Whatever a call lacks is kept, and the call goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, cast

from batchdrop.adapters.local.sqlite_topics import Leased
from batchdrop.core.errors import PermanentError
from batchdrop.handling import Response
from batchdrop.ports import (
    Collection,
    DeadLetter,
    Document,
    Documents,
    IndexValue,
    Json,
    ObjectInfo,
    ObjectPage,
    Objects,
    ObjectWriter,
    Provider,
    Query,
    Topic,
    Topics,
)
from batchdrop.steps.context import Context
from tests.harness import Stack
from tests.infra.engine import Journal
from tests.infra.rules.grants import Grant, held_by

PLACES = ("input", "work", "output")
Demand = tuple[str, str, str]
"""A function, a permission, and the name of what it is needed on."""


@dataclass
class Guard:
    """Looks every call up in the grants of a journal; keeps what was asked for and what is lacking."""

    journal: Journal
    asked: list[Demand] = field(default_factory=list[Demand])
    lacking: list[Demand] = field(default_factory=list[Demand])

    def __post_init__(self) -> None:
        functions = self.journal.of("cloudfunctionsv2/function")
        self._addresses = {str(entry.outputs["serviceConfig"]["uri"]): str(entry.inputs["name"]) for entry in functions}
        accounts = {
            str(entry.inputs["name"]): str(entry.inputs["serviceConfig"]["serviceAccountEmail"]) for entry in functions
        }
        self.grants: dict[str, list[Grant]] = {name: held_by(self.journal, email) for name, email in accounts.items()}
        self._prefix = str(self.journal.of("firestore/database")[0].inputs["name"])
        self._project = str(self.journal.of("storage/bucket")[0].inputs["project"])

    def function(self, topic: Topic | None) -> str:
        """Return the function that a topic is pushed to; without a topic the one that runs by the clock."""
        if topic is None:
            return self._addresses[str(self.journal.of("cloudscheduler/job")[0].inputs["httpTarget"]["uri"])]
        for subscription in self.journal.of("pubsub/subscription"):
            push = subscription.inputs.get("pushConfig")
            if push and str(subscription.inputs["topic"]).endswith(f"/{self._prefix}-{topic}"):
                return self._addresses[str(push["pushEndpoint"])]
        raise LookupError(f"nobody gets {topic}")

    def needs(self, function: str, permission: str, name: str) -> None:
        """Look a call up."""
        demand = (function, permission, name)
        self.asked.append(demand)
        if not self.allowed(demand):
            self.lacking.append(demand)

    def allowed(self, demand: Demand, taken: Grant | None = None) -> bool:
        """Tell whether a function may do something, perhaps without one of its grants."""
        function, permission, name = demand
        return any(grant.allows(permission, name) for grant in self.grants[function] if grant is not taken)

    def object(self, bucket: str, name: str) -> str:
        """Return an object's name as IAM has it; the harness calls the stack's own buckets by their places."""
        whole = f"{self._project}-{self._prefix}-{bucket}" if bucket in PLACES else bucket
        return f"projects/_/buckets/{whole}/objects/{name}" if name else f"projects/_/buckets/{whole}"

    def database(self) -> str:
        """Return the database's name as IAM has it."""
        return f"projects/{self._project}/databases/{self._prefix}"

    def topic(self, topic: Topic) -> str:
        """Return a topic's name as grants have it."""
        return f"topics/{self._prefix}-{topic}"

    def secret(self) -> str:
        """Return the key's name as grants have it."""
        return f"secrets/{self.journal.of('secretmanager/secret')[0].inputs['secretId']}"

    def context(self, context: Context[Any], function: str) -> Context[Any]:
        """Return a context whose ports are looked up."""
        needs = partial(self.needs, function)
        return replace(
            context,
            objects=GuardedObjects(context.objects, self, needs),
            store=replace(context.store, documents=GuardedDocuments(context.store.documents, self, needs)),
            topics=GuardedTopics(context.topics, self, needs),
            providers={name: self._provider(provider, needs) for name, provider in context.providers.items()},
        )

    def _provider(self, provider: Provider, needs: Needs) -> Provider:
        calls = {name: GuardedCalls(getattr(provider, name), self, needs) for name in CALLS}
        return replace(provider, **cast("dict[str, Any]", calls))


CALLS = ("batches", "files", "caches", "tokens", "ask")
Needs = Callable[[str, str], None]


@dataclass
class GuardedObjects(Objects):
    """Buckets as one account sees them."""

    inner: Objects
    guard: Guard
    needs: Needs

    def _may(self, what: str, bucket: str, name: str = "") -> None:
        self.needs(f"storage.objects.{what}", self.guard.object(bucket, name))

    def _writes(self, bucket: str, name: str, generation: int) -> None:
        self._may("create", bucket, name)
        if generation:
            self._may("delete", bucket, name)

    def stat(self, bucket: str, name: str, *, generation: int | None = None) -> ObjectInfo | None:
        self._may("get", bucket, name)
        found = self.inner.stat(bucket, name, generation=generation)
        if found is None:
            self._may("list", bucket)
        return found

    def read(
        self, bucket: str, name: str, *, generation: int | None = None, start: int = 0, end: int | None = None
    ) -> Iterator[bytes]:
        self._may("get", bucket, name)
        try:
            yield from self.inner.read(bucket, name, generation=generation, start=start, end=end)
        except PermanentError:
            self._may("list", bucket)
            raise

    def create(
        self,
        bucket: str,
        name: str,
        *,
        if_generation_match: int = 0,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectWriter:
        self._writes(bucket, name, if_generation_match)
        return self.inner.create(
            bucket, name, if_generation_match=if_generation_match, content_type=content_type, metadata=metadata
        )

    def copy(
        self,
        source: ObjectInfo,
        bucket: str,
        name: str,
        *,
        if_generation_match: int = 0,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        self._may("get", source.bucket, source.name)
        self._writes(bucket, name, if_generation_match)
        return self.inner.copy(source, bucket, name, if_generation_match=if_generation_match, metadata=metadata)

    def list(
        self, bucket: str, *, prefix: str = "", page_token: str | None = None, page_size: int = 1000
    ) -> ObjectPage:
        self._may("list", bucket)
        return self.inner.list(bucket, prefix=prefix, page_token=page_token, page_size=page_size)

    def delete(self, bucket: str, name: str, *, generation: int | None = None) -> bool:
        self._may("delete", bucket, name)
        return self.inner.delete(bucket, name, generation=generation)


@dataclass
class GuardedDocuments(Documents):
    """The database as one account sees it."""

    inner: Documents
    guard: Guard
    needs: Needs

    def _may(self, what: str) -> None:
        self.needs(f"datastore.entities.{what}", self.guard.database())

    def get(self, kind: Collection, id: str) -> Document | None:
        self._may("get")
        return self.inner.get(kind, id)

    def create(self, kind: Collection, id: str, *, index: Mapping[str, IndexValue], data: Json) -> Document:
        self._may("create")
        return self.inner.create(kind, id, index=index, data=data)

    def replace(self, document: Document, *, index: Mapping[str, IndexValue], data: Json) -> Document:
        self._may("update")
        return self.inner.replace(document, index=index, data=data)

    def delete(self, document: Document) -> bool:
        self._may("delete")
        return self.inner.delete(document)

    def query(self, query: Query) -> list[Document]:
        self._may("list")
        return self.inner.query(query)

    def count(self, query: Query) -> int:
        self._may("list")
        return self.inner.count(query)


@dataclass
class GuardedTopics(Topics):
    """The broker as one account sees it; functions only publish."""

    inner: Topics
    guard: Guard
    needs: Needs

    def publish(self, topic: Topic, data: bytes, attributes: Mapping[str, str] | None = None) -> str:
        self.needs("pubsub.topics.publish", self.guard.topic(topic))
        return self.inner.publish(topic, data, attributes)

    def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        raise AssertionError(f"no function looks at dead letters, nor at {limit} of them")

    def replay(self) -> Generator[DeadLetter]:
        raise AssertionError("no function replays dead letters")


@dataclass
class GuardedCalls:
    """Calls to a provider: each needs the key."""

    inner: object
    guard: Guard
    needs: Needs

    def __getattr__(self, name: str) -> Any:
        self.needs("secretmanager.versions.access", self.guard.secret())
        return getattr(self.inner, name)


@dataclass
class GuardedStack(Stack):
    """A stack in which each message is handled with the rights of the function it is pushed to."""

    guard: Guard | None = None
    acting: str = ""

    def handle(self, message: Leased) -> Response:
        return self._as(message.topic, lambda: Stack.handle(self, message))

    def tick(self) -> None:
        self._as(None, lambda: Stack.tick(self))

    def context(self, settings: type[Any]) -> Context[Any]:
        context = super().context(settings)
        return self.guard.context(context, self.acting) if self.guard and self.acting else context

    def _as(self, topic: Topic | None, work: Callable[[], Any]) -> Any:
        assert self.guard is not None
        before, self.acting = self.acting, self.guard.function(topic)
        try:
            return work()
        finally:
            self.acting = before


def guarded(stack: Stack, guard: Guard) -> GuardedStack:
    """Return the same stack with its functions held to their grants."""
    return GuardedStack(**{entry.name: getattr(stack, entry.name) for entry in fields(stack)}, guard=guard)
