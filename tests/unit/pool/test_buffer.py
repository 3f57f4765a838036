"""What Buffer adds to a file in memory: kept capacity, text without bytes between, reserves, refusals that teach."""

import array
import io
import sys
import tracemalloc
import weakref
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide import Buffer

HUGE = 1 << 61  # no machine has it


def test_reset_keeps_the_capacity_that_bytesio_and_bytearray_give_up() -> None:
    buffer = Buffer()
    buffer.write(bytes(100_000))
    capacity = buffer.capacity
    buffer.reset()

    assert (len(buffer), buffer.capacity, buffer.getvalue()) == (0, capacity, b"")
    assert capacity >= 100_000


def test_a_first_capacity_is_exact_and_holds_as_much_without_growing() -> None:
    buffer = Buffer(capacity=1000)
    buffer.write(bytes(1000))

    assert buffer.capacity == 1000
    assert sys.getsizeof(buffer) >= 1000


def test_many_small_writes_grow_the_memory_seldom() -> None:
    buffer = Buffer()
    capacities = set()
    for _ in range(50_000):
        buffer.write(b"0123456789" * 10)
        capacities.add(buffer.capacity)

    assert len(capacities) < 25
    assert buffer.capacity < 2 * len(buffer)


@given(st.text())
def test_text_is_written_as_utf_8(text: str) -> None:
    buffer = Buffer()

    assert buffer.write_str(text) == len(text.encode())
    assert buffer.getvalue() == text.encode()


@pytest.mark.parametrize(
    "text",
    ["", "a" * 1000, "é" * 1000, "€" * 1000, "😀" * 1000, "aé€😀\0" * 500, "\x7f\x80\u07ff\u0800\uffff\U00010000"],
)
def test_text_of_every_width_is_written_as_utf_8(text: str) -> None:
    buffer = Buffer()
    buffer.write_str(text)

    assert buffer.getvalue() == text.encode()


@pytest.mark.parametrize("text", ["\ud800", "ok until \udfff", "€\ud8001", "😀\udc00"])
def test_a_lone_surrogate_raises_what_encode_raises_and_writes_nothing(text: str) -> None:
    buffer = Buffer()
    buffer.write(b"before")
    with pytest.raises(UnicodeEncodeError) as expected:
        text.encode()
    with pytest.raises(UnicodeEncodeError) as raised:
        buffer.write_str(text)

    assert raised.value.args == expected.value.args
    assert buffer.getvalue() == b"before"


def test_anything_bytes_like_can_be_written() -> None:
    buffer = Buffer()
    for data in (b"a", bytearray(b"b"), memoryview(b"xcx")[1:2], array.array("H", [0x6464])):
        buffer.write(data)

    assert buffer.getvalue() == b"abcdd"


@pytest.mark.parametrize("lines", [[b"a", b"b"], (b"a", b"b"), iter([b"a", b"b"]), {b"a": 1, b"b": 2}])
def test_lines_come_from_any_iterable(lines: list[bytes]) -> None:
    buffer = Buffer()
    buffer.writelines(lines)

    assert buffer.getvalue() == b"ab"


def test_lines_before_one_that_fails_are_written() -> None:
    buffer = Buffer()
    with pytest.raises(TypeError):
        buffer.writelines([b"a", "b", b"c"])  # type: ignore[list-item] # on purpose

    assert buffer.getvalue() == b"a"


def test_a_list_that_changes_while_its_lines_are_written_is_followed() -> None:
    buffer = Buffer()
    lines: list[bytes] = []

    def generate() -> object:
        yield b"a"
        lines.clear()
        yield b"b"

    lines += [b"1", b"2"]
    buffer.writelines(generate())  # type: ignore[arg-type] # yields bytes
    buffer.writelines(lines)

    assert buffer.getvalue() == b"ab"


def test_a_reserve_is_filled_in_place_and_taken_in_parts() -> None:
    buffer = Buffer()
    buffer.write(b"head ")
    with buffer.reserve(8) as view:
        view[:] = b"body etc"
    buffer.advance(4)
    buffer.advance(1)

    assert buffer.getvalue() == b"head body "
    assert buffer.tell() == 10


