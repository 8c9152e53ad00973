"""What a program chooses about its stack: typed, and refused before anything is made.

Whatever Google Cloud would refuse later is refused here: lengths of derived names, regions, lifetimes, members. Every
value may be text, because that is how `pulumi config` keeps it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import pulumi
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from batchdrop.core.limits import limit
from batchdrop.core.settings import (
    Instance,
    InstanceName,
    SubmitSettings,
    WriteSettings,
)
from batchdrop_pulumi.regions import REGIONS
from batchdrop_pulumi.services import SERVICES, MountedSecret

DAY = 24 * 3600
SPARE_DAYS = 2
"""Between the last moment at which a job may need a work object and its deletion."""
FIXED = frozenset(
    {
        "local_dir",
        "project",
        "database",
        "input_bucket",
        "work_bucket",
        "output_bucket",
        "topic_prefix",
        "model",
    }
    | {
        "models",
        "tier",
        "policy",
        "function_timeout_seconds",
        "providers",
        "gemini_api_key_file",
        "gemini_base_url",
        "attachment_buckets",
    }
)
"""Settings of the functions that the component itself sets, or that its providers take the place of."""
KINDS = frozenset(
    entry.name
    for entry in files("batchdrop").joinpath("providers").iterdir()
    if entry.is_dir() and entry.name.isidentifier() and entry.name[:1] != "_"
)
"""Of providers: the folders of the package that have one."""

if TYPE_CHECKING:
    Secret = pulumi.Input[str]
else:
    Secret = Any  # pydantic does not look into outputs

_MEMBER = re.compile(
    r"(user|group|serviceAccount|domain|principal|principalSet):[^\s,]+"
)
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")


def _split(value: object) -> object:
    """Read a list that was written as text, its items separated by commas."""
    return (
        [part.strip() for part in value.split(",") if part.strip()]
        if isinstance(value, str)
        else value
    )


Texts = Annotated[tuple[str, ...], BeforeValidator(_split)]


def _member(text: str) -> str:
    if not _MEMBER.fullmatch(text):
        raise ValueError(
            f"{text!r} is no member: write user:, group:, serviceAccount:, domain:, principal: and a name"
        )
    return text


Members = Annotated[
    tuple[Annotated[str, BeforeValidator(_member)], ...], BeforeValidator(_split)
]


class ProviderArgs(BaseModel):
    """One configured account of a provider: what its `Instance` says, with the key itself instead of its file."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    kind: str
    base_url: str | None = None
    location: str = ""
    secret: Secret | None = None
    """Its key; give a secret output. None: it needs none."""
    facts: dict[str, Any] = Field(default_factory=dict[str, Any])

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in KINDS:
            raise ValueError(
                f"there is no kind {kind!r}; there are {', '.join(sorted(KINDS))}"
            )
        return kind

    def instance(self, secret: MountedSecret) -> Instance:
        """Return the setting of the functions, which read its key from a file."""
        path = None if self.secret is None else Path(secret.path)
        return Instance(
            kind=self.kind,
            base_url=self.base_url,
            location=self.location,
            secret=path,
            facts=self.facts,
        )


