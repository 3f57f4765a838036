"""A product, and the rules that a JSON object must meet to become one."""

import dataclasses
import sys
from collections.abc import Callable
from typing import Any


class InvalidProductError(ValueError):
    """The JSON is not a product; the message names the field."""


@dataclasses.dataclass(frozen=True, slots=True)
class Product:
    sku: str
    title: str
    description: str
    brand: str
    category: str
    tags: tuple[str, ...]
    price_cents: int
    stock: int
    attributes: dict[str, str]

    @classmethod
    def from_json(cls, data: object) -> "Product":
        """Validate a decoded JSON object; raise InvalidProductError for the first field that is wrong."""
        if not isinstance(data, dict):
            raise InvalidProductError(f"product must be an object, got {type(data).__name__}")
        if unknown := data.keys() - _READERS.keys():
            raise InvalidProductError(f"unknown field {min(unknown)!r}")
        return cls(**{name: read(name, data.get(name, _DEFAULTS.get(name))) for name, read in _READERS.items()})

    def patched(self, changes: object) -> "Product":
        """Return the product with some fields replaced; the sku stays."""
        if not isinstance(changes, dict):
            raise InvalidProductError(f"patch must be an object, got {type(changes).__name__}")
        if changes.get("sku", self.sku) != self.sku:
            raise InvalidProductError("sku must not change")
        return Product.from_json(self.as_json() | changes)

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _READERS}


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidProductError(f"{name} must be a text, got {value!r}")
    return value.strip()


def _shared_text(name: str, value: object) -> str:
    # Thousands of products share a few brands and categories: keep one copy of each.
    return sys.intern(_text(name, value))


def _count(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidProductError(f"{name} must be a whole number >= 0, got {value!r}")
    return value


def _texts(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise InvalidProductError(f"{name} must be an array, got {type(value).__name__}")
    return tuple(_shared_text(f"{name}[{i}]", item) for i, item in enumerate(value))


def _attributes(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise InvalidProductError(f"{name} must be an object, got {type(value).__name__}")
    return {_shared_text(name, key): _shared_text(f"{name}.{key}", item) for key, item in value.items()}


_READERS: dict[str, Callable[[str, object], Any]] = {
    "sku": _text,
    "title": _text,
    "description": _text,
    "brand": _shared_text,
    "category": _shared_text,
    "tags": _texts,
    "price_cents": _count,
    "stock": _count,
    "attributes": _attributes,
}
_DEFAULTS: dict[str, object] = {"tags": (), "stock": 0, "attributes": {}}