def test_advancing_while_the_reserved_view_lives_is_fine() -> None:
    buffer = Buffer()
    view = buffer.reserve(3)
    view[:] = b"abc"
    buffer.advance(3)

    assert buffer.getvalue() == b"abc"
    with pytest.raises(BufferError):
        buffer.write(b"d")


@pytest.mark.parametrize("n", [-1, 11, HUGE])
def test_advancing_past_the_reserve_is_refused(n: int) -> None:
    buffer = Buffer(capacity=100)
    buffer.reserve(10).release()
    with pytest.raises(ValueError, match=f"n must be 0 to 10 bytes, as reserve.. has left, got {n}"):
        buffer.advance(n)

    assert len(buffer) == 0


def test_a_view_is_the_content_itself() -> None:
    buffer = Buffer()
    buffer.write(b"abc")
    with buffer.view() as view:
        view[0] = ord("x")

        assert not view.readonly
        assert bytes(view) == b"xbc"
    assert bytes(buffer) == buffer.getvalue() == b"xbc"


@pytest.mark.parametrize("take", [Buffer.view, memoryview, lambda buffer: buffer.reserve(4)])
@pytest.mark.parametrize(
    "change",
    [
        lambda buffer: buffer.write(b"x"),
        lambda buffer: buffer.write(b""),
        lambda buffer: buffer.write_str("x"),
        lambda buffer: buffer.writelines([b"x"]),
        lambda buffer: buffer.text.write("x"),
        lambda buffer: buffer.write(buffer),
        lambda buffer: buffer.reserve(1),
        lambda buffer: buffer.truncate(0),
        lambda buffer: buffer.reset(),
        lambda buffer: buffer.close(),
    ],
)
def test_with_live_views_the_length_stays(
    take: Callable[[Buffer], memoryview], change: Callable[[Buffer], object]
) -> None:
    buffer = Buffer()
    buffer.write(b"content")
    view = take(buffer)
    with pytest.raises(BufferError, match=r"live views \(\d\): release them"):
        change(buffer)
    view.release()

    assert buffer.getvalue() == b"content"
    buffer.reset()


def test_a_buffer_does_not_take_itself() -> None:
    buffer = Buffer()
    buffer.write(b"abc")
    with pytest.raises(BufferError):
        buffer.write(buffer)

    assert buffer.getvalue() == b"abc"


