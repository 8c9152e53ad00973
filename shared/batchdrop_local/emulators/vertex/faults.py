"""What can be made to go wrong: the Gemini emulator's faults for calls, states and rows, and those of this service.

Of the Gemini emulator's, those of files, caches and enqueued tokens have no meaning here: the service has none. Kinds
of calls: create, get, list, cancel, delete, models.get, generate, count.
"""

from __future__ import annotations

from typing import Final

import msgspec

from batchdrop_local.emulators.gemini.faults import Faults as GeminiFaults


class Faults(GeminiFaults, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Everything that can be set. `answered_share` is the share of rows of a job that did not succeed."""

    echo_keys: bool = True
    """Members of an input line beside `request` come back: in practice they do, no page says so."""
    output_objects: int = 1
    """Among how many objects a job's rows are divided."""
    running_share: float = 0.0
    """The share of rows that is exported while the job runs; the object is written again at the end."""
    late_seconds: float = 0.0
    """The last object, or the second half of the only one, is there only so long after the end."""
    reversed_rows: bool = False
    """Rows come in the opposite order of the requests."""
    counts: bool = True
    """The job says how many requests are done."""

    def __post_init__(self) -> None:
        """Refuse what no service could do."""
        super().__post_init__()
        if self.output_objects < 1 or not 0 <= self.running_share <= 1:
            raise ValueError(
                "output_objects must be 1 or more, running_share between 0 and 1"
            )


decode: Final = msgspec.json.Decoder(Faults).decode
