"""Recipes: the settings for the uploads of a folder, read from its `recipe.yaml`; the nearest one above applies.

    model: gemini-2.5-flash-lite
    system: You sort customer reviews.
    prompt: "Review of {{ product }}: {{ text }}"      see `template`
    key: review_id                                     a field; without it the rows have no key
    labels: [positive, negative, mixed]                or response_schema: {type: object, …}
    attachments: [photo, {field: manual, type: application/pdf}]
    output: {formats: [jsonl, csv], join: true}

pydantic checks the fields; `parse` reads a recipe from its file, and merges an upload's metadata into it.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self, cast

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from batchdrop.core.limits import limit
from batchdrop.core.problem import Problem
from batchdrop.core.recipe.template import TemplateError, compile_template
from batchdrop.core.result.schema import SchemaError, schema_check
from batchdrop.core.result.schema_shape import check_json_schema

RECIPE_NAME: Final = "recipe.yaml"
_SECONDS: Final = {"m": 60, "h": 3600, "d": 86400}


class Dialect(StrEnum):
    """How the lines of the output are written."""

    ROWS = "rows"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class Format(StrEnum):
    """What files the output has."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


# -------------------------------------------------------------------------------------------- checks of fields
def _template(text: str) -> str:
    try:
        compile_template(text)
    except TemplateError as error:
        where = f" (line {error.line} of the template)" if error.line > 1 else ""
        raise PydanticCustomError(
            "template", "{problem}", {"problem": f"{error.sentence}{where}"}
        ) from None
    return text


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    problems: list[Problem] = []
    check_json_schema(schema, "", problems)
    if problems:
        sentence = f"{problems[0].pointer or '/'}: {problems[0].message}"
        raise PydanticCustomError("schema", "{problem}", {"problem": sentence})
    try:
        schema_check(schema)
    except SchemaError as error:
        raise PydanticCustomError(
            "schema", "{problem}", {"problem": str(error)}
        ) from None
    return schema


def _deadline(text: str) -> str:
    if not 0 < seconds(text) <= limit("deadline"):
        raise PydanticCustomError(
            "deadline", "A deadline is more than nothing and 14d at most."
        )
    return text


def seconds(text: str) -> int:
    """Return the seconds of a duration such as `90m`, `6h` or `2d`."""
    return int(text[:-1]) * _SECONDS[text[-1]]


def _distinct(words: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(words)) != len(words):
        raise PydanticCustomError("distinct", "Two entries are the same.")
    return words


Name = Annotated[str, Field(min_length=1, max_length=300)]
TemplateText = Annotated[str, Field(min_length=1), AfterValidator(_template)]
Mime = Annotated[str, Field(pattern=r"^[a-z]+/[a-z0-9][a-z0-9.+-]*$", max_length=100)]
AttributionName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
AttributionValue = Annotated[str, Field(pattern=r"^[a-z0-9_-]{0,63}$")]
Money = Annotated[Decimal, Field(gt=0, lt=1_000_000_000, allow_inf_nan=False)]


class _Part(BaseModel):
    """A part of a recipe: frozen, and it knows all its fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", str_strip_whitespace=False, allow_inf_nan=False
    )


class Attachment(_Part):
    """A field that names an object, or a list of them; `type` where the name's ending does not tell."""

    field: Name
    type: Mime | None = None


class Thinking(_Part):
    """How much the model thinks before it answers."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    thinking_budget: int | None = Field(default=None, ge=-1, le=100_000)
    thinking_level: (
        Literal["MINIMAL", "LOW", "MEDIUM", "HIGH", "minimal", "low", "medium", "high"]
        | None
    ) = None
    include_thoughts: bool | None = None


class Image(_Part):
    """The images a model makes."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    aspect_ratio: str | None = Field(default=None, pattern=r"^[0-9]{1,2}:[0-9]{1,2}$")
    image_size: Literal["512", "0.5K", "1K", "2K", "4K"] | None = None


class Generation(_Part):
    """Settings of the generation, named as in the Gemini API; the ranges are those of `validation.walk`."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=1, le=1000)
    max_output_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    stop_sequences: tuple[str, ...] | None = Field(default=None, max_length=5)
    seed: int | None = Field(default=None, ge=-(2**31), le=2**31 - 1)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    response_modalities: tuple[Literal["TEXT", "IMAGE", "AUDIO"], ...] | None = None
    media_resolution: str | None = Field(
        default=None, pattern=r"^MEDIA_RESOLUTION_[A-Z_]{1,30}$"
    )
    thinking_config: Thinking | None = None
    image_config: Image | None = None


class Embed(_Part):
    """Embeddings instead of answers."""

    dimensions: int | None = Field(default=None, ge=1, le=10_000)


class Output(_Part):
    """What the output holds; `join` puts the record's fields beside the answer. JSONL is always written."""

    dialect: Dialect = Dialect.ROWS
    formats: Annotated[
        tuple[Format, ...], Field(min_length=1), AfterValidator(_distinct)
    ] = (Format.JSONL,)
    join: bool = False

    @property
    def joins_parquet(self) -> bool:
        """Tell whether records stand in Parquet tables: their columns keep the types a Parquet input gives them."""
        return self.join and Format.PARQUET in self.formats


