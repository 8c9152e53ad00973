"""What is true of the Gemini Developer API. Every number has its page; limits depend on the tier of the account."""

from __future__ import annotations

from typing import Final

from batchdrop.core.codes import Code
from batchdrop.core.errors import ConfigurationError
from batchdrop.core.limits import GIB
from batchdrop.ports import Facts, Staging, Unit

# All pages read in stored copies on 2026-11-23.
# rate limits  ai.google.dev/gemini-api/docs/rate-limits (page of 2026-08-18)
# batches      ai.google.dev/gemini-api/docs/batch-api (page of 2026-09-18)
# files        ai.google.dev/gemini-api/docs/files
ENQUEUED_TOKENS: Final[dict[str, tuple[int, int, int]]] = {
    # The beginning of a model's name: tier 1, tier 2, tier 3 (rate limits).
    "gemini-2.5-pro": (5_000_000, 500_000_000, 1_000_000_000),
    "gemini-2.5-flash": (3_000_000, 400_000_000, 1_000_000_000),
    "gemini-2.5-flash-lite": (10_000_000, 500_000_000, 1_000_000_000),
    "gemini-3-flash": (3_000_000, 400_000_000, 1_000_000_000),
    "gemini-3-pro": (5_000_000, 500_000_000, 1_000_000_000),
    "gemini-3-pro-image": (2_000_000, 270_000_000, 1_000_000_000),
    "gemini-3.1-pro": (5_000_000, 500_000_000, 1_000_000_000),
    "gemini-3.1-flash-lite": (10_000_000, 500_000_000, 1_000_000_000),
    "gemini-3.1-flash-image": (1_000_000, 250_000_000, 750_000_000),
    "gemini-3.5-flash": (3_000_000, 400_000_000, 1_000_000_000),
    "gemini-3.6-flash": (3_000_000, 400_000_000, 1_000_000_000),
    "gemini-3.7-flash": (3_000_000, 3_000_000, 3_000_000),
    "gemini-embedding": (500_000, 5_000_000, 10_000_000),
}
OTHER_TOKENS: Final = (3_000_000, 250_000_000, 750_000_000)
"""For a model the table does not name: the smallest of the text models."""
TIERS: Final = (1, 2, 3)


def facts_of(tier: int = 1) -> Facts:
    """Return what is true for an account of a tier.

    Raises:
        ConfigurationError: There is no such tier.
    """
    if tier not in TIERS:
        raise ConfigurationError(
            f"there is no tier {tier}: an account has tier 1, 2 or 3",
            code=Code.SETTINGS_INVALID,
        )
    return Facts(
        kind="gemini",
        dialect="gemini",
        models=(r"gemini-.*", r"gemma-.*", r"imagen-.*", r"tunedModels/.*"),
        staging=Staging.FILE,
        unit=Unit.TOKENS,
        names_batches=True,
        id_pattern=r".+",  # batches: `key` is any string
        max_batch_requests=1 << 62,  # batches: none is stated
        max_batch_bytes=2 * GIB,  # batches
        max_file_bytes=2 * GIB,  # files
        max_batches=100,  # rate limits: of a project
        max_stored_bytes=20 * GIB,  # batches: of a project
        file_life=48 * 3600.0,  # files
        stuck_after=26 * 3600.0,  # batches: the target is 24 h
        tokens={prefix: limits[tier - 1] for prefix, limits in ENQUEUED_TOKENS.items()},
        other_tokens=OTHER_TOKENS[tier - 1],
    )
