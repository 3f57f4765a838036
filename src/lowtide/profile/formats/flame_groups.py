"""Tell whose code a function is, so that a flame graph can colour it: the program's, a package's, Python's own."""

import re
from collections.abc import Mapping
from typing import NamedTuple
from zlib import crc32

HUE_SLOTS = 12  # the swatches of flame_page/colour.js

_PACKAGE = re.compile(r"/(site|dist)-packages/|/pkg/mod/|/vendor/")
_STDLIB = re.compile(r"/lib(64)?/python[\d.]+t?/|/python[\d.]*/lib/|^<frozen |/go(-[\d.]+)?/src/[^/.]+/", re.IGNORECASE)


class Group(NamedTuple):
    """Functions that share a colour: a module of the program, or a whole package it uses."""

    name: str
    kind: str  # app, package, stdlib


class Origin(NamedTuple):
    """Where a function comes from, and how many characters of its name only say that (`module.` in front)."""

    group: Group
    prefix: int


def origin(name: str, file: str) -> Origin:
    """Tell a function's group from its name and file, for Python's and for Go's way to name functions."""
    file = file.replace("\\", "/")
    kind = "package" if _PACKAGE.search(file) else "stdlib" if _STDLIB.search(file) else "app"
    if file.endswith(".py") or file.startswith("<frozen ") or name.startswith("__main__."):
        module = _python_module(name, file)
        if module:
            return Origin(Group(module if kind == "app" else module.partition(".")[0], kind), len(module) + 1)
    path = re.split(r"[(\[<]", name, maxsplit=1)[0]
    package_end = path.find(".", path.rfind("/") + 1)
    if package_end > 0:  # net/http.(*conn).serve
        return Origin(Group(name[:package_end], kind), path.rfind("/") + 1)
    binary = re.search(r"\[[^\]]*\]$", name)  # 0x7f21 [libc.so.6]
    return Origin(Group(binary[0] if binary else file.rpartition("/")[2] or "<unknown>", kind), 0)


def hues(areas: Mapping[Group, int]) -> dict[Group, int]:
    """Give each group a hue slot that follows from its name, so that it is the same in every profile.

    Args:
        areas: how much of the picture each group covers; of two groups that want one slot the larger gets it.
    """
    slots: dict[Group, int] = {}
    taken: dict[bool, set[int]] = {True: set(), False: set()}
    for group in sorted(areas, key=lambda group: (-areas[group], group)):
        used = taken[group.kind == "stdlib"]
        if len(used) == HUE_SLOTS:
            used.clear()
        slot = crc32(group.name.encode()) % HUE_SLOTS
        while slot in used:
            slot = (slot + 5) % HUE_SLOTS
        used.add(slot)
        slots[group] = slot
    return slots


def _python_module(name: str, file: str) -> str:
    """Return the module in `module.qualname`: the longest run of dotted parts that the file's path ends with."""
    if name.startswith("__main__."):
        return "__main__"
    parts = file.removeprefix("<frozen ").removesuffix(">").removesuffix(".py").replace(".", "/").split("/")
    if parts[-1] == "__init__":
        parts = parts[:-1]
    modules = (".".join(parts[-length:]) for length in range(len(parts), 0, -1))
    return next((module for module in modules if name.startswith(f"{module}.")), "")
