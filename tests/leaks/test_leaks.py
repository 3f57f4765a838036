"""Every callable of the extension, called many times over: no block, no memory, no descriptor stays behind."""

import contextlib
import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

core = pytest.importorskip("lowtide._core", reason="the extension is not built")

CALLS = 1000
ROUNDS = 5
SETTINGS = (64 * 1024, 32, 4 * 2**20)
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


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


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def held() -> tuple[int, int, int]:
    gc.collect()
    return sys.getallocatedblocks(), resident_bytes(), len(list(Path("/proc/self/fd").iterdir()))


def growth(call: Callable[[], object]) -> tuple[int, int, int]:
    """Return what CALLS calls leave behind: blocks, resident bytes, descriptors."""
    before = held()
    for _ in range(CALLS):
        with contextlib.suppress(ValueError, TypeError, OverflowError, RuntimeError, OSError):
            call()
    after = held()
    return after[0] - before[0], after[1] - before[1], after[2] - before[2]


def test_every_callable_has_an_entry() -> None:
    assert set(ENTRIES) == {name for name, value in vars(core).items() if callable(value)}


@pytest.mark.parametrize(
    "call", [pytest.param(call, id=f"{name}-{n}") for name, calls in ENTRIES.items() for n, call in enumerate(calls)]
)
def test_calls_leave_nothing_behind(armed: None, call: Callable[[], object]) -> None:
    growth(call)  # caches fill, tables take their pages
    rounds = [growth(call) for _ in range(ROUNDS)]

    # A leak shows in every round, noise of the interpreter in some.
    blocks, resident, descriptors = (min(column) for column in zip(*rounds, strict=True))
    assert blocks < CALLS // 10
    assert resident < CALLS * 16
    assert descriptors <= 0
