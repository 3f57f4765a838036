"""Every block is charged to the line that asked for it, and to the calls that led there."""

import json
import os
import subprocess
import sys
import types
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lowtide._core", reason="the extension is not built")

from tests.oracle.marked import KINDS, define, run
from tests.oracle.recording import Frame, Recorded, record

pytestmark = [pytest.mark.oracle, pytest.mark.xdist_group("lines")]

ROOT = Path(__file__).resolve().parents[2]
CALLS = 100  # past every interpreter's warm-up


def marked(kind: str, mark: str) -> set[int]:
    return {number for number, line in enumerate(KINDS[kind].split("\n"), 1) if line.endswith(mark)}


# -- the line ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def blocks_by_line() -> dict[str, Counter[int]]:
    return run(CALLS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_statement_is_charged_on_its_own_line(blocks_by_line: dict[str, Counter[int]], kind: str) -> None:
    must, may = marked(kind, "#!"), marked(kind, "#?")
    assert must <= set(blocks_by_line[kind]) <= must | may


# -- the calls --------------------------------------------------------------------------------------------------------


PROGRAMS = [
    "lists",
    "dictionaries_and_sets",
    "bytes_and_strings",
    "big_integers",
    "exceptions",
    "json_there_and_back",
    "generators_and_coroutines",
    "classes",
    "cycles",
    "deep_recursion",
    "generated_code",
    "imports",
    "copies_and_buffers",
    "threads",
]


@pytest.fixture(scope="module")
def compared_with_tracemalloc(helpers: Path) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": f"{helpers}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "tests.oracle.stacks_worker", *PROGRAMS]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return] # an object, one entry a program


@pytest.mark.parametrize("program", PROGRAMS)
def test_whole_stacks_are_those_of_tracemalloc(compared_with_tracemalloc: dict[str, Any], program: str) -> None:
    """Its reader of frames is CPython's own."""
    compared = compared_with_tracemalloc[program]
    assert compared["stacks"] > 0
    assert (compared["ours"], compared["theirs"]) == ([], [])


def stacks_of(samples: list[Recorded], size: int) -> list[list[Frame]]:
    return [sample.frames for sample in samples if sample.size == size]


def payload(data_bytes: int) -> int:
    """Return the size of the block that `bytes(data_bytes)` asks for."""
    return bytes(data_bytes).__sizeof__()


def test_a_chain_of_generators_is_a_stack() -> None:
    names = define(
        "def inner():\n"
        "    yield 1\n"
        "    yield bytes(7001)\n"
        "def middle():\n"
        "    yield 0\n"
        "    yield from inner()\n"
        "def outer():\n"
        "    last = None\n"
        "    for last in (x for x in middle()):\n"
        "        pass\n"
        "    return last\n"
    )
    (stack,) = stacks_of(record(names["outer"]), payload(7001))
    assert stack[:4] == [
        Frame("<source>.inner", "<source>", 3),
        Frame("<source>.middle", "<source>", 6),
        Frame("<source>.outer.<locals>.<genexpr>", "<source>", 9),
        Frame("<source>.outer", "<source>", 9),
    ]


def test_a_chain_of_awaits_is_a_stack() -> None:
    names = define(
        "import asyncio\n"
        "async def inner():\n"
        "    await asyncio.sleep(0)\n"
        "    return bytes(7002)\n"
        "async def outer():\n"
        "    async with asyncio.timeout(None):\n"
        "        return [\n"
        "            await inner()\n"
        "        ]\n"
        "def run():\n"
        "    return asyncio.run(outer())\n"
    )
    (stack,) = stacks_of(record(names["run"]), payload(7002))
    assert stack[:2] == [Frame("<source>.inner", "<source>", 4), Frame("<source>.outer", "<source>", 8)]
    assert Frame("<source>.run", "<source>", 11) in stack


def test_calling_a_class_adds_no_frame_but_its_own() -> None:
    names = define(
        "class Thing:\n"
        "    def __init__(self):\n"
        "        self.block = bytes(7003)\n"
        "def make():\n"
        "    return Thing()\n"
        "def many():\n"
        f"    for _ in range({CALLS}):\n"
        "        make()\n"
    )
    stacks = stacks_of(record(names["many"]), payload(7003))
    expected = [
        Frame("<source>.Thing.__init__", "<source>", 3),
        Frame("<source>.make", "<source>", 5),
        Frame("<source>.many", "<source>", 8),
    ]
    assert [stack[:3] for stack in stacks] == [expected] * len(stacks)
    assert stacks
    assert not [frame for stack in stacks for frame in stack if frame.file in ("__init__", "<shim>")]


@pytest.mark.parametrize("max_frames", [1, 2, 128, 1024])
def test_deep_stacks_keep_their_leaf_and_say_that_they_are_cut(max_frames: int) -> None:
    names = define(
        "def down(depth):\n    if depth == 0:\n        return bytes(7004)\n    return down(\n        depth - 1\n    )\n"
    )
    (stack,) = stacks_of(record(lambda: names["down"](700), max_frames), payload(7004))
    whole = [Frame("<source>.down", "<source>", 3)] + [Frame("<source>.down", "<source>", 4)] * 700
    if max_frames <= len(whole):
        assert stack == [*whole[:max_frames], Frame("<truncated>", "", 0)]
    else:
        assert stack[: len(whole)] == whole
        assert "<truncated>" not in [frame.name for frame in stack]


# -- names ------------------------------------------------------------------------------------------------------------

NAMES = {
    "latin": ("größe", "größe"),
    "two bytes": ("размер", "размер"),
    "three bytes": ("大小", "大小"),
    "four bytes": ("𝔰𝔦𝔷𝔢🐍", "𝔰𝔦𝔷𝔢🐍"),
    "surrogates": ("size\udcff\ud800.", "size\\udcff\\ud800."),
    "control characters": ("a\x00b\nc\x7f", "a\x00b\nc\x7f"),
    "empty": ("", ""),
    "1,024 letters": ("x" * 1024, "x" * 1024),
}


def renamed(name: str, file: str) -> Callable[[], bytes]:
    function = define("def f():\n    return bytes(7005)\n")["f"]
    code = function.__code__.replace(co_name=name, co_qualname=name, co_filename=file)
    return types.FunctionType(code, {})


@pytest.mark.parametrize(("name", "spelled"), NAMES.values(), ids=NAMES)
def test_names_of_any_script_survive(name: str, spelled: str) -> None:
    (stack,) = stacks_of(record(renamed(name, name)), payload(7005))
    assert stack[0].file == spelled
    assert stack[0].name.endswith(spelled)
    assert stack[0].line == 2


@pytest.mark.parametrize("character", ["x", "é", "大", "🐍", "\udc80"])
def test_endless_names_are_cut_between_characters(character: str) -> None:
    spelled = character.encode("utf-8", "backslashreplace").decode()
    (stack,) = stacks_of(record(renamed(character * 5000, character * 5000)), payload(7005))
    for text in (stack[0].file, stack[0].name.rpartition(".")[2]):
        whole, rest = divmod(len(text), len(spelled))
        assert (text, rest) == (spelled * whole, 0)
        assert 900 < len(text.encode()) <= 1024


def test_a_subclass_of_str_is_a_name_too() -> None:
    class Name(str):
        __slots__ = ()

    code = compile("block = bytes(7006)", "<source>", "exec").replace(co_filename=Name("/dir/größe.py"))
    (stack,) = stacks_of(record(lambda: exec(code, {})), payload(7006))  # noqa: S102 - the code is the test's own
    assert stack[0] == Frame("größe.<module>", "/dir/größe.py", 1)
