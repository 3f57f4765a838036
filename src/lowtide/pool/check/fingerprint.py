"""What an item holds, in a form that can be kept and compared later: a summary for each path, as `.rows[0]`.

Nothing of the item is called: no property, no __eq__, no __repr__. What cannot be looked into counts by its type. So
does what others share with the item (an application, a logger): it changes for reasons of its own. A value is the
item's own where nothing else refers to it when the first fingerprint is taken.
"""

import io
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import BuiltinFunctionType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any

from lowtide._pool import Buffer, BufferPool, Pool

MAX_VALUES = 10_000
MAX_DEPTH = 6

ATOMS = frozenset({int, float, complex, str, bytes, bool, type(None)})
NAMED = (type, ModuleType, FunctionType, BuiltinFunctionType)
ENTRIES: dict[type, Callable[[Any], Iterable[object]]] = {
    list: list.__iter__,
    tuple: tuple.__iter__,
    deque: deque.__iter__,
}


class Fingerprint:
    """The summaries of what an item holds by path, and the paths where it refers to what others share."""

    __slots__ = ("shared", "values")

    def __init__(self, item: object, like: "Fingerprint | None" = None) -> None:
        self.values: dict[str, object] = {}
        self.shared: set[str] = like.shared if like else set()
        queue: deque[tuple[str, object, int]] = deque([("", item, 0)])
        seen = {id(item)}
        while queue and len(self.values) < MAX_VALUES:
            path, value, depth = queue.popleft()
            self.values[path] = _summary(value)
            children = list(_children(value)) if depth < MAX_DEPTH else []
            for index, name in enumerate([name for name, _ in children]):
                if like is None and type(children[index][1]) not in ATOMS and _references(children, index) > _OWN:
                    self.shared.add(path + name)
                child = children[index][1]
                if path + name in self.shared or id(child) in seen:
                    self.values[path + name] = type(child)
                else:
                    queue.append((path + name, child, depth + 1))
                if type(child) not in ATOMS:
                    seen.add(id(child))

    def difference(self, other: "Fingerprint") -> str:
        """Tell what `other` has that this one has not, or otherwise, a few lines of it; empty if nothing."""
        lines = []
        for path in self.values | other.values:
            before, after = self.values.get(path, _NOTHING), other.values.get(path, _NOTHING)
            if before != after:
                lines.append(f"  item{path}: {_shown(before)}, then {_shown(after)}")
        more = [f"  and {len(lines) - 5} more"] if len(lines) > 5 else []
        return "\n".join([*lines[:5], *more])


def is_memory(item: Any) -> bool:
    """Tell whether an item is bare memory, which its next user overwrites anyway; a Buffer's contents have a length."""
    if isinstance(item, Buffer):
        return False
    try:
        memoryview(item).release()
    except (TypeError, ValueError, BufferError):
        return False
    return True


def _summary(value: Any) -> object:
    kind = type(value)
    if kind in ATOMS:
        return kind, value
    if issubclass(kind, NAMED):
        return value
    if issubclass(kind, (set, frozenset)):
        entries = list(value)
        return kind, len(entries), frozenset(entry for entry in entries if type(entry) in ATOMS)
    if issubclass(kind, (io.BytesIO, io.StringIO, Buffer)):
        return (kind, "closed") if value.closed else (kind, value.getvalue(), value.tell())
    try:
        with memoryview(value) as view:
            return kind, bytes(view)
    except (TypeError, ValueError, BufferError):
        return kind


def _children(value: Any) -> Iterator[tuple[str, object]]:
    kind = type(value)  # isinstance would ask the value for its __class__
    if kind in ATOMS or issubclass(kind, (*NAMED, Pool, BufferPool)):
        return
    if issubclass(kind, dict):
        for number, (key, entry) in enumerate(list(dict.items(value))):
            yield f"[{key!r}]" if type(key) in ATOMS else f"[{type(key).__qualname__} {number}]", entry
    for base, entries in ENTRIES.items():
        if issubclass(kind, base):
            for number, entry in enumerate(list(entries(value))):
                yield f"[{number}]", entry
    try:
        attributes = object.__getattribute__(value, "__dict__")
    except AttributeError:
        attributes = None
    if type(attributes) is dict:
        for name, entry in list(attributes.items()):
            yield f".{name}", entry
    for cls in kind.__mro__:
        members = vars(cls) if "__slots__" in vars(cls) else {}
        for name, member in members.items():
            if isinstance(member, MemberDescriptorType):
                try:
                    entry = member.__get__(value, cls)
                except AttributeError:  # not assigned
                    continue
                yield f".{name}", entry


def _references(children: list[tuple[str, object]], index: int) -> int:
    return sys.getrefcount(children[index][1])


_OWN = _references([("", object())], 0) + 1


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


_NOTHING = _Nothing()


def _shown(summary: object) -> str:
    if not isinstance(summary, tuple):
        return f"{summary.__module__}.{summary.__qualname__}" if isinstance(summary, type) else repr(summary)
    kind, *content = summary
    text = ", ".join(map(repr, content))
    shown = text if kind in ATOMS else f"{kind.__qualname__} of {text}"
    return shown if len(shown) <= 100 else f"{shown[:100]}..."
