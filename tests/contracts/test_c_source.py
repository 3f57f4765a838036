"""What reviewers of C forget: version checks in one file, the prefix of public symbols, and the hazard words."""

import re
from pathlib import Path

import pytest

from tests.contracts import tree

COMPAT = tree.ROOT / "csrc" / "core" / "compat.h"
FILES = [path for path in tree.c_files() if "tests" not in path.parts]

CPYTHON_CALL = re.compile(r"\b(_?Py[A-Z]\w*|_Py_\w+)\s*\(")
LIBC_HEAP = re.compile(r"\b(malloc|calloc|realloc|free|strdup|asprintf|fopen|printf|fprintf)\s*\(")


@pytest.mark.parametrize("path", FILES, ids=tree.shown)
def test_only_compat_h_tests_versions(path: Path) -> None:
    if path != COMPAT:
        assert re.findall(r"PY_VERSION_HEX|PY_M(?:AJOR|INOR)_VERSION", tree.c_code(path)) == []


@pytest.mark.parametrize("path", FILES, ids=tree.shown)
def test_public_symbols_carry_the_prefix(path: Path) -> None:
    wrong = [
        f"{tree.shown(path, line)}: {name}"
        for line, specifiers, name, _ in tree.c_functions(path)
        if "static" not in specifiers.split() and not name.startswith(("lt_", "PyInit_"))
    ]
    variables = re.finditer(
        r"^(?!static|typedef|extern|return|goto)[A-Za-z_][\w ]*[ *](\w+)(?:\[.*\])?(?: =.*|;)$",
        tree.c_code(path),
        re.MULTILINE,
    )
    wrong += [f"{tree.shown(path)}: {match.group(1)}" for match in variables if not match.group(1).startswith("lt_")]
    assert wrong == []


@pytest.mark.parametrize("path", FILES, ids=tree.shown)
def test_a_hook_calls_nothing_that_may_allocate_or_raise(path: Path) -> None:
    """A name ending in `_inhook` promises it; compat.h alone spells CPython's getters out."""
    wrong = []
    for line, _, name, body in tree.c_functions(path):
        if name.endswith("_inhook"):
            wrong += [f"{tree.shown(path, line)}: {name} calls {call}()" for call in LIBC_HEAP.findall(body)]
            if path != COMPAT:
                wrong += [f"{tree.shown(path, line)}: {name} calls {call}()" for call in CPYTHON_CALL.findall(body)]
    assert wrong == []


@pytest.mark.parametrize("path", FILES, ids=tree.shown)
def test_locked_functions_are_called_with_the_lock_held(path: Path) -> None:
    """Whoever calls `x_locked` is `_locked` too, or takes the lock itself; a static helper answers for its callers."""
    functions = list(tree.c_functions(path))
    helpers = {name for _, specifiers, name, _ in functions if "static" in specifiers.split()}
    needs_lock: set[str] = set()
    careless: dict[str, str] = {}
    for _ in functions:  # as often as a chain of helpers can be long
        for line, _, name, body in functions:
            calls = {
                call for call in re.findall(r"\b(\w+)\s*\(", body) if call.endswith("_locked") or call in needs_lock
            }
            if not calls or name.endswith("_locked") or "lock_acquire(" in body:
                continue
            if name in helpers:
                needs_lock.add(name)
            else:
                careless[name] = f"{tree.shown(path, line)}: {name} calls {', '.join(sorted(calls))} without the lock"
    assert list(careless.values()) == []
