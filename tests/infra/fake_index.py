"""A package index of empty wheels: each pinned release as it describes itself, and a newer one that has just appeared.

The wheels carry the metadata of the releases that are installed here, so that what is pinned, and what asks for what,
is real; the lock's hashes are exchanged for those of the empty wheels. It needs no network and takes seconds.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import canonicalize_name

_PIN = re.compile(r"^([A-Za-z0-9._-]+)(\[[a-z0-9,_-]+\])?==([^ ;\\]+)(?: ; ([^\\]*?))? *\\?$", re.MULTILINE)
_HASHES = re.compile(r"(?:\\\n    --hash=sha256:[0-9a-f]{64} *)+")


@dataclass(frozen=True, slots=True)
class Pin:
    """One line of a lock."""

    name: str
    extras: str
    version: str
    marker: str

    @property
    def here(self) -> bool:
        """Whether this Python on this machine installs it."""
        return not self.marker or Marker(self.marker).evaluate()


def pins(lock: str) -> list[Pin]:
    """Return the lines of a lock; every line that is neither a hash nor a comment is one."""
    return [
        Pin(canonicalize_name(name), extras, version, marker) for name, extras, version, marker in _PIN.findall(lock)
    ]


def newer(version: str) -> str:
    """Return the release after this one: its last number is one more."""
    return re.sub(r"\d+$", lambda last: str(int(last[0]) + 1), version)


def build(folder: Path, pinned: Iterable[Pin]) -> dict[str, str]:
    """Write a simple index (PEP 503) with both releases of every package; return the pinned wheels' hashes by name."""
    hashes: dict[str, str] = {}
    for pin in pinned:
        if pin.name in hashes or not pin.here:
            continue
        project = folder / pin.name
        project.mkdir(parents=True)
        hashes[pin.name] = _wheel(project, pin.name, pin.version)
        _wheel(project, pin.name, newer(pin.version))
        links = "".join(f'<a href="{wheel.name}">{wheel.name}</a>\n' for wheel in sorted(project.glob("*.whl")))
        (project / "index.html").write_text(f"<!DOCTYPE html><html><body>\n{links}</body></html>\n")
    return hashes


def exchanged(lock: str, hashes: dict[str, str]) -> str:
    """Return the lock with the hashes of the empty wheels; nothing else in it changes."""
    out, end = list[str](), 0
    for match in _HASHES.finditer(lock):
        before = lock[end : match.start()]
        [*_, name] = [pin.name for pin in pins(before + "\\")]
        out += [before, f"\\\n    --hash=sha256:{hashes.get(name, '0' * 64)}"]
        end = match.end()
    return "".join([*out, lock[end:]])


def _wheel(folder: Path, name: str, version: str) -> str:
    stem = f"{name.replace('-', '_')}-{version}"
    path = folder / f"{stem}-py3-none-any.whl"
    described = metadata.metadata(name)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    for field in ("Requires-Dist", "Provides-Extra"):
        lines += [f"{field}: {value}" for value in described.get_all(field) or []]
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", "\n".join(lines) + "\n")
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()
