"""Code objects that come and go at the same addresses, unalike in one respect only, never lend each other a name.

Each code object allocates one block of a size of its own, so that the size tells what the leaf frame must be.
"""

import threading
from collections.abc import Callable
from typing import NamedTuple

import pytest

pytest.importorskip("lowtide._core", reason="the extension is not built")

from tests.oracle.recording import Frame, record

pytestmark = [pytest.mark.oracle, pytest.mark.xdist_group("code churn")]

FIRST_BYTES = 1000
HEADER_BYTES = bytes(0).__sizeof__()


class Code(NamedTuple):
    """Source of a function `f`, and the frame that its block must be charged to."""

    source: str
    file: str
    qualname: str
    line: int


def allocation(i: int) -> str:
    return f"bytes({FIRST_BYTES + i})"


def unlike_in_file(i: int) -> Code:
    return Code(f"def f():\n    return {allocation(i)}\n", f"<file {i % 1000:03d}>", "f", 2)


def unlike_in_name(i: int) -> Code:
    name = f"Class{i % 1000:03d}"
    return Code(f"class {name}:\n  def f():\n    return {allocation(i)}\nf = {name}.f\n", "<same>", f"{name}.f", 3)


def unlike_in_first_line(i: int) -> Code:
    above = i % 50
    return Code("\n" * above + f"def f():\n    return {allocation(i)}\n", "<same>", "f", above + 2)


def unlike_in_line(i: int) -> Code:
    above = i % 50
    return Code("def f():\n" + "\n" * above + f"    return {allocation(i)}\n", "<same>", "f", above + 2)


def unlike_in_the_middle(i: int) -> Code:
    """The tables of lines begin and end alike, and are of one length."""
    same = "    x = 'a', 'b'; y = x; z = y; x = z\n" * 30
    above = i % 7
    middle = "\n" * above + f"    r = {allocation(i)}\n" + "\n" * (7 - above)
    return Code(f"def f():\n{same}{middle}{same}    return r\n", "<same>", "f", 32 + above)


def one_line_up_for_each_round_of_31(i: int) -> Code:
    """Sums of first line and serial number stay the same where a round makes 31 code objects."""
    above = 3000 - i % 3000
    source = "\n" * above + f"def f():\n    return {allocation(i)}\n" + "g = lambda: 0\n" * 29
    return Code(source, "<same>", "f", above + 2)


def unlike_in_all(i: int) -> Code:
    above, inside, name = i % 97, i % 89, f"Class{i % 13}"
    source = (
        "\n" * above + f"class {name}:\n  def f():\n" + "\n" * inside + f"    return {allocation(i)}\nf = {name}.f\n"
    )
    return Code(source, f"<file {i % 11}>", f"{name}.f", above + inside + 3)


ALL = [
    unlike_in_file,
    unlike_in_name,
    unlike_in_first_line,
    unlike_in_line,
    unlike_in_the_middle,
    one_line_up_for_each_round_of_31,
    unlike_in_all,
]


def wrong_frames(make: Callable[[int], Code], count: int) -> list[tuple[Frame, Frame]]:
    """Run `count` code objects one after the other; return what was charged to a wrong frame, and the right one."""

    def churn() -> None:
        for i in range(count):
            names: dict[str, Callable[[], bytes]] = {}
            made = make(i)
            # Nothing may be left of the code when the next is made, not even the strings it was made from.
            code = compile(made.source, made.file, "exec")
            del made
            exec(code, names)  # noqa: S102 - the source is this test's own
            names["f"]()
            del code, names

    def work() -> None:
        thread = threading.Thread(target=churn)  # its stacks are short: the samples are many
        thread.start()
        thread.join()

    seen = set()
    wrong = []
    for sample in record(work):
        leaf, i = sample.frames[0], sample.size - HEADER_BYTES - FIRST_BYTES
        if leaf.name.endswith(".f") and 0 <= i < count:
            seen.add(i)
            expected = make(i)
            right = Frame(f"{expected.file}.{expected.qualname}", expected.file, expected.line)
            wrong += [(leaf, right)] if leaf != right else []
    assert seen == set(range(count))
    return wrong


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_recycled_addresses_lend_no_names(make: Callable[[int], Code]) -> None:
    assert wrong_frames(make, 500) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_many_recycled_addresses_lend_no_names(make: Callable[[int], Code]) -> None:
    assert wrong_frames(make, 100_000 if make is unlike_in_all else 5000) == []
