"""One collection of the cyclic collector, and its two written forms: a line for people, a JSON object a line."""

import json
import re
from typing import Any, NamedTuple

from lowtide.errors import TraceFormatError

SCHEMA = 1
UNREAD = -1  # a reading that was not taken

CAUSES = ("young", "full", "safepoint", "idle", "growth", "limit", "explicit", "shutdown")
OWN_CAUSES = ("safepoint", "idle", "growth", "limit")  # the pacer asked for it


class Collection(NamedTuple):
    """A collection as it was seen.

    Args:
        number: 1 for the first that was watched.
        start_ns: CLOCK_MONOTONIC at its start.
        pause_ns: from its start to its stop, finalizers and weakref callbacks included.
        generation: 0, 1 or 2; 2 is a full collection.
        cause: one of CAUSES.
        predicted_ns: the pause that the pacer expected; 0 where it did not ask for it.
        scanned: objects looked at; for generation 0 a lower bound before 3.15.
        freed: objects found to be cyclic garbage and freed.
        uncollectable: objects found to be garbage that cannot be freed.
        counts: the collector's three counts when it started.
        thresholds: its three thresholds then.
        long_lived: objects that the last full collection left, after this one; frozen ones do not count.
        pending: objects that collections of generation 1 have moved to the oldest since then, after this one.
        blocks_before, blocks_after: live blocks of pymalloc; both UNREAD for most young collections.
        goal_blocks: live blocks at which the pacer would hold a full collection due; 0 without one.
        rss_bytes: resident memory after it; UNREAD for most young collections.
        frozen: objects set aside by gc.freeze(); UNREAD for young collections, and where they are too many to be
            counted within a millisecond.
        requests: requests in flight, in any thread.
        in_request: whether the thread that collected was executing one.
        caller: `file:line` of an explicit collection; else "".
    """

    number: int
    start_ns: int
    pause_ns: int
    generation: int
    cause: str
    predicted_ns: int
    scanned: int
    freed: int
    uncollectable: int
    counts: tuple[int, int, int]
    thresholds: tuple[int, int, int]
    long_lived: int
    pending: int
    blocks_before: int
    blocks_after: int
    goal_blocks: int
    rss_bytes: int
    frozen: int
    requests: int
    in_request: bool
    caller: str


class Header(NamedTuple):
    """What a trace says first: whose it is, and when its clock began.

    Args:
        python: version of the interpreter, "3.13.0".
        pid: process id.
        start_ns: CLOCK_MONOTONIC when watching began; times of lines count from here.
        time_unix: the same moment, seconds since 1970.
        incremental: the collector of 3.14.0 to 3.14.4.
    """

    python: str
    pid: int
    start_ns: int
    time_unix: float
    incremental: bool


class Trace(NamedTuple):
    """A recorded trace.

    Args:
        header: whose it is.
        collections: in the order in which they happened.
        is_cut: whether the last line was broken off, as a killed process leaves it; it is not in `collections`.
    """

    header: Header
    collections: tuple[Collection, ...]
    is_cut: bool = False


# The raw form

_HEADER = re.compile(r"# lowtide gctrace (?P<schema>\S+)")
_HEADER_REST = re.compile(  # of this version
    r" python (?P<python>\S+) pid (?P<pid>\d+)"
    r" start (?P<start_ns>\d+) time (?P<time_unix>[\d.]+) (?P<kind>generational|incremental)"
)
_NUMBER = r"\d+|-"
_LINE = re.compile(
    r"gc (?P<number>\d+) @(?P<at>[\d.]+)s (?P<share>[\d.]+)%: gen(?P<generation>[012]) (?P<cause>[a-z]+)"
    r" (?P<pause>[\d.]+) ms"
    r"(?: \(predicted (?P<predicted>[\d.]+)\))? scanned (?P<scanned>\d+) freed (?P<freed>\d+)"
    r"(?: uncollectable (?P<uncollectable>\d+))?"
    r" counts (?P<counts>\d+,\d+,\d+) of (?P<thresholds>\d+,\d+,\d+) old (?P<long_lived>\d+)\+(?P<pending>\d+)"
    rf" blocks (?:(?P<blocks_before>\d+)->(?P<blocks_after>\d+)|-) goal (?P<goal_blocks>{_NUMBER})"
    rf" rss (?P<rss_bytes>{_NUMBER}) frozen (?P<frozen>{_NUMBER})"
    r" requests (?P<requests>\d+)(?P<in_request> in request)?(?: by (?P<caller>.+))?"
)


