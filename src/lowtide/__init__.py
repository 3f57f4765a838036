"""Memory engineering for CPython services.

`lowtide.heap` samples every allocation, `lowtide.profile` reads what it wrote; `lowtide.Pool` keeps for reuse what is
expensive to make, `lowtide.guard` counts what a call allocates, `lowtide.pacer` keeps the garbage collector out of
requests. Importing this package starts nothing; each noun is imported when it, or a name of it, is first used.
"""

import importlib

from lowtide._version import __version__ as __version__

TYPE_CHECKING = False  # type checkers know the name; importing typing for it would cost more than all the rest
if TYPE_CHECKING:
    from lowtide import guard as guard
    from lowtide import heap as heap
    from lowtide import pacer as pacer
    from lowtide import pool as pool
    from lowtide import profile as profile
    from lowtide.pool import Buffer as Buffer
    from lowtide.pool import BufferPool as BufferPool
    from lowtide.pool import Pool as Pool

_NOUNS = ("guard", "heap", "pacer", "pool", "profile")
_NAMES = {"Buffer": "pool", "BufferPool": "pool", "Pool": "pool"}  # and the noun that each is of


def __getattr__(name: str) -> object:
    if name in _NOUNS:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _NAMES:
        value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*_NOUNS, *_NAMES, "__version__"]
