"""Make an item that was put unusable, and usable again.

* An instance of a class written in Python gets another class, whose every method raises: the tombstone.
* A Buffer is sealed by its pool; other memory (bytearray, array, mmap, BytesIO) is filled with 0xDB, and all but a
  BytesIO cannot be resized.
* A list, dict, set or deque stays as it is. Their class cannot be changed, and to empty them would tell nothing: empty
  is how reset leaves them. What is written into one is found at the next get.
"""

import io
import sys
import typing
from collections.abc import Callable
from typing import Any, Protocol

from lowtide._pool import Buffer, BufferPool
from lowtide.pool.check.traces import Trace

__tracebackhide__ = True  # pytest: see pools.py

FILL = 0xDB

# What may be asked of a tombstone: what it is, how large, and what the interpreter asks when it ends.
_KEPT = {
    *("__class__", "__new__", "__init_subclass__", "__subclasshook__", "__class_getitem__", "__del__", "__sizeof__"),
    *("__getattribute__", "__repr__"),
}
_set_class = object.__dict__["__class__"].__set__


class Poison(Protocol):
    """What was done to an item."""

    def undo(self, item: Any) -> bool:
        """Make the item usable again; tell whether it is as it was left."""


class Nothing:
    """Done to an item that nothing can be done to."""

    def undo(self, item: Any) -> bool:  # noqa: ARG002 - the protocol has it
        return True


class Tombstone:
    """The class was replaced."""

    def __init__(self, original: type) -> None:
        self.original = original

    def undo(self, item: Any) -> bool:
        _set_class(item, self.original)
        return True


class Sealed:
    """A Buffer of a pool that keeps any item; BufferPool seals its own."""

    def __init__(self, item: Buffer, trace: Trace) -> None:
        self.content = None if item.closed else (item.getvalue(), item.tell())
        self.sealer = BufferPool(name=trace.pool_name, check=False)
        self.sealer._seal(item)
        self.sealer._set_error(item, trace.used_after_put)

    def undo(self, item: Buffer) -> bool:
        intact = self.sealer._unseal(item)
        if self.content is None:
            item.close()
        else:
            item.write(self.content[0])
            item.seek(self.content[1])
        return intact


class Filled:
    """The memory was filled, and an export is held, so that it cannot be resized."""

    def __init__(self, item: Any) -> None:
        self.view = memoryview(item)
        self.content = _fill(self.view)

    def undo(self, item: Any) -> bool:  # noqa: ARG002 - the protocol has it
        is_intact = _restore(self.view, self.content)
        self.view.release()
        return is_intact


class FilledFile:
    """A BytesIO was filled. No export is held: the collector closes it before the export, which is an error then."""

    def __init__(self, item: io.BytesIO) -> None:
        with item.getbuffer() as view:
            self.content = _fill(view)

    def undo(self, item: io.BytesIO) -> bool:
        if item.closed:
            return False
        with item.getbuffer() as view:
            return _restore(view, self.content)


def _fill(view: memoryview) -> bytes:
    with view.cast("B") as memory:
        content = bytes(memory)
        memory[:] = bytes([FILL]) * len(content)
    return content


def _restore(view: memoryview, content: bytes) -> bool:
    """Put the content back where the memory is still as it was filled; tell whether it is."""
    with view.cast("B") as memory:
        is_intact = memory == bytes([FILL]) * len(content)
        if is_intact:
            memory[:] = content
    return is_intact


class Poisoner:
    """Poisons the items of one pool; `report` makes the exception for the use of a tombstone of a class."""

    def __init__(self, report: Callable[[object, type], Exception]) -> None:
        self._report = report
        self._tombstones: dict[type, type | None] = {}  # they live as long as their pool, or an item that it forgot

    def poison(self, item: Any, trace: Trace) -> Poison:
        """Make the item unusable; an exception (a Buffer with live views) leaves it as it was."""
        if isinstance(item, Buffer):
            return Sealed(item, trace)
        original = type(item)
        if original not in self._tombstones:
            self._tombstones[original] = _tombstone_of(original, self._report, trace.pool_name)
        tombstone = self._tombstones[original]
        if tombstone is not None:
            try:
                _set_class(item, tombstone)
            except TypeError:
                self._tombstones[original] = None
            else:
                return Tombstone(original)
        try:
            return FilledFile(item) if issubclass(original, io.BytesIO) else Filled(item)
        except (TypeError, ValueError, NotImplementedError, BufferError):
            return Nothing()


def _tombstone_of(original: type, report: Callable[[object, type], Exception], pool_name: str | None) -> type | None:
    """Derive a class of the same layout, without a call of what the program runs for its subclasses."""
    owner = next(cls for cls in original.__mro__ if "__init_subclass__" in vars(cls))
    if owner not in {object, typing.Generic, typing.Protocol}:
        return None

    def use(self: object, *_: object, **__: object) -> None:
        raise report(self, original)

    def look_up(self: object, name: str) -> object:
        if name == "__class__":
            return type(self)
        raise report(self, original)

    def describe(_: object) -> str:
        return f"<{original.__qualname__} that was put back to pool {pool_name!r}>"

    def end(self: object) -> None:
        references = sys.getrefcount(self)
        _set_class(self, original)
        is_over = True
        try:
            original.__del__(self)  # type: ignore[attr-defined]  # it is only defined where there is one
            is_over = sys.getrefcount(self) == references  # not so if it brought itself back
        finally:
            # CPython goes on to destroy it by the class that it had, which only the item itself may keep alive.
            if is_over and type(self) is original:
                _set_class(self, tombstone)

    names = {name for cls in original.__mro__ for name, value in vars(cls).items() if callable(value)}
    body: dict[str, object] = {name: use for name in names if name[:2] == name[-2:] == "__" and name not in _KEPT}
    body |= {"__slots__": (), "__module__": original.__module__, "__qualname__": original.__qualname__}
    body |= {"__getattribute__": look_up, "__repr__": describe}
    if hasattr(original, "__del__"):
        body["__del__"] = end
    try:
        tombstone = type.__new__(type(original), original.__name__, (original,), body)
    except TypeError:  # it must not be a base
        return None
    return tombstone
