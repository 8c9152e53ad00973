"""Cached contents. One serves a batch only if it lives until the batch ends.

Each holds at least 2,048 tokens (2.5 models) or 4,096 (ai.google.dev/gemini-api/docs/caching, page of 2026-06-22).
Answers follow from a request's bytes, its cache's name among them; so a name is the contents' digest and a number that
the answers do not depend on: which of two caches of the same contents a request names makes no difference.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from itertools import count
from typing import Any, Final

import msgspec

from batchdrop_local.emulators.gemini.requests import decode_request
from batchdrop_local.emulators.gemini.store import Store
from batchdrop_local.emulators.gemini.usage import prompt_of
from batchdrop_local.emulators.gemini.wire import (
    ApiError,
    duration,
    moment,
    stamp,
    without_empty,
)
from batchdrop_local.emulators.http import Json

DEFAULT_SECONDS: Final = 3600.0

NUMBER_DIGITS: Final = 4
"""At the end of a name; before them stands the digest of the contents."""


class Wanted(msgspec.Struct, rename="camel"):
    """The body of a create or update call."""

    model: str = ""
    ttl: str = ""
    expire_time: str = ""
    display_name: str = ""
    contents: list[Any] = []
    system_instruction: Any = None


class Cache(msgspec.Struct, frozen=True):
    """A stored cache; deleting one sets its end to that time, so that results made later still agree."""

    name: str
    model: str
    display_name: str
    created: float
    updated: float
    expires: float
    tokens: int


class Caches:
    """All cached contents."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        """Take the store and the clock."""
        self._store = store
        self._now = now

    def create(self, model: str, wanted: Wanted) -> Json:
        """Create a cached content."""
        inner = {
            "contents": wanted.contents,
            "systemInstruction": wanted.system_instruction,
        }
        body = msgspec.json.encode(inner)
        try:
            tokens = prompt_of(decode_request(body)).total
        except msgspec.MsgspecError as error:
            raise ApiError(400, str(error)) from None
        now = self._now()
        least = 2048 if model.startswith("gemini-2.5") else 4096
        if tokens < least:
            words = f"Cached content is too small. total_token_count={tokens}, min_total_token_count={least}"
            raise ApiError(400, words)
        stem, taken = (
            sha256(body).hexdigest()[:36],
            {cache.name for cache in self._store.all(Cache)},
        )
        names = (
            f"cachedContents/{stem}{number:0{NUMBER_DIGITS}}" for number in count()
        )
        name = next(name for name in names if name not in taken)
        cache = Cache(
            name, model, wanted.display_name, now, now, _end(wanted, now, now), tokens
        )
        self._store.put(cache)
        return resource(cache)

    def get(self, name: str) -> Cache:
        """Return a cached content.

        Raises:
            ApiError: 403, it is not there or has expired.
        """
        cache = self._store.get(Cache, name)
        if cache is None or cache.expires <= self._now():
            raise ApiError(403, "CachedContent not found (or permission denied)")
        return cache

    def all(self) -> list[Json]:
        """Return all cached contents, newest first."""
        return [
            resource(cache)
            for cache in self._store.all(Cache)
            if cache.expires > self._now()
        ]

    def update(self, name: str, wanted: Wanted) -> Json:
        """Change a cache's life, the only thing about it that can be changed."""
        now = self._now()
        cache = self.get(name)
        changed = msgspec.structs.replace(
            cache, updated=now, expires=_end(wanted, now, cache.expires)
        )
        self._store.put(changed)
        return resource(changed)

    def delete(self, name: str) -> None:
        """Delete a cached content."""
        self._store.put(msgspec.structs.replace(self.get(name), expires=self._now()))

    def tokens(self, name: str, until: float) -> int | None:
        """Return how many tokens a cache held at a time; None if it was not there."""
        cache = self._store.get(Cache, name)
        return (
            cache.tokens
            if cache is not None and cache.created <= until < cache.expires
            else None
        )


def resource(cache: Cache) -> Json:
    """Return a cache as the service shows it; its contents are never shown."""
    return without_empty(
        {
            "name": cache.name,
            "model": f"models/{cache.model}",
            "displayName": cache.display_name,
            "createTime": stamp(cache.created),
            "updateTime": stamp(cache.updated),
            "expireTime": stamp(cache.expires),
            "usageMetadata": {"totalTokenCount": cache.tokens},
        }
    )


def _end(wanted: Wanted, now: float, otherwise: float) -> float:
    if wanted.expire_time:
        return moment(wanted.expire_time)
    if wanted.ttl:
        return now + duration(wanted.ttl)
    return otherwise if otherwise > now else now + DEFAULT_SECONDS
