"""The catalogue itself: products, their index, and the answers to recent searches."""

import heapq
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from .index import Index
from .product import Product

_RECENT_SEARCHES = 500
_MAX_AGE_SECONDS = 5.0  # a shopper may see a price this old in a list, never on the product's own page
_PRICE_BANDS = ((1_000, "under 10"), (5_000, "10 to 50"), (20_000, "50 to 200"))


@dataclass(frozen=True, slots=True)
class Query:
    text: str = ""
    brand: str = ""
    category: str = ""
    min_cents: int = 0
    max_cents: int = 10**12
    limit: int = 20
    offset: int = 0

    def admits(self, product: Product) -> bool:
        return (
            (not self.brand or product.brand == self.brand)
            and (not self.category or product.category == self.category)
            and self.min_cents <= product.price_cents <= self.max_cents
        )


class Catalogue:
    def __init__(self) -> None:
        self._products: dict[str, Product] = {}
        self._index = Index()
        self._recent = RecentSearches(_RECENT_SEARCHES, _MAX_AGE_SECONDS)

    def __len__(self) -> int:
        return len(self._products)

    def get(self, sku: str) -> Product | None:
        return self._products.get(sku)

    def upsert(self, product: Product) -> Literal["created", "updated", "unchanged"]:
        old = self._products.get(product.sku)
        if old == product:
            return "unchanged"
        if old is not None:
            self._index.remove(old)
        self._products[product.sku] = product
        self._index.add(product)
        return "created" if old is None else "updated"

    def export(self, category: str = "") -> Iterator[Product]:
        """Yield the products there are now; those that change meanwhile come as they were."""
        query = Query(category=category)
        return (product for product in list(self._products.values()) if query.admits(product))

    def search(self, query: Query) -> dict[str, Any]:
        """Return one page of hits, best first, with the facets of all of them."""
        if (answer := self._recent.get(query)) is not None:
            return answer
        if query.text:
            scores = self._index.search(query.text)
            hits = [(scores[sku], self._products[sku]) for sku in scores if query.admits(self._products[sku])]
        else:
            hits = [(0.0, product) for product in self._products.values() if query.admits(product)]
        best = heapq.nsmallest(query.offset + query.limit, hits, key=lambda hit: (-hit[0], hit[1].sku))
        answer = {
            "total": len(hits),
            "facets": _facets(product for _, product in hits),
            "hits": [_summary(product, score) for score, product in best[query.offset :]],
        }
        self._recent.put(query, answer)
        return answer


class RecentSearches:
    """The answers to the last searches; the one unused for longest makes room for a new one."""

    def __init__(self, size: int, max_age_seconds: float) -> None:
        self._size = size
        self._max_age_seconds = max_age_seconds
        self._answers: OrderedDict[Query, tuple[float, dict[str, Any]]] = OrderedDict()

    def get(self, query: Query) -> dict[str, Any] | None:
        made_at, answer = self._answers.get(query, (0.0, None))
        if answer is None or time.monotonic() - made_at > self._max_age_seconds:
            return None
        self._answers.move_to_end(query)
        return answer

    def put(self, query: Query, answer: dict[str, Any]) -> None:
        self._answers[query] = time.monotonic(), answer
        self._answers.move_to_end(query)
        if len(self._answers) > self._size:
            self._answers.popitem(last=False)


def _summary(product: Product, score: float) -> dict[str, Any]:
    return {
        "sku": product.sku,
        "title": product.title,
        "brand": product.brand,
        "price_cents": product.price_cents,
        "in_stock": product.stock > 0,
        "snippet": product.description[:160],
        "score": round(score, 3),
    }


def _facets(products: Iterable[Product]) -> dict[str, dict[str, int]]:
    brands: Counter[str] = Counter()
    categories: Counter[str] = Counter()
    prices: Counter[str] = Counter()
    for product in products:
        brands[product.brand] += 1
        categories[product.category] += 1
        prices[next((name for limit, name in _PRICE_BANDS if product.price_cents < limit), "200 and more")] += 1
    return {
        "brand": dict(brands.most_common(10)),
        "category": dict(categories.most_common(10)),
        "price": dict(prices.most_common()),
    }
