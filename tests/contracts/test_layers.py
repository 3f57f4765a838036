"""Who may import whom: the rules of DESIGN.md as one table, checked on the text of imports and #includes."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts import tree

LEAVES = {"errors", "units", "_version", "_proc", "_cgroup", "_events", "_core_support"}
NOUNS = {"heap", "cpu", "stacks", "pool", "pacer", "guard", "layout"}
EVERYTHING = LEAVES | NOUNS | {"profile", "lint", "metrics", "debug"}

# layer -> the layers it may import, itself aside. The longest name that fits a module decides.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "units": {"errors"},
    "_version": set(),
    "_proc": {"errors", "units"},
    "_cgroup": {"_proc"},
    "_events": {"errors", "units"},
    "_core_support": set(),
    "profile": {"errors", "units", "_version"},
    "lint": {"errors", "units"},
    "heap": LEAVES | {"profile", "_core"},
    "cpu": LEAVES | {"profile", "_core"},
    "stacks": LEAVES | {"profile", "_core"},
    "pool": LEAVES | {"_pool"},
    "pacer": LEAVES | {"_core"},
    "guard": LEAVES | {"profile", "_core"},
    "layout": LEAVES,
    "metrics": LEAVES | {"profile"},
    "metrics.read": LEAVES | NOUNS | {"profile"},
    "debug": LEAVES | {"profile", "metrics"},
    "debug.sources": LEAVES | NOUNS | {"profile", "metrics"},
    "debug.handlers": {"errors", "units"},
    "debug.gate": {"errors", "units"},
    "cli": EVERYTHING,
    "__main__": {"cli"},
    "_autostart": {"heap", "pacer"},
    "_bootstrap": {"_autostart"},
    "pytest_plugin": LEAVES | {"guard", "pool"},
}

# Third-party packages, and who may import them.
THIRD_PARTY = {"click": "cli", "rich": "cli", "sitecustomize": "_bootstrap", "pytest": "pytest_plugin"}

# Layers without clock, file, socket, gc or extension. The module beside each does their input and output.
PURE = {"profile": {"profile.files"}, "lint.rules": set(), "debug.handlers": set(), "debug.gate": set()} | {
    f"pacer.{name}": set()
    for name in (
        *("record", "reading", "stock", "flows", "replay", "replay_policy", "simulate"),
        *("annotate", "findings", "explain", "explain_text", "explain_page", "picture"),
        *("policy", "bucket", "freezing", "growth", "learning", "limits", "placement", "shadow", "thresholds"),
    )
}
IMPURE_MODULES = {
    *("asyncio", "gc", "http", "multiprocessing", "os", "pathlib", "random", "select", "shutil", "signal", "socket"),
    *("subprocess", "tempfile", "threading", "time", "tracemalloc", "urllib"),
}
PURE_NAMES = {"pathlib.PurePath", "pathlib.PurePosixPath", "os.PathLike", "os.fspath"}  # out of impure modules

# csrc/core: what every noun builds on; a noun's own files begin with its name.
CORE_FOUNDATION = {"core", "compat", "hooks", "frames", "encode", "gcwatch"}


def layer_of(module: str) -> str | None:
    parts = module.split(".")
    names = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((name for name in names if name in MAY_IMPORT), None)


def internal(name: str) -> str | None:
    """Strip `lowtide.`; the facade itself is ""; None for anything else."""
    return name.partition(".")[2] if name.split(".")[0] == "lowtide" else None


def top(layer: str) -> str:
    return layer.split(".")[0]


def test_every_module_has_a_layer() -> None:
    assert [name for name in tree.python_modules() if layer_of(name) is None] == []


def test_imports_go_right_and_down_only() -> None:
    wrong = []
    for module, path in tree.python_modules().items():
        layer = layer_of(module) or ""
        for line, name in tree.imports(path):
            target = internal(name)
            if not target or top(target) == top(module):
                continue
            if top(target) not in MAY_IMPORT.get(layer, set()):
                wrong.append(f"{tree.shown(path, line)}: {layer} may not import {target}")
    assert wrong == []


def test_nothing_inside_the_package_imports_the_facade() -> None:
    wrong = [
        tree.shown(path, line)
        for path in tree.python_modules().values()
        for line, name in tree.imports(path)
        if internal(name) == ""
    ]
    assert wrong == []


def test_modules_do_not_import_each_other_in_circles() -> None:
    modules = tree.python_modules()
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        targets = {internal(name) for _, name in tree.imports(path)}
        graph[module] = {target for target in targets if target in modules and target != module}

    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail[trail.index(module) :], module])
        if module not in done:
            for target in sorted(graph[module]):
                visit(target, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_third_party_packages_stay_in_their_layer() -> None:
    wrong = []
    for module, path in [("", tree.PACKAGE / "__init__.py"), *tree.python_modules().items()]:
        for line, name in tree.imports(path):
            package = name.split(".")[0]
            is_ours = package == "lowtide" or package in sys.stdlib_module_names
            if not is_ours and THIRD_PARTY.get(package) != top(module):
                wrong.append(f"{tree.shown(path, line)}: {package}")
    assert wrong == []


def impure_uses(path: Path) -> Iterator[str]:
    """Yield what a file takes from outside the program; a name like os.PathLike alone does not count."""
    for line, name in tree.imports(path):
        is_module = name in IMPURE_MODULES  # judged by what is used of it, below
        is_impure = name.split(".")[0] in IMPURE_MODULES and name not in PURE_NAMES
        if (is_impure and not is_module) or internal(name) in {"_core", "_pool"}:
            yield f"{tree.shown(path, line)}: {name}"
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=name) if module in IMPURE_MODULES:
                if f"{module}.{name}" not in PURE_NAMES:
                    yield f"{tree.shown(path, node.lineno)}: {module}.{name}"
            case ast.Call(func=ast.Name(id="open")):
                yield f"{tree.shown(path, node.lineno)}: open()"


def test_pure_layers_touch_no_clock_file_socket_or_collector() -> None:
    wrong: list[str] = []
    for module, path in tree.python_modules().items():
        if any(f"{module}.".startswith(f"{layer}.") and module not in PURE[layer] for layer in PURE):
            wrong += impure_uses(path)
    assert wrong == []


def may_include(path_stem: str, folder: str, header: str) -> bool:
    """Tell whether csrc/<folder>/<stem> may include a header given as "folder/name.h"."""
    target_folder, _, target = header.removesuffix(".h").partition("/")
    if target_folder == "base":
        return folder != "pool"
    if folder == target_folder == "pool":
        return True
    if folder != "core" or target_folder != "core":
        return False
    if path_stem in {"module", target}:
        return True
    noun = path_stem.split("_")[0]
    return target in CORE_FOUNDATION or (path_stem not in CORE_FOUNDATION and target.split("_")[0] == noun)


@pytest.mark.parametrize("path", tree.c_files(), ids=tree.shown)
def test_includes_follow_the_layers(path: Path) -> None:
    folder = path.parent.name
    wrong = []
    for line, header in tree.includes(path):
        if header.startswith("<"):
            if folder == "base" and re.search(r"Python\.h|internal/|pycore", header):
                wrong.append(f"{tree.shown(path, line)}: base is plain C, it sees no CPython")
        elif folder == "base" and "Python.h" in header:
            wrong.append(f"{tree.shown(path, line)}: base is plain C, it sees no CPython")
        elif header == "Python.h" or (folder == "core" and header.startswith("internal/")):
            continue
        elif not may_include(path.stem, folder, header):
            wrong.append(f"{tree.shown(path, line)}: {folder}/{path.stem} may not include {header}")
    assert wrong == []
