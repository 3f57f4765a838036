"""Rank what a program allocates by what pooling it would save, and say why not for the rest."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lowtide.pool.constructors import Constructor, Verdict, block_advice
from lowtide.pool.measure import Costs, size_class
from lowtide.units import format_duration

LARGE_BYTES = 4096
MIN_MAKES = 100
MAX_ERROR = 0.5  # standard error of what was allocated, relative
MAX_HELD = 0.25  # of the bytes: above that it is not churn
GROWTH_SIZES = 4  # so many large sizes of one place, each a few percent above the next smaller: something grows
MAX_GROWTH = 2.1
POINTER_BYTES = 8


def _dict_tables_bytes() -> Iterator[int]:
    """Yield the sizes that tables of dicts have: a header, an index, and entries for two thirds of it.

    *Source:* CPython's dictobject.c, new_keys_object.
    """
    for log2_size in range(3, 33):
        index_bytes = 1 if log2_size < 8 else 2 if log2_size < 16 else 4 if log2_size < 32 else 8
        for entry_bytes in (16, 24):  # all keys are texts, or not
            yield 32 + (index_bytes << log2_size) + (2 << log2_size) // 3 * entry_bytes


DICT_TABLES_BYTES = frozenset(_dict_tables_bytes())

CONTAINER, GROWING_CONTAINER = "list, dict or set", "growing list, dict or set"
LIBRARY = "memory of a C library"
GROWING_ADVICE = "write into a pooled lowtide.Buffer, which keeps its size"
BUFFER_ADVICE = "bytearray or BytesIO: a pooled lowtide.Buffer; bytes or str made of pieces: write the pieces into one"

Place = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks of one size that one place allocated.

    Args:
        place: name, file and line of what allocated, or of what called a known constructor.
        source: that line of code, empty where not known.
        known: the constructor that they belong to.
        is_import: whether they were allocated while a module was imported.
        size_bytes: of one block, >= 1.
        domain: obj, mem or raw; empty where not known.
        allocs: how many since the start, >= 1; `variance` is that of this estimate, None where not known.
        held: how many of them live.
    """

    place: Place
    source: str
    known: Constructor | None
    is_import: bool
    size_bytes: int
    domain: str
    allocs: int
    held: int
    variance: float | None


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about a place.

    Args:
        verdict: pool, share (make one, for all), or leave.
        what: the constructor, or what the blocks are.
        text: what to write instead, or why not.
        makes: how often one is made, estimated; `stderr` is its standard error, None where not known.
        allocated_bytes: by the place, since the profile's start.
        each_bytes: of one, the mean.
        make_ns: to make and free one; None where that was not measured.
        reuse_ns: to get and put one; 0 for what is shared.
        saved_ns: by not making any of them; 0 for what is left.
    """

    name: str
    file: str
    line: int
    verdict: Verdict
    what: str
    text: str
    makes: int
    stderr: float | None
    allocated_bytes: int
    each_bytes: float
    make_ns: float | None
    reuse_ns: float
    saved_ns: float


def classes_to_measure(blocks: Iterable[Blocks]) -> set[int]:
    """Return the size classes of blocks whose cost `advise` will ask for."""
    return {size_class(block.size_bytes) for block in blocks if block.size_bytes >= LARGE_BYTES}


def advise(blocks: Iterable[Blocks], costs: Costs) -> list[Advice]:
    """Judge each place; the largest saving first, then what is left, by bytes."""
    places: defaultdict[tuple[Place, str], list[Blocks]] = defaultdict(list)
    for block in blocks:
        places[block.place, block.known.name if block.known else ""].append(block)
    judged = [_judge(group, costs) for group in places.values()]
    return sorted(judged, key=lambda a: (-a.saved_ns, -a.allocated_bytes, a.name, a.file, a.line, a.what))


@dataclass(frozen=True, slots=True)
class _Case:
    """What a place is judged by: all blocks of a constructor, else those that make up most of its bytes."""

    blocks: Sequence[Blocks]
    is_large: bool
    makes: float
    each_bytes: float
    make_ns: float | None
    reuse_ns: float


def _judge(blocks: Sequence[Blocks], costs: Costs) -> Advice:
    case = _case(blocks, costs)
    verdict, what, text = _verdict(case, costs)
    saved_ns = 0.0 if verdict == "leave" or case.make_ns is None else case.makes * (case.make_ns - case.reuse_ns)
    error = _relative_error(case.blocks)
    return Advice(
        *blocks[0].place,
        verdict=verdict,
        what=what,
        text=text,
        makes=round(case.makes),
        stderr=None if error is None else error * case.makes,
        allocated_bytes=_allocated(blocks),
        each_bytes=case.each_bytes,
        make_ns=case.make_ns,
        reuse_ns=case.reuse_ns,
        saved_ns=saved_ns,
    )


def _case(blocks: Sequence[Blocks], costs: Costs) -> _Case:
    known = blocks[0].known
    large = [block for block in blocks if block.size_bytes >= LARGE_BYTES]
    is_large = 2 * _allocated(large) >= _allocated(blocks)
    judged = blocks if known or not is_large else large
    makes = sum(block.allocs for block in judged)
    each_bytes = _allocated(judged) / makes
    if known:
        cost = costs.constructors[known.name]
        reuse_ns = costs.pool_ns if known.verdict == "pool" else 0.0
        # Its blocks are of many sizes; what one takes in all was counted here.
        each_bytes = cost.bytes or each_bytes
        return _Case(judged, is_large, _allocated(judged) / each_bytes, each_bytes, cost.ns, reuse_ns)
    make_ns = None
    if is_large:
        make_ns = sum(block.allocs * costs.block_ns[size_class(block.size_bytes)] for block in judged) / makes
    return _Case(judged, is_large, makes, each_bytes, make_ns, costs.buffer_pool_ns if is_large else 0.0)


def _verdict(case: _Case, costs: Costs) -> tuple[Verdict, str, str]:
    first, grows = case.blocks[0], _grows(case.blocks)
    known, source = first.known, first.source
    what = known.name if known else _what(case, grows)
    reason = _why_not(case, costs)
    if reason:
        return "leave", what, reason
    if known:
        return known.verdict, what, known.advice
    if what == GROWING_CONTAINER:
        return "leave", what, "it grows: clear() gives its memory back, so make it at its size, or iterate"
    if what == CONTAINER:
        return "leave", what, "clear() gives its memory back, so that pooling saves nothing"
    if what == LIBRARY:
        return "pool", what, "pool the object that owns it, if it can be reset"
    return "pool", what, block_advice(source) or (GROWING_ADVICE if grows else BUFFER_ADVICE)


def _why_not(case: _Case, costs: Costs) -> str:
    """Tell what speaks against any pool, empty where nothing does."""
    known, allocated = case.blocks[0].known, _allocated(case.blocks)
    held = sum(block.held * block.size_bytes for block in case.blocks)
    error = _relative_error(case.blocks)
    if case.blocks[0].is_import:
        return "imports run once"
    if held > MAX_HELD * allocated:
        return f"it is kept ({100 * held / allocated:.0f}% lives), not churned: a pool saves nothing"
    if known is None and not case.is_large:
        return _why_not_small(costs)
    if case.makes < MIN_MAKES or (error is not None and error > MAX_ERROR):
        return "seen too seldom to tell: profile for longer, or with a smaller sampling interval"
    if case.make_ns is not None and case.make_ns <= case.reuse_ns:
        return "making one costs no more than a get and a put"
    return ""


def _what(case: _Case, grows: bool) -> str:
    if not case.is_large:
        return "small blocks"
    domain = _main_domain(case.blocks)
    # A bytearray's block has a byte more than the bytes; before 3.13 it is in obj, with str and bytes.
    is_of_pointers = domain == "mem" and all(block.size_bytes % POINTER_BYTES == 0 for block in case.blocks)
    is_of_pointers |= all(block.size_bytes in DICT_TABLES_BYTES for block in case.blocks)  # before 3.13 they are in obj
    if is_of_pointers and block_advice(case.blocks[0].source) is None:
        return GROWING_CONTAINER if grows else CONTAINER
    if domain == "raw":
        return LIBRARY
    return "growing buffer" if grows else "buffer"


def _why_not_small(costs: Costs) -> str:
    made, reused = (format_duration(ns["{}"] * 1e-9) for ns in (costs.small_made_ns, costs.small_reused_ns))
    return f"small: CPython has free lists; {{}} takes {made} to make and fill, {reused} out of a pool that clears it"


def _main_domain(blocks: Sequence[Blocks]) -> str:
    size_bytes: defaultdict[str, int] = defaultdict(int)
    for block in blocks:
        size_bytes[block.domain] += block.allocs * block.size_bytes
    return max(sorted(size_bytes), key=size_bytes.__getitem__)


def _grows(blocks: Sequence[Blocks]) -> bool:
    """Tell whether the sizes look like those of one thing that grows: many, each within reach of the one before."""
    sizes = sorted({block.size_bytes for block in blocks if block.size_bytes >= LARGE_BYTES})
    steps = [larger / smaller for smaller, larger in itertools.pairwise(sizes)]
    return len(sizes) >= GROWTH_SIZES and all(1.05 < step < MAX_GROWTH for step in steps)


def _allocated(blocks: Iterable[Blocks]) -> int:
    return sum(block.allocs * block.size_bytes for block in blocks)


def _relative_error(blocks: Sequence[Blocks]) -> float | None:
    """Return the standard error of the bytes allocated, as a fraction of them."""
    variances = [block.variance * block.size_bytes**2 for block in blocks if block.variance is not None]
    return math.sqrt(math.fsum(variances)) / _allocated(blocks) if len(variances) == len(blocks) else None
