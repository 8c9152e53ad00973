"""The configuration of a stack, typed and validated before anything is made.

pulumi config set gcp:project P ; pulumi config set gcp:region R
pulumi config set --secret batchdrop:gemini_api_key KEY
pulumi config set --path batchdrop:settings.budgets.stack 500
"""

from __future__ import annotations

import json
from typing import Any, Literal

import pulumi
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from batchdrop.core.settings import PollSettings, SubmitSettings, WriteSettings

FIELDS = (
    "prefix",
    "model",
    "models",
    "tier",
    "policy",
    "schedule",
    "alert_email",
    "work_days",
    "input_days",
    "output_days",
    "max_instances",
    "settings",
)
SETTINGS = (SubmitSettings, PollSettings, WriteSettings)
FIXED = frozenset(
    {"local_dir", "project", "database", "input_bucket", "work_bucket", "output_bucket", "topic_prefix", "model"}
    | {"models", "tier", "policy", "function_timeout_seconds", "gemini_api_key_file"}
)
"""Settings the program itself sets."""


class StackConfig(BaseModel):
    """What can be chosen; the names are those of `pulumi config set batchdrop:NAME`."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    project: str = Field(min_length=6, max_length=30, pattern=r"^[a-z][a-z0-9-]*[a-z0-9]$")
    region: str = Field(pattern=r"^[a-z]+-[a-z]+[0-9]+$")
    api_key: Any
    """The Gemini API key, a Pulumi secret."""
    prefix: str = Field("batchdrop", pattern=r"^[a-z][a-z0-9-]{1,18}[a-z0-9]$")
    """Begins every name, so that several stacks fit into one project."""
    model: str = Field("gemini-2.5-flash-lite", min_length=1)
    models: str = ""
    """Allowed models, comma separated; empty: any."""
    tier: Literal[1, 2, 3] = 1
    policy: Literal["lenient", "strict"] = "lenient"
    schedule: str = "* * * * *"
    """How often `poll` runs: cron, five fields."""
    alert_email: str = Field("", pattern=r"^$|^[^@\s]+@[^@\s]+$")
    work_days: int = Field(14, ge=9)
    """Work objects are deleted after so many days, whatever happens; jobs end sooner."""
    input_days: int = Field(0, ge=0)
    """Uploads are deleted after so many days; 0: never."""
    output_days: int = Field(0, ge=0)
    max_instances: int = Field(10, ge=1, le=100)
    settings: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Any other setting of the functions (`batchdrop.core.settings`): budgets, prices, limits, times."""

    @field_validator("settings")
    @classmethod
    def _known(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Refuse a name no function has, and a value a function would not start with."""
        names = {name for found in SETTINGS for name in found.model_fields} - FIXED
        unknown = sorted(set(settings) - names)
        if unknown:
            raise ValueError(f"no such settings: {', '.join(unknown)}; there are {', '.join(sorted(names))}")
        for found in SETTINGS:
            found(**{name: value for name, value in settings.items() if name in found.model_fields})
        return settings

    def variables(self) -> dict[str, str]:
        """Return `settings` as the variables of a function."""
        return {
            f"BATCHDROP_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
            for name, value in self.settings.items()
        }


def read(config: pulumi.Config, gcp: pulumi.Config) -> StackConfig:
    """Read and validate the stack's configuration.

    Raises:
        pulumi.RunError: Something is missing or wrong; the message names each setting.
    """
    texts = (name for name in FIELDS if name != "settings")
    values: dict[str, Any] = {name: value for name in texts if (value := config.get(name)) is not None}
    values["settings"] = config.get_object("settings") or {}
    try:
        return StackConfig(
            project=gcp.require("project"),
            region=gcp.require("region"),
            api_key=config.require_secret("gemini_api_key"),
            **values,
        )
    except ValidationError as error:
        lines = (f"batchdrop:{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise pulumi.RunError("the configuration is wrong:\n  " + "\n  ".join(lines)) from None
