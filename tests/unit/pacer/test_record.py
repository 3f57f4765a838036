"""The two written forms of a collection: what is written reads back, and what is not ours is told apart."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.errors import TraceFormatError
from lowtide.pacer import record
from lowtide.pacer.record import CAUSES, UNREAD, Collection, Header

HEADER = Header("3.13.0", 4711, 1_000_000_000, 1_795_000_000.25, incremental=False)
COUNTS = st.integers(0, 2**31 - 1)
SIZES = st.integers(0, 2**53)
MAYBE = st.one_of(st.just(UNREAD), SIZES)
TRIPLES = st.tuples(COUNTS, COUNTS, COUNTS)
CALLERS = st.one_of(
    st.just(""), st.builds("{}:{}".format, st.text("abc /ß.<>\u2028", min_size=1), st.integers(0, 99999))
)


@st.composite
def collections(draw: st.DrawFn) -> Collection:
    blocks = draw(MAYBE)
    return Collection(
        number=draw(SIZES),
        start_ns=HEADER.start_ns + draw(st.integers(0, 10**15)),
        pause_ns=draw(st.integers(0, 10**12)),
        generation=draw(st.integers(0, 2)),
        cause=draw(st.sampled_from(CAUSES)),
        predicted_ns=draw(st.integers(0, 10**12)),
        scanned=draw(SIZES),
        freed=draw(SIZES),
        uncollectable=draw(SIZES),
        counts=draw(TRIPLES),
        thresholds=draw(TRIPLES),
        long_lived=draw(SIZES),
        pending=draw(SIZES),
        blocks_before=blocks,
        blocks_after=UNREAD if blocks == UNREAD else draw(SIZES),
        goal_blocks=draw(SIZES),
        rss_bytes=draw(MAYBE),
        frozen=draw(MAYBE),
        requests=draw(COUNTS),
        in_request=draw(st.booleans()),
        caller=draw(CALLERS),
    )


ONE = Collection(
    *(17, 35_112_000_000, 22_400_000, 2, "explicit", 0, 412_000, 12, 0, (300, 2, 1), (700, 10, 10), 411_988, 0),
    *(1_020_000, 1_019_000, 0, 179_306_496, 375, 3, True, "/srv/app/views.py:12"),
)


def raw(*content: Collection) -> str:
    return "".join(
        f"{line}\n" for line in [record.header_line(HEADER), *(record.line(c, HEADER, 0.018) for c in content)]
    )


def as_json(*content: Collection) -> str:
    return "".join(f"{line}\n" for line in [record.json_header(HEADER), *map(record.json_line, content)])


@given(st.lists(collections(), max_size=5))
def test_json_lines_read_back_as_they_were(content: list[Collection]) -> None:
    assert record.parse(as_json(*content)) == record.Trace(HEADER, tuple(content))


@given(collections())
def test_a_raw_line_reads_back_with_times_to_the_microsecond(written: Collection) -> None:
    (read,) = record.parse(raw(written)).collections

    assert read == written._replace(start_ns=read.start_ns, pause_ns=read.pause_ns, predicted_ns=read.predicted_ns)
    assert abs(read.start_ns - written.start_ns) <= 501
    assert abs(read.pause_ns - written.pause_ns) <= 501
    assert abs(read.predicted_ns - written.predicted_ns) <= 501


def test_a_raw_line_says_what_happened_in_words_that_can_be_searched_for() -> None:
    assert record.line(ONE, HEADER, 0.018) == (
        "gc 17 @34.112000s 1.8%: gen2 explicit 22.400 ms scanned 412000 freed 12 counts 300,2,1 of 700,10,10"
        " old 411988+0 blocks 1020000->1019000 goal - rss 179306496 frozen 375 requests 3 in request"
        " by /srv/app/views.py:12"
    )


def test_what_was_not_read_is_a_dash_and_null() -> None:
    unread = ONE._replace(blocks_before=UNREAD, blocks_after=UNREAD, rss_bytes=UNREAD, frozen=UNREAD)

    assert "blocks - goal - rss - frozen - requests" in record.line(unread, HEADER, 0)
    found = json.loads(record.json_line(unread))
    assert [found[key] for key in ("blocks_before", "blocks_after", "rss_bytes", "frozen")] == [None] * 4


@pytest.mark.parametrize("write", [raw, as_json])
def test_what_the_program_wrote_in_between_is_passed_over(write: Any) -> None:
    head, line = write(ONE).splitlines()

    found = record.parse(
        f"INFO: started\n{head}\nTraceback (most recent call last):\n\n{line}\n{{}}\n# lost 3 collections\n"
    )

    assert len(found.collections) == 1


@pytest.mark.parametrize("write", [raw, as_json])
def test_a_trace_without_its_end_says_so_and_keeps_the_rest(write: Any) -> None:
    text = write(ONE, ONE._replace(number=18))

    cut = record.parse(text[:-40])

    assert cut.is_cut
    assert [c.number for c in cut.collections] == [17]
    assert not record.parse(text).is_cut


@pytest.mark.parametrize("write", [raw, as_json])
def test_of_several_runs_in_a_file_the_last_is_read_whatever_the_others_left(write: Any) -> None:
    killed = write(ONE, ONE)[:-40]

    assert record.parse(killed + "\n" + write(ONE)).collections == record.parse(write(ONE)).collections


@pytest.mark.parametrize("write", [raw, as_json])
def test_lines_of_another_process_in_the_same_place_are_left_out(write: Any) -> None:
    is_json = write is as_json
    _, theirs = write(ONE._replace(number=1)).splitlines()
    _, ours = write(ONE._replace(number=2)).splitlines()
    marks = [record.pid_line(pid, is_json) for pid in (1, HEADER.pid)]

    found = record.parse("\n".join([write(), marks[0], theirs, marks[1], ours, ""]))

    assert [c.number for c in found.collections] == [2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a gctrace, got a text without a gctrace's first line"),
        ("hello\n", "expected a gctrace, got a text without a gctrace's first line"),
        (raw().replace("gctrace 1", "gctrace 2"), "line 1: expected a gctrace of version 1, got version 2"),
        (as_json().replace('"schema": 1', '"schema": 7'), "line 1: expected a gctrace of version 1, got version 7"),
        (raw().replace("pid", "dip"), "line 1: expected a gctrace's first line, got '# lowtide gctrace 1"),
        (as_json().replace("4711", '"x"'), "line 1: expected a JSON object with pid (int), got 'x'"),
        (raw(ONE).replace("scanned", "seen") + "\n", "line 2: expected `gc N @SECONDS ...`, got 'gc 17 @34"),
        (as_json(ONE).replace('"freed"', '"let"') + "\n", "line 2: expected a JSON object with freed (int), got None"),
        (as_json(ONE)[:-20] + "\n\n", "line 2: expected a JSON object with number (int), got None"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(TraceFormatError) as caught:
        record.parse(text)

    assert str(caught.value).startswith(message)
