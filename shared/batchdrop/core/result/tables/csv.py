r"""CSV by RFC 4180 that a spreadsheet opens as it is and executes nothing of.

A cell of text that begins with = + - @ (or their full-width forms), after white space or not, or with TAB, CR or LF,
gets an apostrophe before it (OWASP, "CSV Injection"): a spreadsheet takes such a cell for a formula, quoted or not.
Numbers stay numbers: JSON's, and text that is nothing but one, such as -5 or +49170123. The file begins with a byte
order mark, without which Excel does not read UTF-8; pandas, DuckDB and pyarrow pass over it. Lines end with CRLF.
Lists and objects are JSON, null is an empty cell.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from batchdrop.core.limits import KIB
from batchdrop.core.result.tables.columns import Column, Joined, json_text, values

BOM: Final = "\ufeff"
CHUNK_CHARS: Final = 256 * KIB
_FORMULA: Final = re.compile(r"[\t\r\n]|\s*[=+\-@＝＋－＠]")
_NUMBER: Final = re.compile(r"[-+]?[0-9]+([.,][0-9]+)?([eE][-+]?[0-9]+)?")


def write_csv(rows: Iterable[Joined], columns: tuple[Column, ...]) -> Iterator[bytes]:
    """Yield a header and one line for each row, holding a chunk and a row at most."""
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\r\n")
    held.write(BOM)
    writer.writerow([safe(column.name) for column in columns])
    for joined in rows:
        writer.writerow([_cell(value) for value in values(columns, joined)])
        if held.tell() >= CHUNK_CHARS:
            yield held.getvalue().encode()
            held.seek(0)
            held.truncate()
    yield held.getvalue().encode()


def safe(text: str) -> str:
    """Return the text so that no spreadsheet takes it for a formula."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return safe(value) if isinstance(value, str) else json_text(value)
