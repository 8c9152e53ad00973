"""Images as answers: which models make them, which lines ask for them, how large their rows will be."""

from __future__ import annotations

from batchdrop.core.codes import Code
from batchdrop.dialects.gemini.models import DRAWS, table
from batchdrop.dialects.gemini.request import request
from batchdrop.dialects.line import Rejected


def draws(model: str) -> bool:
    """Tell whether a model answers with images (`gemini-2.5-flash-image`, `gemini-3-pro-image-preview`)."""
    return "-image" in model or model.startswith("nano-banana")


def draws_nothing(model: str) -> bool:
    """Tell whether a model is known to make no images; of an unknown one, nobody says so."""
    return table(model) is not None and not draws(model)


def asked(line: bytes) -> bool:
    """Tell whether an accepted line asks for images; most lines tell at a glance that they do not."""
    return b"odalities" in line and request(line).asks_images


def row_bytes(line: bytes) -> int:
    """Return how large the row of a line's image will be, by the resolution asked for."""
    return request(line).image_bytes


def no_images(key: bytes, model: str) -> Rejected:
    """Refuse a line that asks a model for images which makes none."""
    return Rejected(
        key,
        Code.NOT_SUPPORTED,
        "/request/generationConfig/responseModalities",
        f"The model {model} makes no images.",
        f"Ask for TEXT only, or name a model that draws, such as {DRAWS}.",
    )
