"""Property values on the wire, and as plain Python: secrets unwrapped and remembered, archives as their file names.

The signatures are the protocol's (pulumi/pulumi, sdk/python/lib/pulumi/runtime/rpc.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from google.protobuf import json_format, struct_pb2
from pulumi.runtime import rpc

Value = Any
"""None, a bool, a number, a string, a list, a mapping, `UNKNOWN` or an `Archive`."""


class _Unknown:
    """What a preview cannot say yet."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __deepcopy__(self, memo: object) -> _Unknown:
        return self


UNKNOWN = _Unknown()
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
ASSET = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive or a file: what it holds, by name."""

    entries: Mapping[str, str]


@dataclass
class Reader:
    """Reads values; remembers where a secret stood."""

    secrets: set[str] = field(default_factory=set[str])

    def struct(self, message: struct_pb2.Struct) -> dict[str, Value]:
        """Return a message's properties as plain values."""
        found = json_format.MessageToDict(message)
        return {name: self._value(value, name) for name, value in found.items()}

    def _value(self, value: object, path: str) -> Value:
        if isinstance(value, dict):
            return self._mapping(cast("dict[str, Any]", value), path)
        if isinstance(value, list):
            return [self._value(item, f"{path}[{at}]") for at, item in enumerate(cast("list[Any]", value))]
        if value == rpc.UNKNOWN:
            return UNKNOWN
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return value

    def _mapping(self, value: dict[str, Any], path: str) -> Value:
        signature = value.get(SIGNATURE)
        if signature is None:
            return {name: self._value(item, f"{path}.{name}") for name, item in value.items()}
        if signature == SECRET:
            self.secrets.add(path)
            return self._value(value["value"], path)
        if signature == OUTPUT:
            return self._value(value.get("value", rpc.UNKNOWN), path)
        return str(value["urn"]) if signature == RESOURCE else _archive(value)


def _archive(value: dict[str, Any]) -> Archive:
    if "assets" in value:
        inside = cast("dict[str, dict[str, Any]]", value["assets"])
        return Archive({name: str(entry.get("path", "")) for name, entry in inside.items()})
    return Archive({"": str(value.get("path", ""))})


def written(value: Mapping[str, Value], secrets: frozenset[str] = frozenset()) -> struct_pb2.Struct:
    """Return plain values as a message; what is unknown keeps its sign, what holds a secret is secret as a whole."""
    message = struct_pb2.Struct()
    hidden = {path.partition(".")[0].partition("[")[0] for path in secrets}
    plain = {name: _plain(item) for name, item in value.items() if item is not None}
    marked = {name: {SIGNATURE: SECRET, "value": item} if name in hidden else item for name, item in plain.items()}
    json_format.ParseDict(marked, message)
    return message


def _plain(value: Value) -> Any:
    if value is UNKNOWN:
        return rpc.UNKNOWN
    if isinstance(value, Archive):
        return {SIGNATURE: ARCHIVE, "path": "archive"}
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in cast("Mapping[str, Value]", value).items()}
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[Value]", value)]
    return value
