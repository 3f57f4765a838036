"""The typed contract of the extension against the built module, in both directions."""

import ast
import importlib
import sys
from types import ModuleType

import pytest

from tests.contracts import tree

if sys.platform != "linux":
    pytest.skip("the core is for Linux", allow_module_level=True)

STUB = ast.parse((tree.PACKAGE / "_core.pyi").read_text())
FUNCTIONS = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}
RECORDS = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}


@pytest.fixture(scope="module")
def core() -> ModuleType:
    return importlib.import_module("lowtide._core")


def test_the_module_has_what_the_stub_names_and_nothing_else(core: ModuleType) -> None:
    public = {name for name in vars(core) if not name.startswith("__")}
    constants = {
        node.target.id for node in STUB.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }

    assert public == set(FUNCTIONS) | constants


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_takes_as_many_arguments_as_the_stub_says(core: ModuleType, name: str) -> None:
    count = len(FUNCTIONS[name].args.args)

    for wrong in {max(count - 1, 0), count + 1} - {count}:
        with pytest.raises(TypeError):
            getattr(core, name)(*[None] * wrong)


def test_stats_has_the_fields_of_its_record(core: ModuleType) -> None:
    fields = [
        node.target.id
        for node in RECORDS["HeapStats"].body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    ]

    assert list(core.stats()) == fields
