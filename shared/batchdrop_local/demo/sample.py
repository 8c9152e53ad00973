"""A sample upload: support tickets of an online shop in eight languages, to classify, to extract, to answer.

The same seed gives the same bytes. A handful of lines are meant to be rejected (wrong in one way each), a handful
carry a marker that makes the Gemini emulator block, fail, cut or forget them; the real API reads it as plain text.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REQUESTS = 1200
LABELS = ["billing", "delivery", "returns", "technical", "account", "praise", "other"]

_PRODUCTS = [
    "kettle K2",
    "desk lamp Aurora",
    "trail shoes 42",
    "e-reader Page 7",
    "bike light",
    "Moka-Kanne",
    "椅子 C-10",
]
_TEMPLATES: list[tuple[str, str]] = [
    (
        "en",
        "Order {order}: I was charged twice for the {product}. Please refund {amount} EUR to my card.",
    ),
    (
        "en",
        "My parcel {order} has been at the depot since {day}. When will the {product} arrive?",
    ),
    (
        "en",
        "The {product} will not switch on any more; I tried another socket. Serial {serial}.",
    ),
    (
        "en",
        "I cannot log in since the update. Reset link never arrives at my address. Customer {serial}.",
    ),
    (
        "en",
        "Just wanted to say the {product} is brilliant – my daughter won't put it down. 😀",
    ),
    (
        "de",
        "Die Bestellung {order} wurde doppelt abgebucht. Bitte {amount} EUR für „{product}“ zurückerstatten.",
    ),
    (
        "de",
        "Ich möchte den Artikel {product} zurückschicken, er ist zu groß. Bestellnummer {order}.",
    ),
    (
        "de",
        "Seit {day} warte ich auf mein Paket {order}. Die Sendungsverfolgung zeigt nichts Neues.",
    ),
    (
        "fr",
        "Le colis {order} est arrivé abîmé : l'écran du {product} est fêlé. Que faire ?",
    ),
    (
        "fr",
        "Bonjour, je souhaite changer l'adresse de mon compte {serial} et recevoir une facture de {amount} €.",
    ),
    (
        "es",
        "¿Dónde está mi pedido {order}? Pagué {amount} € por el {product} el {day}.",
    ),
    (
        "es",
        "La aplicación se cierra sola al abrir el {product}. Número de serie {serial}.",
    ),
    (
        "pt",
        "Quero devolver o {product}; a cor não é a da fotografia. Encomenda {order}, paga em {day}.",
    ),
    (
        "it",
        "La fattura dell'ordine {order} riporta {amount} € invece di quanto pagato per {product}.",
    ),
    (
        "pl",
        "Paczka {order} nie dotarła, a status mówi „doręczono”. Proszę o pilny kontakt w sprawie {product}.",
    ),
    (
        "ja",
        "注文番号{order}の{product}が届きません。{day}に発送済みと表示されています。",
    ),
    ("ja", "{product}の電源が入りません。保証期間内です。製造番号は{serial}です。"),
]
_MARKERS = {
    97: "[[emulate:block]]",
    211: "[[emulate:error=3]]",
    307: "[[emulate:error-once=13]]",
    401: "[[emulate:missing]]",
    503: "[[emulate:truncate]]",
    601: "[[emulate:empty]]",
    701: "[[emulate:error=13]]",
}
"""By request number; the emulator's documentation says what each does."""


def write_sample(path: Path, requests: int = REQUESTS) -> int:
    """Write the sample; return its number of lines."""
    count = 0
    with path.open("wb") as out:
        for line in lines(requests):
            out.write(line + b"\n")
            count += 1
    return count


def lines(requests: int) -> Iterator[bytes]:
    """Yield the sample's lines: `requests` good ones, with the bad and the odd ones between."""
    random_ = random.Random(20261123)
    bad = dict(zip(range(60, 60 + 110 * len(_BAD), 110), _BAD, strict=True))
    for number in range(1, requests + 1):
        if number in bad:
            yield bad[number]
        yield _encode(_request(random_, number))


