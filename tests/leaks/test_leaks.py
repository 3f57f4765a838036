"""Every callable of the extension, called many times over: no block, no memory, no descriptor stays behind."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.leaks.growth import assert_leaves_nothing

core = pytest.importorskip("lowtide._core", reason="the extension is not built")

SETTINGS = (64 * 1024, 32, 4 * 2**20)


def encode(*arguments: object, by: Callable[..., None] = core.encode) -> None:
    with Path(os.devnull).open("wb") as sink:
        by(sink.fileno(), *arguments)


# One entry per callable: what is right, then what is wrong about it.
ENTRIES: dict[str, list[Callable[[], object]]] = {
    "start": [
        lambda: core.start(*SETTINGS),
        lambda: core.start(SETTINGS[0] * 2, 16, SETTINGS[2]),
        lambda: core.start(0, 0, 0),
        lambda: core.start("many", None, 2**80),
    ],
    "stop": [core.stop],
    "is_active": [core.is_active],
    "stats": [core.stats],
    "encode": [
        lambda: encode((b"/usr/lib", b"/srv"), b"/srv/main.py", (b"lowtide", b"two"), 1),
        lambda: encode(("text",), b"", (), 0),
        lambda: encode((b"root", 1), b"", (b"comment",), 2**80),
        lambda: encode((), b"", (b"comment", None), 0),
        lambda: encode(7, b"", (), 0),
        lambda: core.encode(-1, (), b"", (), 0),
    ],
    "bypass": [lambda: core.bypass(core.bypass(True)), lambda: core.bypass(Wrong())],  # noqa: FBT003 - positional only
    "seed": [lambda: core.seed(7), lambda: core.seed(-1), lambda: core.seed("seven")],
    "call_soon": [lambda: core.call_soon(bool)],
    "walk": [core.walk],
    "guard_count": [
        lambda: core.guard_count(3, bytes, 1000),
        lambda: core.guard_count(1, int, "x"),
        lambda: core.guard_count("x", bytes),
        lambda: core.guard_count(1),
    ],
    "guard_encode": [
        lambda: encode((b"/srv",), b"", (), 1, by=core.guard_encode),
        lambda: core.guard_encode(-1, (), b"", (), 0),
    ],
}


class Wrong:
    def __bool__(self) -> bool:
        raise ValueError("neither")


@pytest.fixture
def armed() -> Iterator[None]:
    """Something to encode, and hooks that every call goes through."""
    core.start(*SETTINGS)
    blocks = [bytes(4096) for _ in range(512)]
    yield
    del blocks
    core.stop()


def test_every_callable_has_an_entry() -> None:
    assert set(ENTRIES) == {name for name, value in vars(core).items() if callable(value)}


@pytest.mark.parametrize(
    "call", [pytest.param(call, id=f"{name}-{n}") for name, calls in ENTRIES.items() for n, call in enumerate(calls)]
)
def test_calls_leave_nothing_behind(armed: None, call: Callable[[], object]) -> None:
    assert_leaves_nothing(call)
