"""The configuration of a stack, as `pulumi config` keeps it: text, read into typed arguments before anything is made.

pulumi config set gcp:project P ; pulumi config set gcp:region R
pulumi config set --secret batchdrop:gemini_api_key KEY
pulumi config set --path batchdrop:providers.paid.kind gemini               several, or others, instead of that key;
pulumi config set --path batchdrop:providers.paid.secret paid_key           `secret` is the name of the setting that
pulumi config set --secret batchdrop:paid_key KEY                           holds its key
pulumi config set batchdrop:uploaders group:data@example.com,user:ada@example.com
pulumi config set --path batchdrop:settings.budgets.stack 500

The other names are those of `batchdrop_pulumi.StackArgs`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

import pulumi
from pydantic import ValidationError

from batchdrop_pulumi import StackArgs

SPACE = "batchdrop"
KEY = "gemini_api_key"
FIELDS = tuple(
    name
    for name in StackArgs.model_fields
    if name not in ("project", "region", "api_key")
)


def read(
    config: pulumi.Config, gcp: pulumi.Config, written: Iterable[str]
) -> StackArgs:
    """Read and validate the stack's configuration.

    Args:
        config: The values of `batchdrop:`.
        gcp: The values of `gcp:`.
        written: Every name that is set, with its space, so that a mistyped one is seen.

    Raises:
        pulumi.RunError: Something is missing, wrong or unknown; the message names each setting.
    """
    where = {
        "project": gcp.require("project"),
        "region": gcp.require("region"),
    }
    values = _values(config, written)
    try:
        return StackArgs.model_validate({**where, **values, **_keys(config, values)})
    except ValidationError as error:
        raise _wrong(
            f"{_where(item['loc'])}{item['msg']}" for item in error.errors()
        ) from None


def _values(config: pulumi.Config, written: Iterable[str]) -> Mapping[str, Any]:
    names = {
        name.removeprefix(f"{SPACE}:")
        for name in written
        if name.startswith(f"{SPACE}:")
    }
    values = {
        name: _parsed(value)
        for name in FIELDS
        if (value := config.get(name)) is not None
    }
    unknown = sorted(names - {*FIELDS, KEY, *key_names(values.get("providers"))})
    if unknown:
        raise _wrong(
            f"{SPACE}:{name}: no such setting{_near(name)}" for name in unknown
        )
    return values


def key_names(providers: object) -> list[str]:
    """Return the settings that hold the keys of configured providers."""
    if not isinstance(providers, Mapping):
        return []
    found = cast("Mapping[str, object]", providers).values()
    instances = [
        cast("Mapping[str, object]", it) for it in found if isinstance(it, Mapping)
    ]
    return [str(instance["secret"]) for instance in instances if "secret" in instance]


def _keys(config: pulumi.Config, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that hold keys: Gemini's, or the providers with theirs.

    Raises:
        pulumi.RunError: A key is not set.
    """
    providers = values.get("providers")
    if providers is None:
        return {"api_key": config.require_secret(KEY)}
    named = key_names(providers)
    if not named:
        return {"api_key": config.get_secret(KEY)}
    return {
        "api_key": None if KEY in named else config.get_secret(KEY),
        "providers": {
            name: {**instance, "secret": config.require_secret(instance["secret"])}
            if "secret" in instance
            else instance
            for name, instance in providers.items()
        },
    }


def _parsed(text: str) -> Any:
    """Read what `pulumi config set --path` has made of lists and objects; anything else stays text."""
    try:
        return json.loads(text) if text[:1] in ("[", "{") else text
    except json.JSONDecodeError:
        return text


def _near(name: str) -> str:
    near = difflib.get_close_matches(name, [*FIELDS, KEY], n=1)
    return f"; did you mean {SPACE}:{near[0]}?" if near else ""


def _where(location: tuple[int | str, ...]) -> str:
    return f"{SPACE}:{'.'.join(map(str, location))}: " if location else ""


def _wrong(lines: Iterable[str]) -> pulumi.RunError:
    return pulumi.RunError("the configuration is wrong:\n  " + "\n  ".join(lines))