def _request(random_: random.Random, number: int) -> dict[str, Any]:
    language, template = random_.choice(_TEMPLATES)
    ticket = template.format(
        order=f"{random_.randrange(10**7, 10**8)}",
        product=random_.choice(_PRODUCTS),
        amount=f"{random_.randrange(5, 400)}.{random_.randrange(100):02d}",
        day=f"2026-11-{random_.randrange(1, 22):02d}",
        serial=f"SN-{random_.randrange(16**6):06X}",
    )
    marker = _MARKERS.get(number % 1000 if number > 1000 else number, "")
    text = f"{ticket} {marker}".strip()
    task = (_classify, _extract, _answer)[number % 3]
    key: object = {
        40: "ticket 40\u2028second line",
        41: "ключ-41",
        42: "dup",
        43: "dup",
    }.get(number, f"t-{number:05d}")
    entry: dict[str, Any] = {"key": key, "request": task(text, language)}
    if number == 44:
        del entry["key"]
    return entry


def _classify(text: str, language: str) -> dict[str, Any]:
    return {
        "systemInstruction": {
            "parts": [{"text": "Classify the support ticket. Answer with one label."}]
        },
        "contents": [{"role": "user", "parts": [{"text": text}]}],
        "generationConfig": {
            "temperature": 0,
            "maxOutputTokens": 256,
            "responseMimeType": "application/json",
            "responseSchema": {
                "type": "OBJECT",
                "properties": {
                    "label": {"type": "STRING", "enum": LABELS},
                    "urgent": {"type": "BOOLEAN"},
                    "language": {
                        "type": "STRING",
                        "enum": ["en", "de", "fr", "es", "pt", "it", "pl", "ja"],
                    },
                },
                "required": ["label", "urgent", "language"],
            },
        },
    }


def _extract(text: str, language: str) -> dict[str, Any]:
    return {
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": f"Extract the facts of this ticket ({language}):\n{text}"}
                ],
            }
        ],
        "generationConfig": {
            "temperature": 0,
            "maxOutputTokens": 512,
            "responseMimeType": "application/json",
            "responseSchema": {
                "type": "OBJECT",
                "properties": {
                    "order_number": {"type": "STRING", "nullable": True},
                    "product": {"type": "STRING", "nullable": True},
                    "amount": {"type": "NUMBER", "nullable": True},
                    "problems": {"type": "ARRAY", "items": {"type": "STRING"}},
                },
                "required": ["order_number", "product", "amount", "problems"],
            },
        },
    }


def _answer(text: str, language: str) -> dict[str, Any]:
    return {
        "systemInstruction": {
            "parts": [
                {"text": f"Answer the customer politely in the language '{language}'."}
            ]
        },
        "contents": [{"role": "user", "parts": [{"text": text}]}],
        "generationConfig": {"temperature": 0.4, "maxOutputTokens": 300},
    }


def _encode(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode()


_GOOD = _answer("Where is my parcel?", "en")
_BAD: list[bytes] = [
    b"",
    b'{"key":"cut off","request":{"contents":[{"parts":[{"text":"the editor crashed he',
    _encode({"key": "flat", "request": {**_GOOD, "temperature": 0.2}}),
    _encode(
        {"key": "no contents", "request": {"generationConfig": {"temperature": 0}}}
    ),
    _encode({"key": "typo", "request": {"content": "x", "contnets": []}}),
    b'{"key":"nan","request":{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"temperature":NaN}}}',
    b'{"key":"latin-1","request":{"contents":[{"parts":[{"text":"Gr\xfc\xdfe"}]}]}}',
    b'["not", "an", "object"]',
    _encode(
        {"key": "hot", "request": {**_GOOD, "generationConfig": {"temperature": 7}}}
    ),
    b"   ",
]
