"""Addresses of objects in buckets, as requests name them: `gs://bucket/name`."""

from __future__ import annotations

from typing import Final

SCHEME: Final = "gs://"


def address(uri: str) -> tuple[str, str]:
    """Return bucket and name of an object's address."""
    bucket, _, name = uri.removeprefix(SCHEME).partition("/")
    return bucket, name


def own_folder(upload: str) -> str:
    """Return the first folder of an upload's name with its slash; empty above all folders."""
    folder, slash, _ = upload.partition("/")
    return folder + slash if slash else ""
