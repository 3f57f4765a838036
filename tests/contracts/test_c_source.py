"""What reviewers of C forget: version checks in one file, the prefix of public symbols, and the hazard words."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contracts import tree

COMPAT = tree.ROOT / "csrc" / "core" / "compat.h"
FILES = tree.c_files()

CPYTHON_NAME = re.compile(r"_?Py[A-Z]\w*|_?Py_\w+")
LIBC_HEAP = {"malloc", "calloc", "realloc", "free", "strdup", "asprintf", "fopen", "printf", "fprintf", "syslog"}


def whitelisted() -> re.Pattern[str]:
    """Read what a hook may call of CPython from compat.h; `PyX_*` stands for macros, which are upper case."""
    (listed,) = re.findall(r"Whitelist(.*?)\*/", COMPAT.read_text(), re.DOTALL)
    names = re.findall(r"_?Py\w+\*?", listed)
    return re.compile("|".join(name.replace("*", "[A-Z_]+") for name in names))


def reach(path: Path, begins: Callable[[tree.CFunction], bool]) -> list[tree.CFunction]:
    """Follow calls from the functions that fit, through the static helpers of the same file."""
    functions = tree.c_functions(path)
    reached = [function for function in functions if begins(function)]
    for function in reached:
        reached += [f for f in functions if f.is_static and f.name in function.calls and f not in reached]
    return reached


@pytest.mark.parametrize("path", FILES, ids=tree.shown)
def test_only_compat_h_tests_versions(path: Path) -> None:
    if path != COMPAT:
        assert re.findall(r"PY_VERSION_HEX|PY_M(?:AJOR|INOR)_VERSION", tree.c_code(path)) == []


@pytest.mark.parametrize("path", FILES, ids=tree.shown)
def test_public_symbols_carry_the_prefix(path: Path) -> None:
    public = [f.name for f in tree.c_functions(path) if not f.is_static]
    # Variables: a line at the left margin that ends the declaration or begins its value.
    public += re.findall(
        r"^(?!static\b|typedef\b|extern\b)(?:[A-Za-z_]\w*[ *]+)+(\w+)(?:\[.*\])?(?: =.*|;)$",
        tree.c_code(path),
        re.MULTILINE,
    )
    assert [name for name in public if not name.startswith(("lt_", "PyInit_"))] == []


@pytest.mark.parametrize("path", FILES, ids=tree.shown)
def test_a_hook_calls_nothing_that_may_allocate_or_raise(path: Path) -> None:
    """`_inhook` promises it, and `_locked` too: the lock is taken inside hooks."""
    wrong = []
    for function in reach(path, lambda f: f.name.endswith(("_inhook", "_locked"))):
        cpython = {name for name in function.calls if CPYTHON_NAME.fullmatch(name)}
        careless = function.calls & LIBC_HEAP | {name for name in cpython if not whitelisted().fullmatch(name)}
        wrong += [f"{tree.shown(path, function.line)}: {function.name} calls {name}()" for name in sorted(careless)]
    assert wrong == []


@pytest.mark.parametrize("path", FILES, ids=tree.shown)
def test_locked_functions_are_called_with_the_lock_held(path: Path) -> None:
    """Whoever calls `x_locked` is `_locked` too, or takes the lock itself; a static helper answers for its callers."""
    functions = tree.c_functions(path)
    takers = {"lt_lock_acquire"}
    for _ in functions:  # as often as a chain of helpers can be long
        takers |= {f.name for f in functions if f.is_static and takers & f.calls}

    def is_careful(function: tree.CFunction) -> bool:
        return function.name.endswith("_locked") or bool(takers & function.calls)

    needs_lock: set[str] = set()
    for _ in functions:
        needs_lock |= {
            f.name
            for f in functions
            if not is_careful(f) and any(call.endswith("_locked") or call in needs_lock for call in f.calls)
        }
    wrong = [tree.shown(path, f.line) + f" {f.name}" for f in functions if f.name in needs_lock and not f.is_static]
    assert wrong == []
