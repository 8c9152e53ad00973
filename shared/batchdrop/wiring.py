"""Where adapters are chosen: a folder and SQLite when `local_dir` is set, Google Cloud otherwise.

Only the entry points of the functions, the command line and the local runner call this. Adapters open their
connections when first used, so building a context does no I/O beyond opening local files.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Final, TypeVar

from batchdrop.core.clock import SystemClock, TimeLeft
from batchdrop.core.codes import Code
from batchdrop.core.errors import ConfigurationError
from batchdrop.core.settings import CommonSettings, DispatchSettings, Instance
from batchdrop.ports import Documents, Facts, Objects, Provider, Topics
from batchdrop.steps.context import Context
from batchdrop.store import Store

S = TypeVar("S", bound=CommonSettings)


def build(settings: S) -> Context[S]:
    """Return the context of a stack's steps."""
    objects, records, topics = _ports(settings)
    clock = SystemClock()
    return Context(
        settings=settings,
        objects=objects,
        store=Store(records, clock.pause, settings.record_days),
        topics=topics,
        providers=providers_of(settings, objects),
        clock=clock,
        time_left=TimeLeft.start(clock, settings.call_seconds),
    )


def providers_of(settings: CommonSettings, objects: Objects) -> dict[str, Provider]:
    """Return the configured providers by name; none of them is called.

    Args:
        settings: Say which there are.
        objects: The stack's buckets, for those that leave their results there.

    Raises:
        ConfigurationError: A provider that is not there, a fact that is none, or facts that contradict the settings.
    """
    found = {
        name: _provider(name, instance, Around(settings, objects))
        for name, instance in _instances(settings).items()
    }
    if isinstance(settings, DispatchSettings):
        for provider in found.values():
            settings.refuse_facts(provider.facts)
    return found


def _instances(settings: CommonSettings) -> dict[str, Instance]:
    if settings.providers:
        return settings.providers
    key, url, facts = (
        settings.gemini_api_key_file,
        settings.gemini_base_url,
        {"tier": settings.tier},
    )
    return {"gemini": Instance(kind="gemini", secret=key, base_url=url, facts=facts)}


@dataclass(frozen=True, slots=True)
class Around:
    """What a provider may need of the stack it serves."""

    settings: CommonSettings
    objects: Objects


def _provider(name: str, instance: Instance, around: Around) -> Provider:
    make = _KINDS.get(instance.kind)
    if make is None:
        message = f"BATCHDROP_PROVIDERS: {name}: there is no kind `{instance.kind}`; known: {', '.join(_KINDS)}"
        raise ConfigurationError(message, code=Code.SETTINGS_INVALID)
    facts = dict(instance.facts)
    provider = make(instance, facts, around)
    try:
        return replace(provider, facts=replace(provider.facts, **facts))
    except TypeError:
        unknown = ", ".join(
            sorted(facts.keys() - {field.name for field in fields(Facts)})
        )
        message = f"BATCHDROP_PROVIDERS: {name}: these are no facts: {unknown}"
        raise ConfigurationError(message, code=Code.SETTINGS_INVALID) from None


def _gemini(instance: Instance, facts: dict[str, Any], around: Around) -> Provider:
    """Build Gemini; its own word among the facts, `tier`, is taken out."""
    from batchdrop.providers.gemini.api import GeminiApi, gemini
    from batchdrop.providers.gemini.calls import key_reader

    del around
    return gemini(
        GeminiApi(key_reader(instance.secret, os.environ), instance.base_url),
        int(facts.pop("tier", 1)),
    )


def _vertex(instance: Instance, facts: dict[str, Any], around: Around) -> Provider:
    """Build Vertex AI: one project and location, the rows of its jobs in the stack's buckets.

    Raises:
        ConfigurationError: It has no location.
    """
    from batchdrop.providers.vertex.api import VertexApi, vertex

    del facts
    if not instance.location:
        message = "BATCHDROP_PROVIDERS: a provider of the kind `vertex` needs a `location`, such as europe-west4"
        raise ConfigurationError(message, code=Code.SETTINGS_INVALID)
    return vertex(
        VertexApi(
            _token_reader(instance.base_url),
            around.settings.project,
            instance.location,
            around.objects,
            instance.base_url,
        )
    )


def _token_reader(base_url: str | None) -> Callable[[], str]:
    """Return what reads an access token; nothing secret is sent where everybody on the way can read it."""
    if base_url is not None and base_url.startswith("http://"):
        return lambda: "emulator"
    from batchdrop.adapters.cloud.tokens import AccessTokens

    return AccessTokens().read


_KINDS: Final[dict[str, Callable[[Instance, dict[str, Any], Around], Provider]]] = {
    "gemini": _gemini,
    "vertex": _vertex,
}


def _ports(settings: CommonSettings) -> tuple[Objects, Documents, Topics]:
    if settings.local_dir is not None:
        from batchdrop.adapters.local.directory import DirectoryObjects
        from batchdrop.adapters.local.sqlite_documents import SqliteDocuments
        from batchdrop.adapters.local.sqlite_topics import SqliteTopics

        state = settings.local_dir / "state"
        state.mkdir(parents=True, exist_ok=True)
        return (
            DirectoryObjects(settings.local_dir / "buckets"),
            SqliteDocuments(state / "records.sqlite"),
            SqliteTopics(state / "topics.sqlite"),
        )
    from batchdrop.adapters.cloud.firestore import FirestoreDocuments
    from batchdrop.adapters.cloud.gcs import GcsObjects
    from batchdrop.adapters.cloud.pubsub import PubSubTopics

    return (
        GcsObjects(settings.project),
        FirestoreDocuments(settings.project, settings.database),
        PubSubTopics(settings.project, settings.topic_prefix),
    )
