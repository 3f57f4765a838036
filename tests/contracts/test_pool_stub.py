"""The typed contract of lowtide._pool against the built module, in both directions."""

import ast

import pytest

from tests.contracts import tree

_pool = pytest.importorskip("lowtide._pool", reason="the extension is not built")

STUB = ast.parse((tree.PACKAGE / "_pool.pyi").read_text())
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
RECORDS = {
    name for name, node in CLASSES.items() if any(isinstance(b, ast.Name) and b.id == "NamedTuple" for b in node.bases)
}


def members(node: ast.ClassDef) -> dict[str, list[ast.FunctionDef]]:
    """Map the methods and properties of a class to their overloads, and its attributes to nothing."""
    found: dict[str, list[ast.FunctionDef]] = {}
    for item in node.body:
        if isinstance(item, ast.FunctionDef):
            found.setdefault(item.name, []).append(item)
        elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            found[item.target.id] = []
    return found


def test_the_module_has_what_the_stub_names_and_nothing_else() -> None:
    functions = {node.name for node in STUB.body if isinstance(node, ast.FunctionDef)}
    assert {name for name in vars(_pool) if not name.startswith("__")} == functions | set(CLASSES)


@pytest.mark.parametrize("name", sorted(set(CLASSES) - RECORDS))
def test_a_type_has_the_members_of_its_class(name: str) -> None:
    public = {member for member in vars(getattr(_pool, name)) if not member.startswith("_")}
    assert public == {member for member in members(CLASSES[name]) if not member.startswith("_")}


@pytest.mark.parametrize("name", sorted(set(CLASSES) - RECORDS))
def test_the_special_methods_of_a_class_exist(name: str) -> None:
    special = {member for member in members(CLASSES[name]) if member.startswith("__")}
    assert special <= set(dir(getattr(_pool, name))) | {"__buffer__", "__release_buffer__"}  # in Python since 3.12


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_a_record_has_the_fields_of_its_class(name: str) -> None:
    assert list(getattr(_pool, name).__match_args__) == list(members(CLASSES[name]))


def test_a_pool_takes_the_arguments_of_its_signature() -> None:
    (first, *_) = members(CLASSES["Pool"])["__new__"]
    keywords = [argument.arg for argument in first.args.kwonlyargs]
    assert _pool.Pool.__text_signature__ == f"(new=None, *, {', '.join(f'{word}=None' for word in keywords)})"
