"""Step (b): each kind of thing that people pool, made anew and taken from a pool, counted and timed."""

import io
import json
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.measure import Ratio, interleave, ratio
from examples.catalogue.product import Product
from lowtide import BufferPool, Pool, guard

CHUNK_BYTES = 64 * 1024  # of memory for a chunk, which is half as long
RECEIVE_BYTES = 256 * 1024  # asyncio's own size of a read
# A pool is one more thing that can be used wrongly: what it saves has to be worth that.
WIN_TIME, WIN_BYTES = 0.8, 0.5
_SECONDS = 0.004  # a timed batch: long beside the clock, short beside the machine's moods

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Candidate:
    kind: str
    new: Call
    pooled: Call
    remark: str


@dataclass(frozen=True, slots=True)
class Ruling:
    candidate: Candidate
    blocks: tuple[float, float]  # a call, new and pooled
    bytes: tuple[float, float]
    time: Ratio  # pooled / new
    null: Ratio  # new / new

    @property
    def wins(self) -> bool:
        return self.time.value <= WIN_TIME and self.bytes[1] <= WIN_BYTES * self.bytes[0]


class Node:
    """What a parser makes for an element."""

    __slots__ = ("attributes", "children", "name", "parent")

    def __init__(self, name: str = "", parent: "Node | None" = None) -> None:
        self.name = name
        self.parent = parent
        self.attributes: dict[str, str] = {}
        self.children: list[Node] = []

    def reset(self) -> None:
        self.name = ""
        self.parent = None
        self.attributes.clear()
        self.children.clear()


def candidates(products: list[Product]) -> Iterator[Candidate]:
    """Yield every kind, doing with it what the service would."""
    documents = [product.as_json() for product in products]
    lines = [json.dumps(document, ensure_ascii=False).encode() for document in documents]
    chunk = b"\n".join(lines)
    small, text = {"error": "no product 'x-1'"}, lines[0].decode()

    buffers = BufferPool()

    def new_response() -> None:
        stream = io.BytesIO()
        stream.writelines(lines)
        with stream.getbuffer():
            pass

    def pooled_response() -> None:
        with buffers.lease(CHUNK_BYTES) as buffer:
            buffer.writelines(lines)
            with buffer.view():
                pass

    yield Candidate("response buffer", new_response, pooled_response, "io.BytesIO, 50 lines written")

    def new_scratch() -> None:
        scratch = bytearray(RECEIVE_BYTES)
        scratch[: len(chunk)] = chunk

    def pooled_scratch() -> None:
        with buffers.lease(RECEIVE_BYTES) as buffer, buffer.reserve(RECEIVE_BYTES) as scratch:
            scratch[: len(chunk)] = chunk

    yield Candidate("byte scratch", new_scratch, pooled_scratch, "bytearray(256 KiB), as for recv_into")

    encoders = Pool(lambda: json.JSONEncoder(ensure_ascii=False))

    def new_encoder() -> None:
        json.JSONEncoder(ensure_ascii=False).encode(small)

    def pooled_encoder() -> None:
        with encoders.lease() as encoder:
            encoder.encode(small)

    yield Candidate("encoder", new_encoder, pooled_encoder, "json.JSONEncoder, a small answer")

    decoders = Pool(json.JSONDecoder)

    def new_decoder() -> None:
        json.JSONDecoder().decode(text)

    def pooled_decoder() -> None:
        with decoders.lease() as decoder:
            decoder.decode(text)

    yield Candidate("decoder", new_decoder, pooled_decoder, "json.JSONDecoder, a product")

    # A compressor cannot be reset: what a pool can hold is a fresh one to copy, and a copy is as large.
    templates = Pool(lambda: zlib.compressobj(6))

    def new_compressor() -> None:
        compressor = zlib.compressobj(6)
        compressor.compress(chunk)
        compressor.flush()

    def pooled_compressor() -> None:
        with templates.lease() as template:
            compressor = template.copy()
        compressor.compress(chunk)
        compressor.flush()

    yield Candidate(
        "compressor", new_compressor, pooled_compressor, "zlib.compressobj, a copy of a pooled one, a chunk"
    )

    nodes = Pool(Node, reset="reset")

    def new_node() -> None:
        node = Node("row")
        node.attributes["class"] = "even"

    def pooled_node() -> None:
        with nodes.lease() as node:
            node.name = "row"
            node.attributes["class"] = "even"

    yield Candidate("parser nodes", new_node, pooled_node, "four slots, a dict and a list in them")


def rule(candidate: Candidate, rounds: int) -> Ruling:
    """Count and time both sides of a candidate, and one of them against itself."""
    new, pooled = (guard.allocs_per_run(side) for side in (candidate.new, candidate.pooled))
    sides = {"new": candidate.new, "pooled": candidate.pooled, "again": candidate.new}
    calls = max(1, round(_SECONDS / min(_timed(candidate.new, 3) / 3, _SECONDS)))
    times = interleave([candidate.kind], list(sides), rounds, lambda _, side, __: _timed(sides[side], calls))
    return Ruling(
        candidate,
        blocks=(float(new.blocks), float(pooled.blocks)),
        bytes=(float(new.bytes), float(pooled.bytes)),
        time=ratio(times, "pooled", "new"),
        null=ratio(times, "again", "new"),
    )


def _timed(call: Call, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return time.perf_counter() - start
