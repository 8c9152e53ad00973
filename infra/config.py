"""The configuration of a stack, as `pulumi config` keeps it: text, read into typed arguments before anything is made.

pulumi config set gcp:project P ; pulumi config set gcp:region R
pulumi config set --secret batchdrop:gemini_api_key KEY
pulumi config set batchdrop:uploaders group:data@example.com,user:ada@example.com
pulumi config set --path batchdrop:settings.budgets.stack 500

The other names are those of `batchdrop_pulumi.StackArgs`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

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
        "api_key": config.require_secret(KEY),
    }
    try:
        return StackArgs.model_validate({**where, **_values(config, written)})
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
    unknown = sorted(names - {*FIELDS, KEY})
    if unknown:
        raise _wrong(
            f"{SPACE}:{name}: no such setting{_near(name)}" for name in unknown
        )
    return {
        name: _parsed(value)
        for name in FIELDS
        if (value := config.get(name)) is not None
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