def header_line(header: Header) -> str:
    """Write the first line of a raw trace, without its line feed."""
    kind = "incremental" if header.incremental else "generational"
    return (
        f"# lowtide gctrace {SCHEMA} python {header.python} pid {header.pid}"
        f" start {header.start_ns} time {header.time_unix:.3f} {kind}"
    )


def line(collection: Collection, header: Header, share: float) -> str:
    """Write a collection as a line for people, without its line feed.

    `share` is what all collections have taken of the time since watching began, 0 to 1.
    """
    c = collection
    parts = [
        f"gc {c.number} @{(c.start_ns - header.start_ns) / 1e9:.6f}s {share:.1%}: gen{c.generation} {c.cause}",
        f"{c.pause_ns / 1e6:.3f} ms",
        f"(predicted {c.predicted_ns / 1e6:.3f})" if c.predicted_ns else "",
        f"scanned {c.scanned} freed {c.freed}",
        f"uncollectable {c.uncollectable}" if c.uncollectable else "",
        f"counts {_commas(c.counts)} of {_commas(c.thresholds)} old {c.long_lived}+{c.pending}",
        "blocks -" if c.blocks_before == UNREAD else f"blocks {c.blocks_before}->{c.blocks_after}",
        f"goal {c.goal_blocks or '-'}",
        f"rss {_read(c.rss_bytes)} frozen {_read(c.frozen)} requests {c.requests}",
        "in request" if c.in_request else "",
        f"by {c.caller}" if c.caller else "",
    ]
    return " ".join(part for part in parts if part)


def _commas(numbers: tuple[int, int, int]) -> str:
    return ",".join(map(str, numbers))


def _read(value: int) -> str:
    return "-" if value == UNREAD else str(value)


def _parse_raw(content: str, header: Header, at: int) -> Collection:
    match = _LINE.fullmatch(content)
    if match is None:
        raise TraceFormatError(f"line {at}: expected `gc N @SECONDS ...`, got {content[:60]!r}")
    found = match.groupdict()

    def number(name: str, missing: int = UNREAD) -> int:
        return missing if found[name] in ("-", None) else int(found[name])

    def triple(name: str) -> tuple[int, int, int]:
        a, b, c = map(int, found[name].split(","))
        return a, b, c

    return Collection(
        number=number("number"),
        start_ns=header.start_ns + round(float(found["at"]) * 1e9),
        pause_ns=round(float(found["pause"]) * 1e6),
        generation=number("generation"),
        cause=found["cause"],
        predicted_ns=round(float(found["predicted"] or 0) * 1e6),
        scanned=number("scanned"),
        freed=number("freed"),
        uncollectable=number("uncollectable", 0),
        counts=triple("counts"),
        thresholds=triple("thresholds"),
        long_lived=number("long_lived"),
        pending=number("pending"),
        blocks_before=number("blocks_before"),
        blocks_after=number("blocks_after"),
        goal_blocks=number("goal_blocks", 0),
        rss_bytes=number("rss_bytes"),
        frozen=number("frozen"),
        requests=number("requests"),
        in_request=found["in_request"] is not None,
        caller=found["caller"] or "",
    )


# The JSON form


def json_header(header: Header) -> str:
    """Write the first line of a JSON trace, without its line feed."""
    return json.dumps({"schema": SCHEMA, "kind": "gctrace", **header._asdict()})


def json_line(collection: Collection) -> str:
    """Write a collection as a JSON object, without a line feed; what was not read is null."""
    return json.dumps({key: None if value == UNREAD else value for key, value in collection._asdict().items()})


