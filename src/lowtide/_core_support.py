"""What the core needs of Python to name the functions it saw, and why it may be missing."""

import os
import sys
from contextlib import suppress


def module_roots() -> tuple[bytes, ...]:
    """Return the folders of sys.path: a file name less the longest of them names the module."""
    entries: list[object] = [*sys.path]  # a program may have put anything there
    if "" in entries:
        with suppress(OSError):  # the current folder may be gone
            entries.append(os.getcwd())
    return tuple(_spell(entry) for entry in entries if isinstance(entry, str))


def script_name() -> bytes:
    """Return the file name that the code of `__main__` carries."""
    main = sys.modules.get("__main__")
    # A script's __file__ is gone when the exit handlers run; its loader still knows.
    name = getattr(main, "__file__", None) or getattr(getattr(main, "__loader__", None), "path", None)
    if isinstance(name, str):
        return _spell(name)
    return b"<string>" if "-c" in sys.orig_argv else b"<stdin>"


def _spell(name: str) -> bytes:
    """Encode a file name as the core does, so that the two can be compared."""
    return name.encode("utf-8", "backslashreplace")


def is_refused_here(error: ImportError | None) -> bool:
    """Tell whether the import failed because this is a sub-interpreter."""
    # CPython says so since 3.12; 3.11 lets the interpreters share the core.
    return error is not None and "subinterpreters" in str(error)


def why_missing(error: ImportError) -> str:
    """Say why `lowtide._core` could not be imported."""
    if is_refused_here(error):
        return "it is for the main interpreter, this is a sub-interpreter"
    if sys.implementation.name != "cpython":
        return f"it needs CPython, this is {sys.implementation.name}"
    if sys.platform != "linux":
        return f"it needs Linux, this is {sys.platform}; profiles can be read here all the same"
    if "t" in sys.abiflags:
        return "it needs a build of CPython with the GIL, this one is free-threaded"
    if not (3, 11) <= sys.version_info[:2] <= (3, 15):
        return f"it needs CPython 3.11 to 3.15, this is {sys.version_info[0]}.{sys.version_info[1]}"
    return f"lowtide's extension was not built for {sys.executable}; reinstall lowtide with it ({error})"
