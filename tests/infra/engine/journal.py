"""What a program asked of the engine, in order, and what waits for what.

A registration starts when the program sends it. The SDK sends it only when everything it names has been made, so a
resource waits for its dependencies, for those of each property, for its parent and its provider, and for all that these
wait for. Nothing else orders two resources: the time at which they happened to be sent proves nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from tests.infra.engine.values import Value


@dataclass(frozen=True)
class Resource:
    """A registration as it was sent, and the answer."""

    urn: str
    type: str
    name: str
    inputs: Mapping[str, Value]
    id: str = ""
    parent: str = ""
    provider: str = ""
    """The urn of the provider; empty: the default one."""
    custom: bool = True
    protect: bool = False
    retain_on_delete: bool = False
    delete_before_replace: bool = False
    ignore_changes: tuple[str, ...] = ()
    dependencies: frozenset[str] = frozenset()
    property_dependencies: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    secrets: frozenset[str] = frozenset()
    """Paths of the inputs that are secret."""
    version: str = ""
    outputs: Mapping[str, Value] = field(default_factory=dict[str, Value])
    started: int = 0
    """The moment it was sent: moments are numbered from 1."""
    ended: int = 0
    """The moment it was answered; 0: never."""

    @property
    def named(self) -> frozenset[str]:
        """Return the urns it names itself."""
        by_property = frozenset[str]().union(*self.property_dependencies.values())
        return self.dependencies | by_property | frozenset(filter(None, (self.parent, self.provider)))


@dataclass(frozen=True)
class Invoke:
    """A question to a provider."""

    token: str
    args: Mapping[str, Value]
    depends_on: frozenset[str]
    provider: str = ""
    moment: int = 0
    unknown: bool = False
    """Whether the answer had to wait for a resource that a preview does not make."""


@dataclass(repr=False)
class Journal:
    """One run of a program."""

    resources: dict[str, Resource] = field(default_factory=dict[str, Resource])
    invokes: list[Invoke] = field(default_factory=list[Invoke])
    outputs: dict[str, Value] = field(default_factory=dict[str, Value])
    """The stack's outputs."""
    secret_outputs: frozenset[str] = frozenset()

    def of(self, type: str) -> list[Resource]:
        """Return the resources of a type, given without `gcp:` and without the second half: `pubsub/topic`."""
        return [found for found in self.resources.values() if found.type.startswith(f"gcp:{type}:")]

    def called(self, type: str, name: str) -> Resource:
        """Return the one resource of a type with this logical name or this name at Google."""
        [found] = [entry for entry in self.of(type) if name in (entry.name, entry.inputs.get("name"))]
        return found

    def gcp(self) -> Iterator[Resource]:
        """Return every resource of Google Cloud."""
        yield from (found for found in self.resources.values() if found.custom and found.type.startswith("gcp:"))

    def before(self, what: Resource | Invoke) -> list[Resource]:
        """Return everything that must have been made before this is asked for."""
        named = what.named if isinstance(what, Resource) else what.depends_on | frozenset(filter(None, [what.provider]))
        seen: set[str] = set()
        waiting = list(named)
        while waiting:
            urn = waiting.pop()
            if urn in seen or urn not in self.resources:
                continue
            seen.add(urn)
            waiting += self.resources[urn].named
        return [self.resources[urn] for urn in sorted(seen)]

    # ------------------------------------------------------------------------ seeding mistakes
    def changed(self, resource: Resource, **fields: object) -> Journal:
        """Return a journal in which a resource has other fields."""
        return replace(self, resources=self.resources | {resource.urn: replace(resource, **fields)})  # pyright: ignore[reportArgumentType]

    def with_input(self, resource: Resource, path: str, value: Value) -> Journal:
        """Return a journal in which an input has another value; `a.0.b` goes into lists; None removes it."""
        return self.changed(resource, inputs=_put(resource.inputs, path.split("."), value))

    def without(self, resource: Resource) -> Journal:
        """Return a journal in which a resource was never asked for."""
        return replace(self, resources={urn: kept for urn, kept in self.resources.items() if urn != resource.urn})

    def unordered(self, gone: Collection[str]) -> Journal:
        """Return a journal in which nothing waits for some resources, given by their urns, any more."""
        gone = frozenset(gone)
        cut = {
            urn: replace(
                kept,
                dependencies=kept.dependencies - gone,
                property_dependencies={name: urns - gone for name, urns in kept.property_dependencies.items()},
            )
            for urn, kept in self.resources.items()
        }
        invokes = [replace(asked, depends_on=asked.depends_on - gone) for asked in self.invokes]
        return replace(self, resources=cut, invokes=invokes)


def _put(node: Value, path: list[str], value: Value) -> Value:
    head, *rest = path
    if isinstance(node, list):
        at, items = int(head), cast("list[Value]", node)
        changed = _put(items[at], rest, value) if rest else value
        return [changed if index == at else item for index, item in enumerate(items)]
    inner = _put(node.get(head, {}), rest, value) if rest else value
    kept = {name: item for name, item in node.items() if name != head}
    return kept if inner is None else kept | {head: inner}
