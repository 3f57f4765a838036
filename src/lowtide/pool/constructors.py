"""What is known to be expensive to make: how a profile shows it, how to make one here, and what to do instead.

A function in C has no frame, so that most are known by the line of code that calls them.
"""

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["pool", "share", "leave"]


@dataclass(frozen=True, slots=True)
class Constructor:
    """One of them.

    Args:
        name: as one writes it.
        calls: regular expression of its call in a line of code.
        functions: those written in Python that make it, as `module.qualname`; what they call counts as theirs.
        verdict: pool it, share one among all, or leave it.
        advice: what to write instead.
        make: prepares the making of one, and returns what makes one and lets go of it.
    """

    name: str
    calls: str
    functions: tuple[str, ...]
    verdict: Verdict
    advice: str
    make: Callable[[], Callable[[], object]]


def _of(module: str, name: str, *args: object, **options: object) -> Callable[[], Callable[[], object]]:
    def prepare() -> Callable[[], object]:
        function: Any = getattr(importlib.import_module(module), name)
        return lambda: function(*args, **options)

    return prepare


def _compile() -> Callable[[], object]:
    compile_pattern, purge = re.compile, re.purge
    return lambda: (purge(), compile_pattern(r"(?P<key>[a-z]+)=(?P<value>\d+|\w*)"))


def _connect() -> Callable[[], object]:
    connect: Any = importlib.import_module("sqlite3").connect
    return lambda: connect(":memory:").close()


_NO_RESET = "it cannot be reset once it was flushed, so there is nothing to put back"

CONSTRUCTORS = (
    Constructor("zlib.compressobj", r"\bcompressobj\(", (), "leave", _NO_RESET, _of("zlib", "compressobj")),
    Constructor("zlib.decompressobj", r"\bdecompressobj\(", (), "leave", _NO_RESET, _of("zlib", "decompressobj")),
    Constructor("bz2.BZ2Compressor", r"\bBZ2Compressor\(", (), "leave", _NO_RESET, _of("bz2", "BZ2Compressor")),
    Constructor("lzma.LZMACompressor", r"\bLZMACompressor\(", (), "leave", _NO_RESET, _of("lzma", "LZMACompressor")),
    Constructor(
        "json.JSONEncoder",
        r"\bJSONEncoder\(",
        ("json.encoder.JSONEncoder.__init__",),
        "share",
        "it has no state: make one at module level and call its encode(); json.dumps with options makes one a call",
        _of("json", "JSONEncoder", separators=(",", ":")),
    ),
    Constructor(
        "json.JSONDecoder",
        r"\bJSONDecoder\(",
        ("json.decoder.JSONDecoder.__init__",),
        "share",
        "it has no state: make one at module level and call its decode(); json.loads with options makes one a call",
        _of("json", "JSONDecoder", parse_float=str),
    ),
    Constructor(
        "re.compile",
        r"\bre\.compile\(",
        ("re._compiler.compile",),
        "share",
        "compile it once, at module level or behind functools.cache; a pattern may be used by all threads",
        _compile,
    ),
    Constructor(
        "ssl.SSLContext",
        r"\b(create_default_context|SSLContext)\(",
        ("ssl.create_default_context",),
        "share",
        "make one at start; all connections may use it",
        _of("ssl", "SSLContext", 16),
    ),
    Constructor(
        "sqlite3.connect",
        r"\bsqlite3\.connect\(",
        (),
        "pool",
        'keep connections: Pool(new=..., reset="rollback", max_items=...)',
        _connect,
    ),
    Constructor(
        "html.parser.HTMLParser",
        r"\bHTMLParser\(",
        ("html.parser.HTMLParser.__init__",),
        "pool",
        'Pool(new=..., reset="reset")',
        _of("html.parser", "HTMLParser"),
    ),
    Constructor(
        "copy.deepcopy",
        r"\bdeepcopy\(",
        ("copy.deepcopy",),
        "pool",
        "where it copies a template: Pool(new=..., reset=...) with a reset that puts back only what changed",
        _of("copy", "deepcopy", {"id": 1, "tags": ["a", "b"], "options": {"deep": True, "limits": [1, 2, 3]}}),
    ),
)

# What a line of code says about the large blocks it allocates.
BLOCK_ADVICE = (
    (r"\b(BytesIO|StringIO)\(|\.write\(", "write into a pooled lowtide.Buffer (its `text` takes str)"),
    (r"\b(recv|read)\(", "read into one: recv_into or readinto(buffer.reserve(n)), then buffer.advance(n)"),
    (r"\bdumps\(", "dump into a pooled lowtide.Buffer: dump(document, buffer), for json buffer.text"),
    (r"\.join\(", "write the pieces into a pooled lowtide.Buffer: writelines(pieces)"),
    (r"\.encode\(", "encode into a pooled lowtide.Buffer: write_str(text)"),
    (r"\b(np|numpy)\.\w+\(", "keep arrays by shape, Pool(new=...), and give them as out=..."),
    (r"\bbytearray\(", "borrow a lowtide.Buffer: BufferPool.lease(nbytes)"),
)


def known_by_function(function: str) -> Constructor | None:
    """Return what a function of this name makes."""
    return _BY_FUNCTION.get(function)


def known_by_source(source: str) -> Constructor | None:
    """Return what a line of code makes."""
    return next((known for known in CONSTRUCTORS if re.search(known.calls, source)), None)


def block_advice(source: str) -> str | None:
    """Return what to write instead of a line that allocates large blocks, None where it does not tell what they are."""
    return next((advice for pattern, advice in BLOCK_ADVICE if re.search(pattern, source)), None)


_BY_FUNCTION = {function: known for known in CONSTRUCTORS for function in known.functions}