def _parse_json(content: str, kind: type[Any], at: int) -> Any:
    found = _json_object(content)
    values = []
    for name, type_ in kind.__annotations__.items():
        try:
            value = found[name]
            read: Any = _READ.get(type_, type_)
            values.append(UNREAD if value is None else read(value))
        except (KeyError, TypeError, ValueError):
            what = f"{name} ({getattr(type_, '__name__', type_)})"
            raise TraceFormatError(f"line {at}: expected a JSON object with {what}, got {found.get(name)!r}") from None
    return kind(*values)


def _triple(value: Any) -> tuple[int, int, int]:
    a, b, c = map(int, value)
    return a, b, c


_READ: dict[Any, Any] = {tuple[int, int, int]: _triple}


def _json_object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


# Between collections, in either form


def lost_line(count: int, is_json: bool) -> str:
    """Say that `count` collections are missing here, without a line feed."""
    return (
        json.dumps({"lost": count})
        if is_json
        else f"# lost {count} collections: they came faster than they were written"
    )


def count(lines: str) -> int:
    """Return how many collections the lines of a trace are about; those that a line calls lost are some of them."""
    lost = sum(map(int, _LOST.findall(lines)))
    return lost + len(_COLLECTION.findall(lines))


_LOST = re.compile(r'^(?:# lost |\{"lost":\s*)(\d+)', re.MULTILINE)
_COLLECTION = re.compile(r'^(?:gc |\{"number")', re.MULTILINE)


def pid_line(pid: int, is_json: bool) -> str:
    """Say whose lines follow, where several processes write to the same place; without a line feed."""
    return json.dumps({"pid": pid}) if is_json else f"# pid {pid}"


_BEGINS = re.compile(r'# lowtide gctrace |\{"schema":\s*[^,]*,\s*"kind":\s*"gctrace"')
_PID = re.compile(r'(?:# pid |\{"pid":\s*)(\d+)\}?')


# Either


def parse(text: str) -> Trace:
    """Read a trace in either form; what the program itself wrote in between (a trace on stderr) is passed over.

    Where several processes have written, one after the other or after a fork, it is the trace of the last to begin.

    Raises: TraceFormatError where there is no header, a line is malformed, or another version wrote it.
    """
    lines = text.split("\n")  # not what else may end a line: a file's name may hold it
    begins = [at for at, content in enumerate(lines) if _BEGINS.match(content)]
    if not begins:
        raise TraceFormatError(
            "expected a gctrace, got a text without a gctrace's first line; `lowtide run --gctrace=FILE` writes one"
        )
    header, is_json = _parse_header(lines[begins[-1]], begins[-1] + 1)
    collections: list[Collection] = []
    pid = header.pid
    for at, content in enumerate(lines[begins[-1] + 1 :], begins[-1] + 2):
        if (writer := _PID.fullmatch(content)) is not None:
            pid = int(writer[1])
        elif pid == header.pid and content.startswith('{"number"' if is_json else "gc "):
            try:
                collections.append(_parse_json(content, Collection, at) if is_json else _parse_raw(content, header, at))
            except TraceFormatError:
                if at == len(lines):
                    return Trace(header, tuple(collections), is_cut=True)
                raise
    return Trace(header, tuple(collections))


def _parse_header(content: str, at: int) -> tuple[Header, bool]:
    if content.startswith("{"):
        _check_schema(_json_object(content).get("schema"), at)
        return _parse_json(content, Header, at), True
    match = _HEADER.match(content)
    _check_schema(match and match["schema"], at)
    match = match and _HEADER_REST.fullmatch(content, match.end())
    if match is None:
        raise TraceFormatError(f"line {at}: expected a gctrace's first line, got {content[:60]!r}")
    is_incremental = match["kind"] == "incremental"
    header = Header(
        match["python"], int(match["pid"]), int(match["start_ns"]), float(match["time_unix"]), is_incremental
    )
    return header, False


def _check_schema(schema: object, at: int) -> None:
    if str(schema) != str(SCHEMA):
        raise TraceFormatError(
            f"line {at}: expected a gctrace of version {SCHEMA}, got version {schema};"
            " read it with the lowtide that wrote it"
        )
