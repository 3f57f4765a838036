"""Memory engineering for CPython services.

`lowtide.heap` samples every allocation, `lowtide.profile` reads what it wrote. Importing this package starts nothing;
each noun is imported when it is first named.
"""

import importlib

from lowtide._version import __version__ as __version__

TYPE_CHECKING = False  # type checkers know the name; importing typing for it would cost more than all the rest
if TYPE_CHECKING:
    from types import ModuleType

    from lowtide import heap as heap
    from lowtide import profile as profile

_NOUNS = ("heap", "profile")


def __getattr__(name: str) -> "ModuleType":
    if name in _NOUNS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*_NOUNS, "__version__"]
