"""A full-text index: postings by word, ranked with BM25."""

import math
import re
import unicodedata
from collections import Counter

from .product import Product

_WORD = re.compile(r"\w+")
_TITLE_WEIGHT, _TAG_WEIGHT = 4, 2
_K1, _B = 1.2, 0.75


def words(text: str) -> list[str]:
    """Split into lower-case words without accents or a plural s."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return [word[:-1] if len(word) > 3 and word.endswith("s") else word for word in _WORD.findall(plain)]


def _weighted_words(product: Product) -> Counter[str]:
    counts = Counter(words(product.description))
    for weight, text in (
        (_TITLE_WEIGHT, product.title),
        (_TAG_WEIGHT, " ".join((product.brand, product.category, *product.tags, *product.attributes.values()))),
    ):
        for word in words(text):
            counts[word] += weight
    return counts


class Index:
    """Finds the products that contain every word of a query."""

    def __init__(self) -> None:
        self._postings: dict[str, dict[str, int]] = {}  # word -> sku -> weighted occurrences
        self._lengths: dict[str, int] = {}
        self._total_length = 0

    def add(self, product: Product) -> None:
        counts = _weighted_words(product)
        for word, count in counts.items():
            self._postings.setdefault(word, {})[product.sku] = count
        self._lengths[product.sku] = counts.total()
        self._total_length += counts.total()

    def remove(self, product: Product) -> None:
        for word in _weighted_words(product):
            postings = self._postings[word]
            del postings[product.sku]
            if not postings:
                del self._postings[word]
        self._total_length -= self._lengths.pop(product.sku)

    def search(self, query: str) -> dict[str, float]:
        """Return a score by sku, empty when no product has all the words."""
        found = [self._postings.get(word, {}) for word in dict.fromkeys(words(query))]
        if not found:
            return {}
        found.sort(key=len)
        skus = [sku for sku in found[0] if all(sku in postings for postings in found[1:])]
        scores = dict.fromkeys(skus, 0.0)
        total = len(self._lengths)
        for postings in found:
            rarity = math.log(1 + (total - len(postings) + 0.5) / (len(postings) + 0.5))
            for sku in skus:
                count = postings[sku]
                length = self._lengths[sku] * total / self._total_length
                scores[sku] += rarity * count * (_K1 + 1) / (count + _K1 * (1 - _B + _B * length))
        return scores
