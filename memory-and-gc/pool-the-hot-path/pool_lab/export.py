"""The hot function, before and after: products to JSON lines, a chunk of 50 at a time."""

import json
from collections.abc import Iterator
from itertools import islice
from json.encoder import encode_basestring as quoted

from examples.catalogue.product import Product
from lowtide import Buffer, BufferPool

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
                write_line(buffer, product)
            with buffer.view() as chunk:
                yield chunk


def write_line(buffer: Buffer, product: Product) -> None:
    """Write what json.dumps makes of a product, without the dict, the encoder and the growing text in between."""
    write, write_str = buffer.write, buffer.write_str
    write(b'{"sku": ')
    write_str(quoted(product.sku))
    write(b', "title": ')
    write_str(quoted(product.title))
    write(b', "description": ')
    write_str(quoted(product.description))
    write(b', "brand": ')
    write_str(quoted(product.brand))
    write(b', "category": ')
    write_str(quoted(product.category))
    write(b', "tags": [')
    separator = b""
    for tag in product.tags:
        write(separator)
        write_str(quoted(tag))
        separator = b", "
    write(b'], "price_cents": %d, "stock": %d, "attributes": {' % (product.price_cents, product.stock))
    separator = b""
    for name in product.attributes:
        write(separator)
        write_str(quoted(name))
        write(b": ")
        write_str(quoted(product.attributes[name]))
        separator = b", "
    write(b"}}\n")


def after_unpooled(products: Iterator[Product]) -> Iterator[memoryview]:
    """Do as `after`, into a new buffer each time: what is left when the pool is taken away."""
    while batch := list(islice(products, BATCH)):
        buffer = Buffer(CHUNK_BYTES)
        for product in batch:
            write_line(buffer, product)
        with buffer.view() as chunk:
            yield chunk


def before_pooled(products: Iterator[Product]) -> Iterator[memoryview]:
    """Do as `before`, into a pooled buffer: what the pool alone gives to the code as it was."""
    while batch := list(islice(products, BATCH)):
        with buffers.lease(CHUNK_BYTES) as buffer:
            for product in batch:
                buffer.write_str(json.dumps(product.as_json(), ensure_ascii=False))
                buffer.write(b"\n")
            with buffer.view() as chunk:
                yield chunk
