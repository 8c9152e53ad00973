"""Real-looking uploads that need a recipe, the same bytes every time.

`write_samples(folder)` writes reviews.csv, tickets.jsonl, products.parquet (600 records each) and a recipe for each.
"""

from __future__ import annotations

import csv
import importlib
import json
import random
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

RECORDS: Final = 600

REVIEWS_RECIPE: Final = """\
model: gemini-2.5-flash-lite
system: You sort customer reviews for a shop. Answer with one label.
prompt: |
  Product: {{ product }}
  Stars: {{ stars }}
  Review: {{ text }}
key: review_id
labels: [positive, negative, mixed]
generation: {temperature: 0, max_output_tokens: 20}
output: {formats: [jsonl, csv], join: true}
"""

TICKETS_RECIPE: Final = """\
# Support tickets: what is it about, how urgent is it?
model: gemini-2.5-flash-lite
prompt: |
  {% if customer.tier == "gold" %}A gold customer{% else %}A customer{% endif %} from {{ customer.country }} writes:
  {{ body }}
  {% for reply in replies %}
  Reply {{ loop.index }}: {{ reply }}
  {% endfor %}
key: ticket
response_schema:
  type: object
  properties:
    topic: {type: string}
    urgency: {type: integer, minimum: 1, maximum: 5}
    contact:
      type: object
      properties:
        name: {type: string}
        wants_call: {type: boolean}
  required: [topic, urgency]
redo: 2
deadline: 6h
max_cost: 5.00
output: {formats: [jsonl, csv, parquet]}
"""

PRODUCTS_RECIPE: Final = """\
model: gemini-embedding-001
prompt: "{{ name }} ({{ category }}): {{ description }}"
key: sku
embed: {dimensions: 768}
output: {formats: [jsonl, parquet], join: true}
"""

_PRODUCTS: Final = ("Kettle", "Toaster", "Rain jacket", "Desk lamp", "Bicycle bell", "Thermos", "Headphones")
_SENTENCES: Final = (
    "It does what it says.",
    'The lid "sticks" after a week, and nobody answers.',
    "Très bon produit, livraison rapide.",
    "Broke twice;\nthe second one too.",
    "Für den Preis in Ordnung.",
    "=1+1 is what the manual says on page 3",
    "5 stars, would buy again, even at 20% more.",
    "色がきれいです。",
)


def reviews(records: int = RECORDS) -> Iterator[dict[str, str]]:
    """Yield reviews as a CSV holds them: all text."""
    dice = random.Random(4)
    for number in range(1, records + 1):
        yield {
            "review_id": f"R-{number:05}",
            "product": dice.choice(_PRODUCTS),
            "stars": str(dice.randint(1, 5)),
            "text": " ".join(dice.sample(_SENTENCES, 2)),
            "discount": f"-{dice.randint(1, 30)}%",
        }


def tickets(records: int = RECORDS) -> Iterator[dict[str, Any]]:
    """Yield tickets with fields in fields."""
    dice = random.Random(5)
    for number in range(1, records + 1):
        yield {
            "ticket": number,
            "customer": {"tier": dice.choice(["gold", "basic"]), "country": dice.choice(["DE", "FR", "JP"])},
            "body": " ".join(dice.sample(_SENTENCES, 2)),
            "replies": dice.sample(_SENTENCES, dice.randint(0, 2)),
        }


def products(records: int = RECORDS) -> Iterator[dict[str, Any]]:
    """Yield products with values that JSON does not have."""
    dice = random.Random(6)
    for number in range(1, records + 1):
        yield {
            "sku": f"SKU{number:06}",
            "name": dice.choice(_PRODUCTS),
            "category": dice.choice(["kitchen", "outdoor", "office"]),
            "description": " ".join(dice.sample(_SENTENCES, 3)),
            "price": Decimal(dice.randint(500, 20_000)) / 100,
            "listed": date(2026, 1, 1) + timedelta(days=number % 300),
            "tags": dice.sample(["new", "sale", "blue", "steel"], 2),
        }


def write_samples(folder: Path) -> None:
    """Write the three uploads, each into a folder of its own with its recipe."""
    for name, recipe in (("reviews", REVIEWS_RECIPE), ("tickets", TICKETS_RECIPE), ("products", PRODUCTS_RECIPE)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "recipe.yaml").write_text(recipe, encoding="utf-8")
    with (folder / "reviews" / "reviews.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(next(reviews())))
        writer.writeheader()
        writer.writerows(reviews())
    lines = "".join(json.dumps(ticket, ensure_ascii=False) + "\n" for ticket in tickets())
    (folder / "tickets" / "tickets.jsonl").write_text(lines, encoding="utf-8")
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    parquet.write_table(arrow.Table.from_pylist(list(products())), folder / "products" / "products.parquet")
