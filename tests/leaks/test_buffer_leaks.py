"""Every callable of Buffer and BufferPool, called many times over: nothing stays behind."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from lowtide import Buffer, BufferPool, _pool
from tests.leaks.growth import assert_leaves_nothing

Call = Callable[[], object]

pool = BufferPool(name="leaks", check=False)
buffer = pool.get(4096)
put_back = pool.get(4096)
pool.put(put_back)
viewed, closed = Buffer(), Buffer()
closed.close()


def fails() -> Any:
    yield b"first"
    raise ValueError("as asked")


REFUSALS = (BufferError, StopIteration, TypeError, ValueError)


def everywhere(name: str, *arguments: object) -> Call:
    """Call a method where it is right, on buffers with a live view, closed and put back, and with wrong arguments."""

    def call() -> None:
        view = viewed.view()
        for of in (written(), viewed, closed, put_back):
            with contextlib.suppress(*REFUSALS):
                getattr(of, name)(*arguments)
        view.release()
        viewed.reset()
        with contextlib.suppress(*REFUSALS):
            getattr(written(), name)(*arguments, *[object()] * 3)

    return call


def text(name: str, *arguments: object) -> Call:
    def call() -> None:
        getattr(written().text, name)(*arguments)
        getattr(written().text, name)(object(), 1)

    return call


def written() -> Buffer:
    buffer.reset()
    buffer.write("zwölf\n".encode() * 3)
    buffer.seek(2)
    return buffer


def unreadable() -> object:
    buffer.reset()
    buffer.write(b"\xff\n")
    buffer.seek(0)
    return buffer.text.read()


def advance() -> None:
    fresh = Buffer()
    with fresh.reserve(100) as view:
        view[:3] = b"abc"
    fresh.advance(3)
    fresh.advance(100)


def fill_and_age() -> None:
    aging = BufferPool(max_total=30_000, name="aging", check=False)
    for _ in range(10):
        aging.put(Buffer(4096))
    aging.put(Buffer(3))
    aging.put(Buffer(2**21))
    _pool.rotate()
    aging.put(aging.get(5000))


def put() -> None:
    pool.put(Buffer(4096))
    pool.put(Buffer(10))
    pool.clear()


def lease() -> None:
    with pool.lease(5000) as leased:
        leased.write(b"x" * 20_000)


def seal() -> None:
    sealed = Buffer(100)
    pool._seal(sealed)
    pool._set_error(sealed, lambda: ValueError("as asked"))
    with contextlib.suppress(ValueError):
        sealed.read()
    pool._unseal(sealed)
    pool._unseal(sealed)


# One entry per callable: what is right, then what is wrong about it.
ENTRIES: dict[str, list[Call]] = {
    "Buffer": [Buffer, lambda: Buffer(5000), lambda: Buffer(-1), lambda: Buffer("x")],  # type: ignore[arg-type] # wrong on purpose
    "Buffer.write": [
        everywhere("write", b"x" * 300),
        lambda: Buffer().write(b"x" * 10_000),
        lambda: buffer.write(bytearray(10)),
        lambda: buffer.write("text"),  # type: ignore[arg-type] # wrong on purpose
    ],
    "Buffer.write_str": [everywhere("write_str", "zwölf €"), lambda: buffer.write_str("\ud800")],
    "Buffer.writelines": [everywhere("writelines", [b"a", b"b"]), lambda: buffer.writelines(fails())],
    "Buffer.getvalue": [everywhere("getvalue")],
    "Buffer.view": [everywhere("view")],
    "Buffer.reserve": [everywhere("reserve", 5000), lambda: buffer.reserve(-1)],
    "Buffer.advance": [everywhere("advance", 0), advance],
    "Buffer.reset": [everywhere("reset")],
    "Buffer.text": [lambda: buffer.text, lambda: closed.text],
    "Buffer.closed": [lambda: buffer.closed],
    "Buffer.read": [everywhere("read", 5)],
    "Buffer.read1": [everywhere("read1")],
    "Buffer.readline": [everywhere("readline")],
    "Buffer.readinto": [everywhere("readinto", bytearray(5))],
    "Buffer.seek": [everywhere("seek", 1000), lambda: buffer.seek(-1), lambda: buffer.seek(0, 7)],
    "Buffer.tell": [everywhere("tell")],
    "Buffer.truncate": [everywhere("truncate", 1000), lambda: buffer.truncate(-1)],
    "Buffer.flush": [everywhere("flush")],
    "Buffer.readable": [everywhere("readable")],
    "Buffer.writable": [everywhere("writable")],
    "Buffer.seekable": [everywhere("seekable")],
    "Buffer.close": [everywhere("close")],
    "Buffer.__enter__": [everywhere("__enter__")],
    "Buffer.__exit__": [everywhere("__exit__", None, None, None)],
    "Buffer.__iter__": [lambda: list(written())],
    "Buffer.__next__": [everywhere("__next__")],
    "Buffer.__len__": [everywhere("__len__")],
    "Buffer.__bool__": [lambda: bool(buffer)],
    "Buffer.__repr__": [lambda: repr(buffer)],
    "Buffer.__sizeof__": [buffer.__sizeof__],
    "Buffer.__buffer__": [lambda: bytes(buffer), lambda: bytes(put_back)],
    "_BufferText.write": [text("write", "zwölf" * 100)],
    "_BufferText.writelines": [text("writelines", ["a", "ö"]), lambda: buffer.text.writelines(fails())],
    "_BufferText.read": [text("read"), lambda: written().text.read(3), unreadable],
    "_BufferText.readline": [text("readline"), lambda: written().text.readline(3)],
    "_BufferText.flush": [text("flush")],
    "_BufferText.readable": [text("readable")],
    "_BufferText.writable": [text("writable")],
    "_BufferText.__iter__": [lambda: list(written().text)],
    "_BufferText.__next__": [lambda: next(written().text)],
    "_BufferText.buffer": [lambda: buffer.text.buffer],
    "_BufferText.closed": [lambda: buffer.text.closed],
    "_BufferText.encoding": [lambda: buffer.text.encoding],
    "BufferPool": [fill_and_age, lambda: BufferPool(0), lambda: BufferPool(name=1)],  # type: ignore[arg-type] # wrong on purpose
    "BufferPool.get": [lambda: pool.put(pool.get(5000)), lambda: pool.get(2**21), lambda: pool.get(-1)],
    "BufferPool.put": [put, lambda: pool.put(put_back), lambda: pool.put(1)],  # type: ignore[arg-type] # wrong on purpose
    "BufferPool.lease": [lease, lambda: pool.lease(-1)],
    "BufferPool.clear": [put],
    "BufferPool.stats": [pool.stats],
    "BufferPool.__repr__": [lambda: repr(pool)],
    "BufferPool._seal": [seal, lambda: pool._seal(1)],  # type: ignore[arg-type] # wrong on purpose
    "BufferPool._set_error": [seal, lambda: pool._set_error(1, list)],  # type: ignore[arg-type] # wrong on purpose
    "BufferPool._unseal": [seal, lambda: pool._unseal(buffer)],
    "BufferPoolStats": [lambda: _pool.BufferPoolStats(*range(11))],
}
# Attributes of types that run no code of ours, or whose code has an entry under another name.
WITHOUT = {"__doc__", "__module__", "__new__", "__release_buffer__", "__weaklistoffset__", "capacity", "name"}


def callables() -> set[str]:
    kinds = (Buffer, _pool._BufferText, BufferPool)
    methods = {f"{kind.__name__}.{name}" for kind in kinds for name in set(vars(kind)) - WITHOUT}
    # Before 3.12, the buffer protocol has no name.
    return methods | {"Buffer", "BufferPool", "BufferPoolStats", "Buffer.__buffer__"}


def test_every_callable_has_an_entry() -> None:
    assert set(ENTRIES) == callables()


@pytest.mark.parametrize(
    "call", [pytest.param(call, id=f"{name}-{n}") for name, calls in ENTRIES.items() for n, call in enumerate(calls)]
)
def test_calls_leave_nothing_behind(call: Call) -> None:
    assert_leaves_nothing(call)
