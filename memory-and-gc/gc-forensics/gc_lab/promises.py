"""Every promise about the pacer that the lab can judge: what must be reached, what was, and whether that is met."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from gc_lab import figures
from gc_lab.buffers import LONG_SECONDS, SHORT_SECONDS
from gc_lab.figures import Cells
from gc_lab.histogram import Interval
from gc_lab.pairs import TITLES, WANTED, Pair, relative_error

PACER = "pacer"
CALM = [("static", 30), ("static", 60), ("cycles", 30), ("cycles", 60)]


class Verdict(NamedTuple):
    """A row; `is_met` is None where nothing was measured."""

    what: str
    wanted: str
    stock: str
    pacer: str
    is_met: bool | None


def verdicts(cells: Cells, pairs: Sequence[Pair]) -> list[Verdict]:
    return [*(verdict for judge in _JUDGES for verdict in judge(cells)), *simulator(pairs)]


def _unmeasured(what: str, wanted: str) -> Verdict:
    return Verdict(what, wanted, "", "not measured", None)


def _each(cells: Cells, figure: figures.Figure, written: str, policy: str, where: list[tuple[str, int]]) -> str:
    return " ".join(written.format(figure(cells.get(name, policy, load))) for name, load in where)


def _is_measured(cells: Cells, where: list[tuple[str, int]], *policies: str) -> bool:
    return all(cells.get(name, policy, load) for name, load in where for policy in policies)


def full_collections(cells: Cells) -> Iterator[Verdict]:
    what, wanted = "full collections inside requests, static heap, 30, 60 and 90 %", "0"
    where = [("static", load) for load in (30, 60, 90)]
    if not _is_measured(cells, where, PACER, "stock"):
        yield _unmeasured(what, wanted)
        return
    count = sum(figures.full_in_requests(cells.get(name, PACER, load)) for name, load in where)
    stock, pacer = (
        ", ".join(
            f"{figures.full_in_requests(runs)} in {figures.requests(runs):,}"
            for runs in (cells.get(name, policy, load) for name, load in where)
        )
        for policy in ("stock", PACER)
    )
    yield Verdict(what, wanted, stock, pacer, count == 0)


def pauses(cells: Cells) -> Iterator[Verdict]:
    what, wanted = "longest collector pause in a request, ms: static 30, 60 %, cycles 30, 60 %", "<= 2"
    if not _is_measured(cells, CALM, PACER, "stock"):
        yield _unmeasured(what, wanted)
        return
    for figure, title in (
        (figures.longest_pause_in_request_ms, what),
        (
            figures.longest_cpu_in_request_ms,
            "the same of the collector's own CPU, without what the machine ran meanwhile",
        ),
    ):
        worst = max(figure(cells.get(name, PACER, load)) for name, load in CALM)
        stock, pacer = (_each(cells, figure, "{:.1f}", policy, CALM) for policy in ("stock", PACER))
        yield Verdict(title, wanted, stock, pacer, worst <= 2)


def tails(cells: Cells) -> Iterator[Verdict]:
    tail = figures.latency_at(0.999)
    for name, load in CALM:
        above = f"p99.9, {name} {load} %, over gc.disable()'s"
        below = f"p99.9, {name} {load} %, stock's over it"
        ratio = cells.ratio(tail, name, load, PACER, "disable")
        gain = cells.ratio(tail, name, load, "stock", PACER)
        if ratio is None or gain is None:
            yield _unmeasured(above, "<= 1.5")
            continue
        stock = cells.ratio(tail, name, load, "stock", "disable")
        yield Verdict(above, "<= 1.5", f"{stock.value:.2f}" if stock else "", _interval(ratio), ratio.value <= 1.5)
        full_ms = figures.median_full_pause_ms(cells.get(name, "stock", load))
        if full_ms > 20:
            yield Verdict(below, ">= 8", f"full collections of {full_ms:.0f} ms", _interval(gain), gain.value >= 8)


def under_pressure(cells: Cells) -> Iterator[Verdict]:
    tail = figures.latency_at(0.999)
    for name in ("static", "cycles"):
        what = f"p99.9, {name} 90 %, over stock's"
        ratio = cells.ratio(tail, name, 90, PACER, "stock")
        if ratio is None:
            yield _unmeasured(what, "<= 1")
        else:
            # No worse: the interval reaches 1, so that chance alone is not held against it.
            yield Verdict(what, "<= 1", "1", _interval(ratio), ratio.low <= 1)
    what = "answers a second when saturated, over stock's"
    ratio = cells.ratio(figures.answered_a_second, "saturated", "saturated", PACER, "stock")
    if ratio is None:
        yield _unmeasured(what, ">= 1")
    else:
        yield Verdict(what, ">= 1", "1", _interval(ratio), ratio.high >= 1)


def memory(cells: Cells) -> Iterator[Verdict]:
    for name in ("static", "cycles", "old", "bursty", "saturated", "library"):
        what = f"peak RSS, {name}, over stock's"
        ratios = [
            ratio
            for load in cells.loads(name)
            if (ratio := cells.ratio(figures.peak_mib, name, load, PACER, "stock")) is not None
        ]
        if not ratios:
            yield _unmeasured(what, "<= 1.1")
            continue
        worst = max(ratios, key=lambda ratio: ratio.value)
        yield Verdict(what, "<= 1.1", "1", _interval(worst), worst.value <= 1.1)


def gc_cpu(cells: Cells) -> Iterator[Verdict]:
    for name, load in CALM:
        what = f"collector's CPU a request, {name} {load} %, over stock's"
        ratio = cells.ratio(figures.gc_cpu_us_a_request, name, load, PACER, "stock")
        if ratio is None:
            yield _unmeasured(what, "<= 0.5")
            continue
        stock = f"{figures.gc_cpu_us_a_request(cells.get(name, 'stock', load)):.0f} µs"
        yield Verdict(what, "<= 0.5", stock, _interval(ratio), ratio.value <= 0.5)


def leaks(cells: Cells) -> Iterator[Verdict]:
    runs, stock = (cells.get("leak", policy, "until killed") for policy in (PACER, "stock"))
    if not runs or not stock:
        yield _unmeasured("live leak: collector's share", "<= 5 %")
        yield _unmeasured("live leak: requests until out of memory, over stock's", ">= 0.95")
        return
    share = figures.gc_share(runs)
    yield Verdict(
        "live leak: collector's share", "<= 5 %", f"{figures.gc_share(stock):.1%}", f"{share:.1%}", share <= 0.05
    )
    ratio = cells.ratio(figures.requests, "leak", "until killed", PACER, "stock")
    assert ratio is not None
    yield Verdict(
        "live leak: requests until out of memory, over stock's", ">= 0.95", "1", _interval(ratio), ratio.value >= 0.95
    )


def prefork(cells: Cells) -> Iterator[Verdict]:
    runs, stock = (cells.get("prefork", policy, "limited") for policy in (PACER, "stock"))
    if not runs or not stock:
        yield _unmeasured("prefork: workers killed, of 8 under one limit", "0")
        return
    killed, stock_killed = (sum(run["kills"] for run in group) for group in (runs, stock))
    yield Verdict("prefork: workers killed, of 8 under one limit", "0", str(stock_killed), str(killed), killed == 0)
    overlaps, stock_overlaps = (sum(run["overlaps"] for run in group) for group in (runs, stock))
    yield Verdict("prefork: full collections at once", "0", str(stock_overlaps), str(overlaps), overlaps == 0)
    unlimited = cells.get("prefork", "stock", "unlimited")
    peak, stock_peak = (max(run["peak_pss_bytes"] for run in group) / 2**20 for group in (runs, unlimited))
    yield Verdict("prefork: PSS of all, MiB", "<= stock", f"{stock_peak:.0f}", f"{peak:.0f}", peak <= stock_peak)


def library(cells: Cells) -> Iterator[Verdict]:
    what = "a library's gc.collect() in a request, guarded: longest pause, ms"
    stock, guarded = (cells.get("library", policy, 30) for policy in ("stock", "pacer+guard"))
    if not stock or not guarded:
        yield _unmeasured(what, "<= 1")
        return
    pause = figures.longest_pause_in_request_ms
    yield Verdict(what, "<= 1", f"{pause(stock):.1f}", f"{pause(guarded):.2f}", pause(guarded) <= 1)


def buffers(cells: Cells) -> Iterator[Verdict]:
    for load, name, when in (
        ("no limit", "after_long_bytes", LONG_SECONDS),
        ("128MiB", "after_short_bytes", SHORT_SECONDS),
    ):
        what = f"mid-size buffers on threads, {load}: RSS over what lives, {when:g} s after the burst"
        stock, runs = cells.get("buffers", "stock", "no limit"), cells.get("buffers", PACER, load)
        if not stock or not runs:
            yield _unmeasured(what, "<= 1.3")
            continue
        worst, stock_worst = (max(run[name] / run["live_bytes"] for run in group) for group in (runs, stock))
        yield Verdict(what, "<= 1.3", f"{stock_worst:.2f}", f"{worst:.2f}", worst <= 1.3)


def simulator(pairs: Sequence[Pair]) -> Iterator[Verdict]:
    for figure, most in WANTED.items():
        what, wanted = f"simulator over every ordered pair: {TITLES[figure]}, off by", f"<= {most:.0%}"
        errors = [error for pair in pairs if pair["figure"] == figure and (error := relative_error(pair)) is not None]
        if not errors:
            yield _unmeasured(what, wanted)
            continue
        within = sum(error <= most for error in errors)
        text = f"{max(errors):.0%} at most; {within} of {len(errors)} pairs within"
        yield Verdict(what, wanted, "", text, within == len(errors))


def _interval(found: Interval) -> str:
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


_JUDGES: tuple[Callable[[Cells], Iterator[Verdict]], ...] = (
    *(full_collections, pauses, tails, under_pressure, memory, gc_cpu, leaks, prefork, library, buffers),
)
