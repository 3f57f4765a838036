"""What shops ask a catalogue: sample products, and the mix of requests that the demo sends."""

import json
import random
from typing import Any
from urllib.parse import urlencode

from tools.openload import Request, Scenario, Step

_CATEGORIES = {
    "lighting": ("lamp", "lantern", "spotlight", "chandelier", "bulb"),
    "furniture": ("desk", "chair", "shelf", "wardrobe", "bench", "stool"),
    "kitchen": ("kettle", "pan", "knife", "grinder", "bowl", "toaster"),
    "garden": ("spade", "hose", "planter", "trellis", "rake"),
    "outdoor": ("tent", "rucksack", "stove", "hammock", "compass"),
    "cycling": ("helmet", "saddle", "pump", "pannier", "mudguard"),
    "audio": ("speaker", "headphones", "turntable", "amplifier"),
    "office": ("notebook", "stapler", "folder", "pen", "calendar"),
    "textiles": ("blanket", "curtain", "towel", "cushion", "rug"),
    "toys": ("puzzle", "kite", "train", "blocks", "marbles"),
}
_BRANDS = (
    "Alder", "Birchwood", "Corvid", "Dunlin", "Estuary", "Fjord", "Gannet", "Heron", "Islay", "Juniper", "Kestrel",
)  # fmt: skip
_QUALITIES = (
    "compact", "folding", "classic", "slim", "robust", "light", "heavy", "quiet", "modular", "portable", "vintage",
)  # fmt: skip
_MATERIALS = (
    "oak", "steel", "linen", "ceramic", "copper", "bamboo", "walnut", "glass", "leather", "cork", "wool", "zinc",
)  # fmt: skip
_PHRASES = (
    "made to last and easy to repair", "with spare parts for ten years", "tested in daily use by our own staff",
    "the surface takes scratches well and can be oiled", "fits the narrowest flat", "packed without any plastic",
    "assembled in a few minutes with one tool", "a favourite of small workshops", "cleans with water and mild soap",
    "the colour deepens with the years", "comes with a bag for the journey", "keeps its shape after many washes",
    "suits left-handed and right-handed people", "weighs less than the model it replaces", "rests firmly on any floor",
    "designed together with a school", "the hinge opens further than usual", "stacks flat for the winter",
)  # fmt: skip


def make_product(rng: random.Random, number: int) -> dict[str, Any]:
    """Return product `number`; price, stock and wording are drawn from `rng`."""
    category = rng.choice(list(_CATEGORIES))
    noun, quality, material = rng.choice(_CATEGORIES[category]), rng.choice(_QUALITIES), rng.choice(_MATERIALS)
    model = f"{rng.choice('ABCDEFGH')}{rng.randrange(100, 1000)}"
    return {
        "sku": f"{category[:3].upper()}-{number:06}",
        "title": f"{quality.capitalize()} {material} {noun} {model}",
        "description": f"{quality.capitalize()} {noun} in {material}; " + ", ".join(rng.sample(_PHRASES, 6)) + ".",
        "brand": rng.choice(_BRANDS),
        "category": category,
        "tags": rng.sample(_QUALITIES, 3),
        "price_cents": round(rng.lognormvariate(8.2, 1.1)),
        "stock": rng.randrange(200),
        "attributes": {"material": material, "model": model, "warranty": f"{rng.randrange(1, 11)} years"},
    }


def make_products(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return a sample catalogue; the same seed makes the same one."""
    rng = random.Random(seed)
    return [make_product(rng, number) for number in range(count)]


def import_request(products: list[dict[str, Any]]) -> Request:
    return Request("POST", "/products:import", json.dumps({"products": products}).encode())


def scenario(products: list[dict[str, Any]]) -> Scenario:
    """Return the day of a shop: mostly searches, some changes, now and then an import or an export."""

    def search(rng: random.Random) -> Request:
        category = rng.choice(list(_CATEGORIES))
        query = {"q": f"{rng.choice(_MATERIALS)} {rng.choice(_CATEGORIES[category])}"}
        if rng.random() < 0.3:
            query = {
                "q": rng.choice(_QUALITIES),
                "category": category,
                "max_cents": str(rng.randrange(2_000, 20_000, 1_000)),
            }
        return Request("GET", "/search?" + urlencode(query))

    def get(rng: random.Random) -> Request:
        return Request("GET", f"/products/{rng.choice(products)['sku']}")

    def patch(rng: random.Random) -> Request:
        changes = {"stock": rng.randrange(200), "price_cents": rng.randrange(500, 50_000)}
        return Request("PATCH", f"/products/{rng.choice(products)['sku']}", json.dumps(changes).encode())

    def bulk_import(rng: random.Random) -> Request:
        return import_request([product | {"stock": rng.randrange(200)} for product in rng.sample(products, 50)])

    def export(rng: random.Random) -> Request:
        return Request("GET", f"/export?category={rng.choice(list(_CATEGORIES))}")

    return Scenario(
        Step("search", 60, search),
        Step("get", 22, get),
        Step("patch", 10, patch),
        Step("import", 5, bulk_import),
        Step("export", 3, export),
    )
