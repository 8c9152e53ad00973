"""The report: one HTML page with charts, readable without a network, the same bytes for the same entries."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from batchdrop.core.money.costs import Entry, Sum, savings
from batchdrop.core.money.prices import CURRENCY

WIDTH: Final = 720
BAR: Final = 22
HEIGHT: Final = 180
_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#59636e;--paper:#fff;--rule:#d1d9e0;--paid:#0a6ebd;--once:#b8c4ce;
--bad:#c4432b;--good:#1a7f4b}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa5b1;--paper:#12161b;--rule:#30363d;--paid:#4aa3e8;
--once:#4a5560;--bad:#f0826d;--good:#4cc38a}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:46rem;margin:2rem auto;
padding:0 1rem}h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{color:var(--soft);margin:.25rem 0}
.figures{display:flex;gap:2rem;flex-wrap:wrap;margin:1.25rem 0}.figures b{display:block;font-size:1.6rem;
color:var(--ink)}.figures span{color:var(--soft);font-size:.85rem}svg{width:100%;height:auto;display:block}
text{fill:var(--ink);font:12px system-ui,sans-serif}.soft{fill:var(--soft)}.paid{fill:var(--paid)}
.once{fill:var(--once)}.bad{fill:var(--bad)}table{border-collapse:collapse;width:100%;font-size:.85rem}th,td{text-align:right;padding:.25rem
.5rem;border-bottom:1px solid var(--rule)}th:first-child,td:first-child{text-align:left}summary{color:var(--soft);
cursor:pointer;margin:.5rem 0}.key i{display:inline-block;width:.8em;height:.8em;margin:0 .35em 0 1em;border-radius:2px}
"""


_KEY: Final = (
    '<p class="key"><i style="background:var(--paid)"></i>paid<i style="background:var(--once)"></i>sent at once'
    '<i style="background:var(--bad)"></i>failed rows</p>'
)


def page(entries: Iterable[Entry], title: str) -> bytes:
    """Return the whole page; `title` names the stack and the time."""
    found = list(entries)
    total = Sum()
    for one in found:
        total.add(one)
    days, teams, models = (savings(found, by) for by in ("day", "team", "model"))
    body = "".join(
        (
            f"<h1>{_text(title)}</h1>",
            f"<p>Amounts in {CURRENCY}, by the price source named in each ledger entry.</p>",
            _figures(total),
            _KEY,
            "<h2>Day by day</h2>",
            _columns(days),
            _table("day", days),
            "<h2>By team</h2>",
            _bars("team", teams),
            _table("team", teams),
            "<h2>By model</h2>",
            _bars("model", models),
            _table("model", models),
            _unpriced(total),
        )
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body>{body}</body></html>\n"
    ).encode()


def _figures(total: Sum) -> str:
    share = total.saved / total.standard if total.standard else Decimal(0)
    figures = (
        (_money(total.amount), "paid"),
        (_money(total.standard), "if sent at once"),
        (f"{_money(total.saved)} ({share:.0%})", "saved"),
        (f"{total.requests:,}", "requests"),
        (f"{total.cached_share:.1%}", "of input from a cache"),
        (_money(total.failed), "for failed rows"),
        (_money(total.redo), "for doing rows again"),
    )
    return (
        '<div class="figures">'
        + "".join(f"<div><b>{a}</b><span>{b}</span></div>" for a, b in figures)
        + "</div>"
    )


def _columns(table: Mapping[str, Sum]) -> str:
    """Draw two columns for each day: what was paid before what it would have cost."""
    most = max(
        (total.standard for total in table.values()), default=Decimal(0)
    ) or Decimal(1)
    step = Decimal(WIDTH) / max(len(table), 1)
    width = min(step * Decimal("0.7"), Decimal(60))
    marks: list[str] = []
    for index, (day, total) in enumerate(table.items()):
        left = step * index + (step - width) / 2
        told = _told(day, total)
        marks.append(_rect(left, total.standard / most * HEIGHT, width, "once", told))
        marks.append(_rect(left, total.amount / most * HEIGHT, width, "paid", told))
        marks.append(_rect(left, total.failed / most * HEIGHT, width, "bad", told))
        if len(table) <= 10 or index % (len(table) // 10 + 1) == 0:
            middle = left + width / 2
            marks.append(
                f'<text x="{middle:.1f}" y="{HEIGHT + 16}" text-anchor="middle" class="soft">{_text(day[5:])}</text>'
            )
    return _svg(HEIGHT + 22, "Spending day by day against sending at once", marks)


def _rect(left: Decimal, height: Decimal, width: Decimal, kind: str, told: str) -> str:
    top = HEIGHT - height
    return (
        f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2">'
        f"<title>{told}</title></rect>"
    )


def _bars(by: str, table: Mapping[str, Sum]) -> str:
    """Draw one bar for each name, the dearest first."""
    order = sorted(table.items(), key=lambda item: (-item[1].standard, item[0]))[:20]
    most = max((total.standard for _, total in order), default=Decimal(0)) or Decimal(1)
    room = WIDTH - 220
    marks: list[str] = []
    for index, (name, total) in enumerate(order):
        top = index * BAR
        told = _told(name or "(none)", total)
        marks.append(f'<text x="0" y="{top + 14}">{_text(_short(name))}</text>')
        for amount, kind in (
            (total.standard, "once"),
            (total.amount, "paid"),
            (total.failed, "bad"),
        ):
            marks.append(
                f'<rect class="{kind}" x="150" y="{top + 3}" width="{amount / most * room:.1f}" height="14" rx="2">'
                f"<title>{told}</title></rect>"
            )
        marks.append(
            f'<text class="soft" x="{WIDTH}" y="{top + 14}" text-anchor="end">{_money(total.amount)}</text>'
        )
    return _svg(
        max(len(order), 1) * BAR, f"Spending by {by} against sending at once", marks
    )


def _svg(height: int, label: str, marks: list[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{_text(label)}">{"".join(marks)}</svg>'


def _table(by: str, table: Mapping[str, Sum]) -> str:
    names = (by, "requests", "paid", "at once", "saved", "failed", "redo", "cached")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    rows = "".join(
        f"<tr><td>{_text(name or '(none)')}</td><td>{total.requests:,}</td>"
        + "".join(
            f"<td>{_money(amount)}</td>"
            for amount in (
                total.amount,
                total.standard,
                total.saved,
                total.failed,
                total.redo,
            )
        )
        + f"<td>{total.cached_share:.1%}</td></tr>"
        for name, total in table.items()
    )
    return f"<details><summary>as a table</summary><table><tr>{head}</tr>{rows}</table></details>"


def _unpriced(total: Sum) -> str:
    return (
        f"<p>{total.unpriced:,} batches have no price and are in no amount.</p>"
        if total.unpriced
        else ""
    )


def _told(name: str, total: Sum) -> str:
    return _text(
        f"{name}: paid {_money(total.amount)}, sent at once {_money(total.standard)}"
    )


def _money(amount: Decimal) -> str:
    return f"{amount:,.2f}" if abs(amount) >= 1 or not amount else f"{amount:.6f}"


def _short(name: str) -> str:
    return (name or "(none)") if len(name) <= 20 else name[:19] + "…"


def _text(text: str) -> str:
    return html.escape(text)
