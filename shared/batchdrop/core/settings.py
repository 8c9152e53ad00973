"""Settings: one frozen class per function, read from `BATCHDROP_*` environment variables, validated at start.

Units stand in the names. Unknown names are refused where we write them (`infra/` is tested against these
classes); the environment itself may hold anything else.
"""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from batchdrop.core.codes import Code
from batchdrop.core.errors import ConfigurationError
from batchdrop.core.facts import Facts
from batchdrop.core.limits import MIB, limit

FINISH_GROUP: Final = 4
"""Synchronous calls go out in groups of this many for each of the concurrent ones (`steps.ask.ask`)."""


def _hold(*relations: tuple[bool, str]) -> None:
    """Refuse settings that can never work together, with a sentence for each relation that is broken."""
    broken = [sentence for holds, sentence in relations if not holds]
    if broken:
        raise ValueError("; ".join(broken))


def _refuse_unless(*relations: tuple[bool, str]) -> None:
    """Refuse settings that can never work with a provider's facts."""
    try:
        _hold(*relations)
    except ValueError as error:
        raise ConfigurationError(str(error), code=Code.SETTINGS_INVALID) from None


InstanceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$")]
"""Part of a ledger's name, and what may stand before a model's."""


class Instance(BaseModel):
    """One configured account of a provider; the name it is configured under may stand before a model's name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    """A folder of `batchdrop.providers`."""
    base_url: str | None = None
    location: str = ""
    secret: Path | None = None
    """The file that holds its key."""
    facts: dict[str, Any] = Field(default_factory=dict[str, Any])
    """What is true of this account other than of the service: fields of `Facts`, or words of the service's own."""


class CommonSettings(BaseSettings):
    """What every function and the command line need."""

    model_config = SettingsConfigDict(
        env_prefix="BATCHDROP_", frozen=True, extra="ignore"
    )

    local_dir: Path | None = None
    """Root folder of the embedded stack; unset on Google Cloud and on the emulators."""
    project: str = "local"
    database: str = "(default)"
    input_bucket: str = "input"
    work_bucket: str = "work"
    output_bucket: str = "output"
    topic_prefix: str = "batchdrop"
    gemini_api_key_file: Path | None = None
    gemini_base_url: str | None = None
    tier: int = Field(1, ge=1, le=3)
    providers: dict[InstanceName, Instance] = Field(
        default_factory=dict[InstanceName, Instance]
    )
    """By name; the first takes the models nobody claims. Empty: `gemini` alone, as the three settings above say."""

    function_timeout_seconds: float = Field(540, gt=0)
    call_seconds: float = Field(480, gt=0)
    lease_seconds: float = Field(600, gt=0)
    max_claims: int = Field(5, ge=2)
    record_days: int = Field(30, ge=9)
    """How long documents of ended jobs are kept: longer than a sweep looks back, or uploads ran again."""
    sweep_days: int = Field(8, ge=1)
    ledger_days: int = Field(400, ge=31)
    """How long ledger entries are kept: a year and the month that is compared with it."""
    prices: dict[str, dict[str, dict[str, Decimal]]] = Field(
        default_factory=dict[str, dict[str, dict[str, Decimal]]]
    )
    """Rates of the stack's own: model -> batch, flex or standard -> the price source's names -> USD a million."""

    @model_validator(mode="after")
    def _relations(self) -> Self:
        _hold(
            (
                self.lease_seconds > self.function_timeout_seconds,
                "lease_seconds must be greater than function_timeout_seconds, or two workers own one document",
            ),
            (
                self.call_seconds < self.function_timeout_seconds,
                "call_seconds must be less than function_timeout_seconds, or a function is ended before it stops",
            ),
            (
                self.record_days > self.sweep_days,
                "record_days must be greater than sweep_days, or the sweep runs old uploads again",
            ),
        )
        return self


