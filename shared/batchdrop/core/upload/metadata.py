"""What the metadata of an upload says: labels, `label-NAME`, and settings, all other names (`recipe.merged`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_LABEL: Final = "label-"
_TEAM: Final = "team"


def labels_of(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that costs and messages are to carry."""
    return {
        name.removeprefix(_LABEL): value
        for name, value in metadata.items()
        if name.startswith(_LABEL)
    }


def settings_of(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata that is no label."""
    return {
        name: value for name, value in metadata.items() if not name.startswith(_LABEL)
    }


def team_of(upload: str, labels: Mapping[str, str]) -> str:
    """Return who pays: the label `team`, else the first folder of the upload's name; empty above all folders."""
    folder, slash, _ = upload.partition("/")
    return labels.get(_TEAM) or (folder if slash else "")
