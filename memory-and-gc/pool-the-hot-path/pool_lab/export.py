"""The hot function, before and after: products to JSON lines, a chunk of 50 at a time."""

import json
from collections.abc import Iterator
from itertools import islice
from json.encoder import encode_basestring as quoted

from examples.catalogue.product import Product
from lowtide import BufferPool

BATCH = 50  # as the service has it
CHUNK_BYTES = 64 * 1024  # twice what 50 products take


def before(products: Iterator[Product]) -> Iterator[bytes]:
    """Yield chunks as the service makes them; the last call is what Starlette does with the text it is given."""
    while batch := list(islice(products, BATCH)):
        yield "".join(json.dumps(product.as_json(), ensure_ascii=False) + "\n" for product in batch).encode()


buffers = BufferPool(name="export")


def after(products: Iterator[Product]) -> Iterator[memoryview]:
    """Yield chunks in a pooled buffer; each is valid until the next one is asked for."""
    while batch := list(islice(products, BATCH)):
        with buffers.lease(CHUNK_BYTES) as buffer:
            for product in batch:
                buffer.write_str(line(product))
            with buffer.view() as chunk:
                yield chunk


def line(product: Product) -> str:
    """Return what json.dumps makes of a product, without the dict, the encoder and the growing text in between."""
    tags = ", ".join(map(quoted, product.tags))
    attributes = ", ".join(f"{quoted(name)}: {quoted(value)}" for name, value in product.attributes.items())
    return (
        f'{{"sku": {quoted(product.sku)}, "title": {quoted(product.title)}, '
        f'"description": {quoted(product.description)}, "brand": {quoted(product.brand)}, '
        f'"category": {quoted(product.category)}, "tags": [{tags}], "price_cents": {product.price_cents}, '
        f'"stock": {product.stock}, "attributes": {{{attributes}}}}}\n'
    )


def before_pooled(products: Iterator[Product]) -> Iterator[memoryview]:
    """Do as `before`, into a pooled buffer: the pool's part of the difference."""
    while batch := list(islice(products, BATCH)):
        with buffers.lease(CHUNK_BYTES) as buffer:
            for product in batch:
                buffer.write_str(json.dumps(product.as_json(), ensure_ascii=False))
                buffer.write(b"\n")
            with buffer.view() as chunk:
                yield chunk


def after_unpooled(products: Iterator[Product]) -> Iterator[bytes]:
    """Do as `after`, without buffer and pool: the template's part of the difference."""
    while batch := list(islice(products, BATCH)):
        yield "".join(map(line, batch)).encode()