class DispatchSettings(CommonSettings):
    """What deciding over shards needs; any function may dispatch."""

    max_batches: int | None = Field(None, ge=1)
    max_provider_bytes: int | None = Field(None, ge=1)
    enqueued_tokens: dict[str, int] = Field(default_factory=dict[str, int])
    """Instead of the provider's documented limits; tokens by model."""
    back_off_seconds: float = Field(60, ge=0)
    cancelled_hold_seconds: float = Field(3600, ge=0)
    """How long a cancelled batch goes on counting against the enqueued tokens (python-genai issue 2495)."""
    batch_deadline_hours: float | None = Field(None, gt=0)
    """When a batch is taken for stuck, if not when its provider's facts say so."""
    batch_deadline_hours_by_model: dict[str, float] = Field(
        default_factory=dict[str, float]
    )
    quarantine_seconds: float = Field(1200, ge=0)
    """From the intent until a batch that the provider does not show is taken for not being there."""
    documents_last: bool = True
    """False: a restart loses the documents. Of what was uploaded before, batches are collected, and none is created."""
    attachment_buckets: str = ""
    """Buckets, comma separated, whose objects requests may name besides those of the input bucket."""
    attachment_folders: Literal["own", "any"] = "own"
    """Of the input bucket an upload may name objects of its own first folder, or of any."""
    cache_seconds: int = Field(6 * 3600, ge=1800)
    """How long a context cache lives unless a staging or a sweep renews it; deleted when its job ends."""
    max_rounds: int = Field(2, ge=0)
    min_split_requests: int = Field(1, ge=1)

    def buckets_to_attach(self) -> frozenset[str]:
        """Return the buckets whose objects may be sent to the provider."""
        own = {
            part.strip() for part in self.attachment_buckets.split(",") if part.strip()
        }
        return frozenset(own | {self.input_bucket})

    def tokens_limit(self, facts: Facts, model: str) -> int:
        """Return how many input tokens of a model may be enqueued."""
        return self.enqueued_tokens.get(model) or facts.tokens_of(model)

    def batch_limit(self, facts: Facts) -> int:
        """Return how many batches of an account may be in flight."""
        return self.max_batches or facts.max_batches

    def bytes_limit(self, facts: Facts) -> int:
        """Return how many bytes an account's files may have."""
        return self.max_provider_bytes or facts.max_stored_bytes

    def batch_deadline_seconds(self, facts: Facts, model: str) -> float:
        """Return after how long a batch of this model is taken for stuck."""
        hours = self.batch_deadline_hours_by_model.get(model, self.batch_deadline_hours)
        return facts.stuck_after if hours is None else 3600 * hours

    def refuse_facts(self, facts: Facts) -> None:
        """Refuse settings that can never work with a provider.

        Raises:
            ConfigurationError: A batch may take longer than its staged file lives.
        """
        hours = (
            self.batch_deadline_hours,
            *self.batch_deadline_hours_by_model.values(),
        )
        longest = max(
            (facts.stuck_after, *(3600 * each for each in hours if each is not None))
        )
        _refuse_unless(
            (
                longest < facts.file_life,
                f"batch_deadline_hours must be less than {facts.file_life / 3600:.0f}: a file lives no longer",
            )
        )


class SubmitSettings(DispatchSettings):
    """Settings of the function `submit`."""

    model: str = "gemini-2.5-flash-lite"
    models: str = ""
    """Allowed models, comma separated; empty: any model the provider knows."""
    policy: Literal["lenient", "strict"] = "lenient"
    range_lines: int = Field(10_000, ge=1)
    range_bytes: int = Field(64 * MIB, ge=1)
    shard_requests: int = Field(50_000, ge=1)
    shard_bytes: int = Field(512 * MIB, ge=1)
    shard_tokens: int = Field(0, ge=0)
    """Tokens per shard; 0: a quarter of the model's enqueued-token limit."""
    shard_attached_bytes: int = Field(2048 * MIB, ge=1)
    """Objects a shard's requests name: its part of the provider's 20 GB of files."""
    shard_output_bytes: int = Field(2048 * MIB, ge=1)
    """Expected bytes of a shard's answers, for image models: what one download can hold."""
    max_line_bytes: int = Field(limit("input_line"), ge=1)
    max_upload_bytes: int = Field(limit("upload"), ge=1)
    max_lines: int = Field(limit("lines"), ge=1)
    max_gzip_ratio: int = Field(limit("gzip_ratio"), ge=2)
    duplicate_days: float = Field(7, ge=0)
    """How long an upload that asks what a complete job answered is its DUPLICATE; 0: everything runs."""
    job_deadline_hours: float = Field(72, gt=0)
    cache_hours: float = Field(24, gt=0)
    """How long a job's context cache is taken to be kept, when an upload of its name never ran: the batch target."""
    create_timeout_seconds: float = Field(60, gt=0)
    reconcile_seconds: float = Field(60, gt=0)
    budgets: dict[str, Decimal] = Field(default_factory=dict[str, Decimal])
    """USD a month by scope: `stack`, `team:NAME`, `label-NAME:VALUE`."""
    held_minutes: float = Field(15, ge=0)
    held_days: float = Field(7, gt=0)

    def create_seconds(self, facts: Facts, size: int) -> float:
        """Return after how long a create call is in doubt, by the bytes of the batch's lines."""
        return self.create_timeout_seconds + size / facts.body_rate

    def refuse_facts(self, facts: Facts) -> None:
        """Refuse settings that can never work with a provider.

        Raises:
            ConfigurationError: As in the other functions, or the largest create takes longer than what waits for it.
        """
        super().refuse_facts(facts)
        longest = self.create_seconds(
            facts, min(facts.max_batch_bytes, self.shard_bytes)
        )
        quarantine = self.quarantine_seconds
        _refuse_unless(
            (
                self.call_seconds >= 2 * longest,
                f"call_seconds must be at least {2 * longest:.0f}, or the largest batches are never created",
            ),
            (
                not 0 < quarantine < 2 * longest,
                f"quarantine_seconds must be at least {2 * longest:.0f}, or a slow create is done twice",
            ),
        )

    def allowed_models(self) -> frozenset[str]:
        """Return the allow-list; empty means any."""
        return frozenset(
            part.strip() for part in self.models.split(",") if part.strip()
        )

    @model_validator(mode="after")
    def _times_of_uploads(self) -> Self:
        _hold(
            (
                self.call_seconds >= 2 * self.create_timeout_seconds,
                "call_seconds must be at least twice create_timeout_seconds, or no batch is ever created",
            ),
            (
                not 0 < self.quarantine_seconds < 2 * self.create_timeout_seconds,
                "quarantine_seconds must be at least twice create_timeout_seconds, or a slow create is done twice",
            ),
            (
                self.held_days < self.record_days,
                "held_days must be less than record_days, or nobody sees what became of a held upload",
            ),
            (
                self.duplicate_days <= self.record_days,
                "duplicate_days must not be greater than record_days, or the job that ran is forgotten before",
            ),
        )
        return self


