"""Any sequence of calls does to a Buffer what it does to the model."""

from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lowtide import Buffer
from tests.models.buffer import BufferModel

POSITIONS = st.integers(-3, 300)
SIZES = st.none() | st.integers(-2, 200)
PIECES = st.binary(max_size=40) | st.binary(min_size=150, max_size=150)
TEXTS = st.text(max_size=20)


def outcome(call: Callable[[], Any]) -> object:
    """Return what a call returned, or the kind of what it raised."""
    try:
        return call()
    except (BufferError, OverflowError, UnicodeEncodeError, ValueError) as error:
        return type(error)


class BufferMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.buffer, self.model = Buffer(), BufferModel()
        self.views: list[tuple[memoryview, memoryview]] = []

    def both(self, name: str, *arguments: object) -> None:
        expected = outcome(lambda: getattr(self.model, name)(*arguments))

        assert outcome(lambda: getattr(self.buffer, name)(*arguments)) == expected

    @rule(piece=PIECES)
    def write(self, piece: bytes) -> None:
        self.both("write", piece)

    @rule(text=TEXTS)
    def write_str(self, text: str) -> None:
        self.both("write_str", text)

    @rule(pieces=st.lists(PIECES, max_size=3))
    def writelines(self, pieces: list[bytes]) -> None:
        self.both("writelines", pieces)

    @rule(name=st.sampled_from(["read", "read1", "readline", "truncate"]), size=SIZES)
    def sized(self, name: str, size: int | None) -> None:
        self.both(name, size)

    @rule(offset=POSITIONS, whence=st.integers(-1, 3))
    def seek(self, offset: int, whence: int) -> None:
        self.both("seek", offset, whence)

    @rule(name=st.sampled_from(["flush", "readable", "writable", "seekable", "truncate", "__len__"]))
    def plain(self, name: str) -> None:
        self.both(name)

    @rule()
    def iterate(self) -> None:
        expected = outcome(lambda: list(self.model))

        assert outcome(lambda: list(self.buffer)) == expected

    @rule(size=st.integers(0, 100))
    def readinto(self, size: int) -> None:
        ours, theirs = bytearray(size), bytearray(size)
        expected = outcome(lambda: self.model.readinto(theirs))

        assert outcome(lambda: self.buffer.readinto(ours)) == expected
        assert ours == theirs

    @rule(size=st.integers(0, 200), data=st.binary(max_size=100))
    def reserve_and_advance(self, size: int, data: bytes) -> None:
        expected = outcome(lambda: self.model.reserve(size))

        def reserve() -> None:
            with self.buffer.reserve(size) as view:
                assert len(view) == size
                view[: len(data)] = data[:size]

        assert outcome(reserve) == expected
        if expected is None:
            assert outcome(lambda: self.buffer.advance(len(data))) == outcome(lambda: self.model.advance(data))

    @rule()
    def advance_over_what_is_not_reserved(self) -> None:
        assert outcome(lambda: self.buffer.advance(self.model.reserved + 1)) is ValueError

    @rule()
    def view(self) -> None:
        self.views.append((self.buffer.view(), self.model.view()))

    @precondition(lambda self: self.views)
    @rule(byte=st.integers(0, 255))
    def write_through_the_views_and_release_them(self, byte: int) -> None:
        assert outcome(self.buffer.reset) is BufferError
        while self.views:
            for view in self.views.pop():
                view[:1] = bytes([byte])[: len(view)]
                view.release()

    @rule(name=st.sampled_from(["close", "tell", "flush", "readable", "getvalue", "truncate", "read"]), piece=PIECES)
    def close_and_reset(self, name: str, piece: bytes) -> None:
        self.both("close")
        self.both(name)
        self.both("write", piece)
        assert self.buffer.closed == self.model.closed
        if not self.views:
            self.reset()

    @precondition(lambda self: not self.views)
    @rule()
    def reset(self) -> None:
        capacity = self.buffer.capacity
        self.buffer.reset()
        self.model = BufferModel()

        assert self.buffer.capacity == capacity

    @invariant()
    def they_hold_the_same(self) -> None:
        assert self.buffer.getvalue() == self.model.getvalue()
        assert self.buffer.tell() == self.model.tell()
        assert len(self.buffer) <= self.buffer.capacity
        for ours, theirs in self.views:
            assert ours == theirs

    def teardown(self) -> None:
        for views in self.views:
            for view in views:
                view.release()


TestBuffer = BufferMachine.TestCase
TestBuffer.settings = settings(max_examples=150, stateful_step_count=30)