class Recipe(_Part):
    """The settings for an upload; every field may be left out."""

    model: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9.:_/-]{0,199}$"
    )
    system: TemplateText | None = None
    prompt: TemplateText | None = None
    key: Name | None = None
    attachments: tuple[Attachment, ...] = Field(default=(), max_length=100)
    response_schema: Annotated[dict[str, Any], AfterValidator(_schema)] | None = None
    labels: Annotated[
        tuple[Name, ...], Field(max_length=1000), AfterValidator(_distinct)
    ] = ()
    generation: Generation = Generation()
    embed: Embed | None = None
    redo: int | None = Field(default=None, ge=0, le=5)
    """Rounds of repeating what failed; None: the stack's."""
    deadline: (
        Annotated[str, Field(pattern=r"^[0-9]{1,6}[mhd]$"), AfterValidator(_deadline)]
        | None
    ) = None
    finish: Literal["missing", "standard"] | None = None
    """At the deadline: report the rest as missing, or run it at the standard price."""
    max_cost: Money | None = None
    cache: Literal["auto", "off", "required"] = "auto"
    attribution: dict[AttributionName, AttributionValue] = Field(
        default_factory=dict[str, str], max_length=64
    )
    """Labels that costs and messages carry."""
    priority: int = Field(default=0, ge=-100, le=100)
    policy: Literal["lenient", "strict"] | None = None
    output: Output = Output()

    @model_validator(mode="before")
    @classmethod
    def _shorthands(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        fields = dict(cast("dict[str, Any]", data))
        if isinstance(fields.get("embed"), bool):
            fields["embed"] = {} if fields["embed"] else None
        attached = fields.get("attachments")
        if isinstance(attached, list):
            entries = cast("list[Any]", attached)
            fields["attachments"] = [
                {"field": entry} if isinstance(entry, str) else entry
                for entry in entries
            ]
        return fields

    @model_validator(mode="after")
    def _relations(self) -> Self:
        if self.response_schema is not None and self.labels:
            raise PydanticCustomError(
                "conflict", "labels and response_schema exclude each other."
            )
        if self.embed is not None:
            for name in (
                "system",
                "response_schema",
                "labels",
                "attachments",
                "generation",
            ):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise PydanticCustomError(
                        "conflict", "{name} has no meaning with embed.", {"name": name}
                    )
        return self

    @property
    def renders(self) -> bool:
        """True when the recipe can make requests of records."""
        return self.prompt is not None or bool(self.attachments)

    def attaches(self, media_type: str) -> bool:
        """Tell whether a field of the records names objects of that type."""
        return any(entry.type == media_type for entry in self.attachments)

    def answer_schema(self) -> dict[str, Any] | None:
        """Return the JSON Schema of the answers; labels are an enumeration."""
        return (
            {"type": "string", "enum": list(self.labels)}
            if self.labels
            else self.response_schema
        )


FIXES: Final = {
    "model": "Write a model's name without models/, for example gemini-2.5-flash-lite.",
    "deadline": "Write a number with m, h or d: 90m, 6h, 2d.",
    "max_cost": "Write an amount in the stack's currency: 12.50.",
    "labels": "Write a list of distinct words; quote those that look like numbers.",
    "system": "Write text with {{ field }} where a field goes.",
    "prompt": "Write text with {{ field }} where a field goes.",
    "attachments": "Write field names, or {field: name, type: image/png}.",
    "response_schema": "Write a JSON Schema; references stay within it (#/$defs/…).",
    "embed": "Write true, or {dimensions: 768}.",
    "attribution": "Write names and values of lower-case letters, digits, - and _.",
    "output": "Write {dialect: rows, formats: [jsonl, csv, parquet], join: false}.",
}
"""How the value of a field is written."""


def digest(recipe: Recipe) -> str:
    """Return what is the same exactly for recipes that mean the same (defaults written out or not)."""
    fields = recipe.model_dump(mode="json", exclude_defaults=True)
    return hashlib.sha256(
        msgspec.json.encode(fields, order="deterministic")
    ).hexdigest()