class PollSettings(DispatchSettings):
    """Settings of the function `poll`."""

    call_seconds: float = Field(240, gt=0)
    look_first_minutes: float = Field(10, ge=0)
    """How long after its creation a batch is looked at on every tick."""
    look_spread_ticks: int = Field(5, ge=1)
    """Afterwards it is looked at on one tick in so many."""
    due_limit: int = Field(200, ge=1)
    sweep_seconds: float = Field(600, ge=0)
    """How often the sweeps run."""
    sweep_pages: int = Field(5, ge=1)
    """How many pages of each listing one sweep reads; the next goes on from there."""
    event_minutes: float = Field(10, ge=0)
    """An upload without a job that is younger may still have its event on the way."""
    orphan_minutes: float = Field(30, ge=0)

    @model_validator(mode="after")
    def _times_of_sweeps(self) -> Self:
        _hold(
            (
                self.sweep_seconds < self.cache_seconds / 2,
                "cache_seconds must be more than twice sweep_seconds, or a context cache ends before it is renewed",
            ),
        )
        return self


class WriteSettings(DispatchSettings):
    """Settings of the function `write`."""

    window_bytes: int = Field(32 * MIB, ge=1)
    max_row_bytes: int = Field(limit("result_row"), ge=1)
    finish_requests: int = Field(200, ge=1)
    """Lines of one shard that is answered by synchronous calls (`finish: standard`)."""
    finish_concurrency: int = Field(8, ge=1)
    finish_timeout_seconds: float = Field(60, gt=0)
    results_hours: float = Field(48, gt=0)
    """After a job's deadline: how long results that cannot be read are asked for again."""

    @model_validator(mode="after")
    def _times_of_answers(self) -> Self:
        _hold(
            (
                FINISH_GROUP * self.finish_timeout_seconds <= self.call_seconds,
                f"call_seconds must be at least {FINISH_GROUP} times finish_timeout_seconds, or answers are lost",
            ),
        )
        return self


T = TypeVar("T", bound=CommonSettings)


def load(settings_class: type[T], **overrides: Any) -> T:
    """Read the settings or raise ConfigurationError naming every variable that is wrong."""
    try:
        return settings_class(**overrides)
    except SettingsError as error:
        field = re.search(r'field "(\w+)"', str(error))
        name = f"BATCHDROP_{field[1].upper()}" if field else "a variable"
        raise ConfigurationError(
            f"settings are wrong: {name}: it is not valid JSON",
            code=Code.SETTINGS_INVALID,
        ) from None
    except ValidationError as error:
        problems = "; ".join(
            f"BATCHDROP_{'_'.join(map(str, item['loc'])).upper() or '*'}: {item['msg']}"
            for item in error.errors()
        )
        raise ConfigurationError(
            f"settings are wrong: {problems}", code=Code.SETTINGS_INVALID
        ) from None
