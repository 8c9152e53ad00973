"""Where adapters are chosen: a folder and SQLite when `local_dir` is set, Google Cloud otherwise.

Only the entry points of the functions, the command line and the local runner call this. Adapters open their
connections when first used, so building a context does no I/O beyond opening local files.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, Final, TypeVar

from batchdrop.core.clock import SystemClock, TimeLeft
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
        providers=providers_of(settings),
        clock=clock,
        time_left=TimeLeft.start(clock, settings.call_seconds),
    )


def providers_of(settings: CommonSettings) -> dict[str, Provider]:
    """Return the configured providers by name; none of them is called.

    Raises:
        ConfigurationError: A provider that is not there, a fact that is none, or facts that contradict the settings.
    """
    found = {
        name: _provider(name, instance)
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


def _provider(name: str, instance: Instance) -> Provider:
    make = _KINDS.get(instance.kind)
    if make is None:
        message = f"BATCHDROP_PROVIDERS: {name}: there is no kind `{instance.kind}`; known: {', '.join(_KINDS)}"
        raise ConfigurationError(message, code="SETTINGS_INVALID")
    facts = dict(instance.facts)
    provider = make(instance, facts)
    try:
        return replace(provider, facts=replace(provider.facts, **facts))
    except TypeError:
        unknown = ", ".join(
            sorted(facts.keys() - {field.name for field in fields(Facts)})
        )
        message = f"BATCHDROP_PROVIDERS: {name}: these are no facts: {unknown}"
        raise ConfigurationError(message, code="SETTINGS_INVALID") from None


def _gemini(instance: Instance, facts: dict[str, Any]) -> Provider:
    """Build Gemini; its own word among the facts, `tier`, is taken out."""
    from batchdrop.providers.gemini.api import GeminiApi, gemini
    from batchdrop.providers.gemini.calls import key_reader

    return gemini(
        GeminiApi(key_reader(instance.secret, os.environ), instance.base_url),
        int(facts.pop("tier", 1)),
    )


_KINDS: Final[dict[str, Callable[[Instance, dict[str, Any]], Provider]]] = {
    "gemini": _gemini
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