class StackArgs(BaseModel):
    """The arguments of a `Stack`; the names are those of `pulumi config set batchdrop:NAME` in this repository."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    project: str = Field(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")
    """The id of the project everything is made in."""
    region: str
    allow_region: bool = False
    """Take a region that `regions.REGIONS` does not know."""
    api_key: Secret | None = None
    """The Gemini API key; give a secret output: it is kept in Secret Manager, and encrypted in the state. With it the
    stack has one provider; `providers` names others, or several, instead."""
    providers: dict[InstanceName, ProviderArgs] = Field(
        default_factory=dict[InstanceName, ProviderArgs]
    )
    """By name, which may stand before a model's; the first takes the models that nobody claims."""
    prefix: str = Field(default="batchdrop", pattern=r"^[a-z][a-z0-9-]{2,18}[a-z0-9]$")
    """Begins every name, so that several stacks fit into one project. 4 letters are the least a database's id may have
    (cloud.google.com/firestore/docs/manage-databases), 20 the most that leaves room in an account's id of 30."""
    labels: dict[str, str] = Field(default_factory=dict[str, str], max_length=62)
    """Labels of everything that can have some."""

    model: str = Field(default="gemini-2.5-flash-lite", min_length=1)
    models: Texts = ()
    """Allowed models; empty: any."""
    tier: int = Field(default=1, ge=1, le=3)
    """The usage tier of the API key's project: it decides the token limits. A provider has it among its facts."""
    policy: Literal["lenient", "strict"] = "lenient"
    settings: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Any other setting of the functions (`batchdrop.core.settings`): budgets, prices, limits, times."""
    attachment_buckets: Texts = ()
    """Buckets whose objects requests may name besides those of the input bucket."""
    tick_minutes: Literal[1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30] = 1
    """How often `poll` runs; divisors of an hour, so that ticks are evenly spaced."""
    max_instances: int = Field(default=10, ge=1, le=100)
    """Instances of each function that is pushed to."""

    uploaders: Members = ()
    """Who may put, replace and delete uploads."""
    readers: Members = ()
    """Who may read results and subscribe to finished jobs."""
    operators: Members = ()
    """Who may use the command line on this stack: look, cancel, release, replay, drain."""

    alert_email: str = Field(default="", pattern=r"^$|^[^@\s]+@[^@\s]+$")
    notification_channels: Texts = ()
    """Channels that exist, as `projects/P/notificationChannels/N`: Slack, PagerDuty, whatever the console offers."""

    keep_data: bool = True
    """Protect INPUT, OUTPUT and the database, so that a destroy leaves them; else it deletes them with all content."""
    adopt: bool = False
    """Take over INPUT, OUTPUT and the database that an earlier stack of this prefix left: for one deployment."""
    work_days: int = 25
    """Work objects are deleted after so many days, whatever happens; jobs end sooner (`least_work_days`)."""
    input_days: int = Field(default=0, ge=0)
    """Uploads are deleted after so many days; 0: never."""
    output_days: int = Field(default=0, ge=0)
    point_in_time_recovery: bool = False
    """Keep every version of the database for 7 days."""
    backup_days: int = Field(default=0, ge=0, le=limit("backup_days"))
    """Back the database up every day and keep each backup so long; 0: no backups."""

    @field_validator("tick_minutes", mode="before")
    @classmethod
    def _minutes(cls, value: object) -> object:
        return int(value) if isinstance(value, str) and value.isdecimal() else value

    @field_validator("prefix")
    @classmethod
    def _not_googles(cls, prefix: str) -> str:
        """Pub/Sub refuses names that begin with `goog`, Cloud Storage those that contain `google` or look like it."""
        if prefix.startswith("goog") or "google" in prefix or "g00gle" in prefix:
            raise ValueError(
                "names that begin with goog or contain google are refused by Google Cloud"
            )
        return prefix

    @field_validator("labels")
    @classmethod
    def _labels(cls, labels: dict[str, str]) -> dict[str, str]:
        """Check the alphabet (cloud.google.com/resource-manager/docs/labels-overview)."""
        for key, value in labels.items():
            if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
                raise ValueError(
                    f"{key}={value}: a label is made of lower-case letters, digits, - and _, 63 at most"
                )
        return labels

    @field_validator("notification_channels")
    @classmethod
    def _channels(cls, channels: tuple[str, ...]) -> tuple[str, ...]:
        for channel in channels:
            if not re.fullmatch(r"projects/[^/]+/notificationChannels/\d+", channel):
                raise ValueError(
                    f"{channel!r} is no channel: write projects/PROJECT/notificationChannels/NUMBER"
                )
        return channels

    @field_validator("settings")
    @classmethod
    def _known(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Refuse a name no function has, and a value a function would not start with."""
        classes = {service.settings for service in SERVICES}
        names = {name for found in classes for name in found.model_fields} - FIXED
        unknown = sorted(set(settings) - names)
        if unknown:
            raise ValueError(
                f"no such settings: {', '.join(unknown)}; there are {', '.join(sorted(names))}"
            )
        for found in classes:
            found(
                **{
                    name: value
                    for name, value in settings.items()
                    if name in found.model_fields
                }
            )
        return settings

    @model_validator(mode="after")
    def _regional(self) -> Self:
        if not re.fullmatch(r"[a-z]+-[a-z]+[0-9]+", self.region):
            raise ValueError(
                f"region: {self.region!r} is no region; write one such as europe-west1"
            )
        if self.region not in REGIONS and not self.allow_region:
            known = ", ".join(sorted(REGIONS))
            raise ValueError(
                f"region: {self.region} lacks a service the stack needs, or opened lately: set allow_region, or choose "
                f"one of {known}"
            )
        return self

    @model_validator(mode="after")
    def _outlives(self) -> Self:
        least = least_work_days(self.settings)
        if self.work_days < least:
            raise ValueError(
                f"work_days: {self.work_days} is too short; a job may wait, run and look for results for {least} days"
            )
        return self

    @model_validator(mode="after")
    def _served(self) -> Self:
        if bool(self.providers) == (self.api_key is not None):
            raise ValueError("give either the Gemini API key or providers")
        if self.providers and "tier" in self.model_fields_set:
            raise ValueError("tier: of which provider? write it among its facts")
        return self

    def configured(self) -> dict[str, ProviderArgs]:
        """Return the providers by name: Gemini alone where only its key is given."""
        facts = {"tier": self.tier}
        alone = ProviderArgs(kind="gemini", secret=self.api_key, facts=facts)
        return self.providers or {"gemini": alone}

    def mounted_keys(self) -> dict[MountedSecret, Secret]:
        """Return each provider's key, by where the functions read it; some need none."""
        return {
            MountedSecret.of(name): provider.secret
            for name, provider in self.configured().items()
            if provider.secret is not None
        }

    def instances(self) -> str:
        """Return the providers as the functions' setting: without a key."""
        instances = {
            name: provider.instance(MountedSecret.of(name))
            for name, provider in self.configured().items()
        }
        return json.dumps(
            {
                name: instance.model_dump(mode="json", exclude_defaults=True)
                for name, instance in instances.items()
            }
        )

    def variables(self) -> dict[str, str]:
        """Return `settings` as text, by setting."""
        return {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in self.settings.items()
        }


def least_work_days(settings: Mapping[str, Any]) -> int:
    """Return how many days work objects must live: the longest deadline, being held, reading results, and to spare."""
    submit = SubmitSettings(
        **{
            name: value
            for name, value in settings.items()
            if name in SubmitSettings.model_fields
        }
    )
    write = WriteSettings(
        **{
            name: value
            for name, value in settings.items()
            if name in WriteSettings.model_fields
        }
    )
    deadline_days = max(limit("deadline") / DAY, submit.job_deadline_hours / 24)
    return (
        math.ceil(deadline_days + submit.held_days + write.results_hours / 24)
        + SPARE_DAYS
    )