def test_what_runs_while_bytes_are_taken_cannot_pull_the_memory_away() -> None:
    buffer = Buffer()
    kept: list[memoryview] = []

    class Size:
        def __index__(self) -> int:
            kept.append(buffer.view())
            return 1 << 16

    buffer.write(b"abc")
    for call in (buffer.reserve, buffer.truncate):
        with pytest.raises(BufferError):
            call(Size())  # type: ignore[arg-type] # an int, by __index__

    assert [bytes(view) for view in kept] == [b"abc", b"abc"]


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda buffer: buffer.reserve(HUGE), MemoryError),
        (lambda buffer: (buffer.seek(HUGE), buffer.write(b"x")), MemoryError),
        (lambda buffer: (buffer.seek(sys.maxsize), buffer.write(b"xy")), OverflowError),
        (lambda buffer: (buffer.seek(sys.maxsize), buffer.write_str("xy")), OverflowError),
        (lambda buffer: buffer.reserve(sys.maxsize), MemoryError),
        (lambda buffer: buffer.reserve(sys.maxsize + 1), OverflowError),
        (lambda buffer: buffer.seek(sys.maxsize, io.SEEK_END), OverflowError),
    ],
)
def test_what_memory_cannot_hold_leaves_the_buffer_as_it_was(
    act: Callable[[Buffer], object], error: type[Exception]
) -> None:
    buffer = Buffer(capacity=10)
    buffer.write(b"abc")
    with pytest.raises(error):
        act(buffer)

    assert (buffer.getvalue(), buffer.capacity) == (b"abc", 10)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda _: Buffer(-1), ValueError, "capacity must be >= 0 bytes, got -1"),
        (lambda _: Buffer(HUGE), MemoryError, None),
        (lambda _: Buffer("1"), TypeError, None),  # type: ignore[arg-type] # on purpose
        (
            lambda buffer: buffer.write("text"),
            TypeError,
            "data must be bytes-like, got str; write_str.. and .text take",
        ),
        (lambda buffer: buffer.write(1), TypeError, "bytes-like object is required, not 'int'"),
        (lambda buffer: buffer.write(None), TypeError, "bytes-like"),
        (lambda buffer: buffer.write(memoryview(b"abcd")[::2]), BufferError, "contiguous"),
        (lambda buffer: buffer.write_str(b"bytes"), TypeError, "text must be str, got bytes"),
        (lambda buffer: buffer.text.write(b"bytes"), TypeError, "text must be str, got bytes"),
        (lambda buffer: buffer.writelines(1), TypeError, "not iterable"),
        (lambda buffer: buffer.reserve(-1), ValueError, "n must be >= 0 bytes, got -1"),
        (lambda buffer: buffer.reserve("1"), TypeError, "integer"),
        (lambda buffer: buffer.advance(1), ValueError, "n must be 0 to 0 bytes"),
        (lambda buffer: buffer.seek(-1), ValueError, "offset must be >= 0 from the start, got -1"),
        (lambda buffer: buffer.seek(0, 3), ValueError, "whence must be 0, 1 or 2, got 3"),
        (lambda buffer: buffer.seek(), TypeError, r"seek\(\) takes 1 to 2 arguments, got 0"),
        (lambda buffer: buffer.read(1, 2), TypeError, r"read\(\) takes 0 to 1 arguments, got 2"),
        (lambda buffer: buffer.read("1"), TypeError, "integer"),
        (lambda buffer: buffer.truncate(-1), ValueError, "size must be >= 0 bytes, got -1"),
        (lambda buffer: buffer.readinto(b"fixed"), (TypeError, BufferError), None),
    ],
)
def test_bad_input_is_named_and_changes_nothing(
    act: Callable[[Buffer], object], error: type[Exception], message: str | None
) -> None:
    buffer = Buffer()
    buffer.write(b"abc")
    with pytest.raises(error, match=message):
        act(buffer)

    assert (buffer.getvalue(), buffer.tell()) == (b"abc", 3)


def test_a_closed_buffer_refuses_everything_until_reset() -> None:
    buffer = Buffer()
    with buffer:
        buffer.write(b"abc")
    capacity = buffer.capacity

    assert buffer.closed
    for use in (
        lambda: buffer.write(b"x"),
        buffer.getvalue,
        buffer.read,
        buffer.view,
        lambda: len(buffer),
        lambda: buffer.text,
    ):
        with pytest.raises(ValueError, match=r"buffer is closed; reset\(\) opens it again, empty"):
            use()
    buffer.reset()
    assert (buffer.closed, len(buffer), buffer.capacity) == (False, 0, capacity)


def test_an_empty_buffer_is_true_as_a_file_is() -> None:
    buffer = Buffer()

    assert len(buffer) == 0
    assert buffer


def test_a_buffer_can_be_referred_to_weakly_and_does_not_pickle() -> None:
    buffer = Buffer()
    reference = weakref.ref(buffer)

    assert reference() is buffer
    with pytest.raises(TypeError, match="cannot pickle"):
        buffer.__reduce_ex__(4)
    del buffer
    assert reference() is None


def test_a_view_outlives_the_last_name_of_its_buffer() -> None:
    buffer = Buffer()
    buffer.write(b"abc")
    view = buffer.view()
    del buffer

    assert bytes(view) == b"abc"


def test_its_memory_is_seen_by_what_watches_the_allocators() -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        buffer = Buffer(50_000)
        buffer.seek(99_999)
        buffer.write(b"x")
        grown = tracemalloc.get_traced_memory()[0]
        capacity = buffer.capacity
        del buffer
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert 0 <= grown - before - capacity < 1000
    assert abs(after - before) < 1000
