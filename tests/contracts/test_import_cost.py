"""`import lowtide` is free: a program that never uses it pays nothing, and nothing starts."""

import json
import site
import subprocess
import sys

import pytest

from tests.contracts import tree

NOUNS = [
    name
    for name, path in tree.python_modules().items()
    if path.name == "__init__.py" and name != "cli" and not name.startswith("_") and "." not in name
]

REPORT = """
import sys, threading
before = set(sys.modules)
{statement}
modules = sorted(set(sys.modules) - before)
import json, gc
print(json.dumps({{
    "modules": modules,
    "threads": threading.active_count(),
    "callbacks": len(gc.callbacks),
}}))
"""


def after(statement: str) -> dict[str, object]:
    """Run a statement in a bare interpreter (no site, so no .pth file adds its own) and tell what it brought."""
    path = f"import sys; sys.path[:0] = {[str(tree.PACKAGE.parent), *site.getsitepackages()]!r}\n"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", path + REPORT.format(statement=statement)],
        capture_output=True,
        text=True,
        check=True,
    )
    result: dict[str, object] = json.loads(done.stdout)
    return result


def third_party(modules: object) -> list[str]:
    assert isinstance(modules, list)
    return [name for name in modules if name.split(".")[0] not in {*sys.stdlib_module_names, "lowtide"}]


def test_import_lowtide_brings_itself_and_importlib() -> None:
    modules = after("import lowtide")["modules"]

    assert third_party(modules) == []
    assert isinstance(modules, list)
    assert [name for name in modules if name.startswith("lowtide")] == ["lowtide", "lowtide._version"]
    assert len(modules) < 10, f"each costs start-up time: {modules}"


@pytest.mark.parametrize("noun", NOUNS)
def test_a_noun_needs_the_standard_library_only(noun: str) -> None:
    assert third_party(after(f"import lowtide.{noun}")["modules"]) == []


@pytest.mark.parametrize("noun", NOUNS)
def test_importing_starts_nothing(noun: str) -> None:
    report = after(f"import lowtide.{noun}")

    assert (report["threads"], report["callbacks"]) == (1, 0)
