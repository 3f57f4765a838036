"""A recorded trace under another policy: what collecting would have cost, and how far that can be believed."""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from lowtide.errors import SettingsError
from lowtide.pacer.flows import FULL, Costs, Flows, Settled, flows, settled
from lowtide.pacer.reading import Triple
from lowtide.pacer.record import OWN_CAUSES, UNREAD, Collection, Trace
from lowtide.pacer.replay import Pause, Replay
from lowtide.pacer.replay_policy import Setting, default_thresholds
from lowtide.units import format_count

FEW = 8  # collections of a generation: with fewer, their quantiles and their number are hearsay


class Quantiles(NamedTuple):
    """Pauses of one generation, seconds."""

    p50: float
    p99: float
    max: float


class Prediction(NamedTuple):
    """What a policy costs, from where the settings of the trace came into force to its end.

    What brings a policy about, as a collection before gc.freeze(), is not in it; what the pacer does itself is.

    Args:
        policy: its name.
        gc_seconds: in collections, all threads.
        request_seconds: of these, while a request waited; None where the trace marks no requests.
        wait_seconds: what somebody who comes at any moment waits on average for collections that nobody placed between
            requests: long pauses count most.
        collections: how many, by generation.
        pauses: their quantiles by generation; None where there were none.
        peak_blocks: live blocks of pymalloc at most; None where the trace does not tell.
        errors: relative error of each figure in the trace's cross-check, by name as in `figures`; None: not known. It
            is made under the recorded policy, so under another one it is a lower bound.
        remarks: what the figures leave out, one clause each.
    """

    policy: str
    gc_seconds: float
    request_seconds: float | None
    wait_seconds: float
    collections: Triple
    pauses: tuple[Quantiles | None, Quantiles | None, Quantiles | None]
    peak_blocks: int | None
    errors: dict[str, float | None]
    remarks: tuple[str, ...] = ()

    def figures(self) -> dict[str, float | None]:
        """Return the figures by name, as `errors` has them."""
        return {
            "gc_seconds": self.gc_seconds,
            "request_seconds": self.request_seconds,
            "wait_seconds": self.wait_seconds,
            **{f"gen{g}_collections": n for g, n in enumerate(self.collections)},
            **{f"gen{g}_p50": each and each.p50 for g, each in enumerate(self.pauses)},
            **{f"gen{g}_p99": each and each.p99 for g, each in enumerate(self.pauses)},
            **{f"gen{g}_max": each and each.max for g, each in enumerate(self.pauses)},
            "peak_blocks": self.peak_blocks,
        }

    def as_json(self) -> dict[str, Any]:
        """Return the prediction as plain data."""
        return {"policy": self.policy, **self.figures(), "errors": self.errors, "remarks": self.remarks}


def simulate(trace: Trace, policies: Sequence[Setting]) -> list[Prediction]:
    """Predict what each policy would have cost.

    Returns: one prediction a policy, in order.
    Raises: SettingsError where the trace says too little of anything.
    *Cost:* about 50 µs a collection, recorded or predicted.
    """
    part = check(trace)
    fit = _fit(trace, part)
    errors = cross_check(trace, part)
    found = []
    for policy in policies:
        replay = Replay(trace, part, fit.flow, fit.costs, policy).run()
        unknown = _unknown(fit.flow, policy)
        found.append(
            fit.prediction(policy.name, replay, _length(trace.collections[part.first :]))._replace(
                errors={name: None if name in unknown else error for name, error in errors.items()},
                remarks=tuple(_remarks(fit.flow, fit.costs, policy, replay)),
            )
        )
    return found


def measured(trace: Trace) -> Prediction:
    """Return the same figures as they were recorded."""
    return _measured(trace.collections[check(trace).first :])


def cross_check(trace: Trace, part: Settled) -> dict[str, float | None]:
    """Fit the first half of a trace, predict the second under its own settings, and compare with what was recorded.

    Returns: the relative error of each figure; None where there is too little to compare.
    """
    middle = (part.first + len(trace.collections)) // 2
    second = trace.collections[middle:]
    truth = _measured(second)
    if middle - part.first < FEW:
        return dict.fromkeys(truth.figures())
    half = trace._replace(collections=trace.collections[:middle])
    fit = _fit(half, part)
    own = _own(trace, part)._replace(freeze=False)
    replay = Replay(trace, part._replace(first=middle), fit.flow, fit.costs, own, is_start=False).run()
    predicted = fit.prediction("", replay, _length(second)).figures()
    return {name: _error(predicted[name], value) for name, value in truth.figures().items()}


def _error(predicted: float | None, truth: float | None) -> float | None:
    return abs(predicted / truth - 1) if predicted is not None and truth else None


def check(trace: Trace) -> Settled:
    """Find the part of a trace that its figures are about.

    Raises: SettingsError where there is no collection in it, or the collector was another one.
    """
    if trace.header.incremental:
        raise SettingsError(
            f"python {trace.header.python} has the incremental collector of 3.14.0 to 3.14.4, which no rule here"
            " describes; record the trace on 3.14.5 or later"
        )
    part = settled(trace)
    if not any(c.counts[0] for c in trace.collections[part.first :]):
        raise SettingsError("expected a trace with collections, got one with none; record for longer")
    return part


class _Fit(NamedTuple):
    """What a trace tells, and the replay of its own settings from it."""

    flow: Flows
    costs: Costs
    own: Replay
    peak_blocks: int | None
    request_share: float | None

    def prediction(self, policy: str, replay: Replay, seconds: float) -> Prediction:
        grown = (replay.peak_objects - self.own.peak_objects) * self.flow.blocks_of_object
        peak_blocks = None if self.peak_blocks is None else max(0, round(self.peak_blocks + grown))
        return _prediction(policy, replay.pauses, seconds, self.request_share, peak_blocks)


def _fit(trace: Trace, part: Settled) -> _Fit:
    collections = trace.collections[part.first :]
    flow = flows(trace, part)
    costs = _costs(trace, part, flow)
    own = Replay(trace, part, flow, costs, _own(trace, part)).run()
    costs.calibrate(_means(own.pauses), _means(_pauses(collections)))
    return _Fit(flow, costs, own, _peak_blocks(collections), _request_share(collections))


def _costs(trace: Trace, part: Settled, flow: Flows) -> Costs:
    """Learn costs from the settled part, and from the program's start at sizes that the rest does not have.

    Of the start's large collections it is the last one that counts: the others found a heap just made, in the cache.
    """

    def sized(collections: Iterable[Collection]) -> list[tuple[Collection, float]]:
        young = flow.garbage + flow.kept
        return [
            (c, max(float(c.scanned), c.counts[0] * young if c.generation == 0 else 1.0))
            for c in collections
            if c.pause_ns and c.cause != "shutdown"
        ]

    start, later = sized(trace.collections[: part.first]), sized(trace.collections[part.first :])
    if later and later[0][0].generation == 0:
        first, size = later[0]
        later[0] = first, size + flow.leftover
    small = min((size for _, size in later), default=math.inf) / 2
    large = max((size for _, size in later), default=math.inf) * 2
    full = next((c for c, _ in reversed(start) if c.generation == FULL), None)
    return Costs([(c, size) for c, size in start if size < small or (c is full and size > large)] + later)


def _own(trace: Trace, part: Settled) -> Setting:
    """Return the settings under which a trace was recorded."""
    if any(c.cause in OWN_CAUSES for c in trace.collections[part.first :]):
        return Setting("as recorded", default_thresholds(trace.header.python), act=True)
    return Setting("as recorded", trace.collections[-1].thresholds, part.is_frozen)


# The figures


def _measured(collections: Sequence[Collection]) -> Prediction:
    share, peak_blocks = _request_share(collections), _peak_blocks(collections)
    found = _prediction("as recorded", _pauses(collections), _length(collections), share, peak_blocks)
    if share is None:
        return found
    return found._replace(request_seconds=sum(c.pause_ns for c in collections if c.in_request) / 1e9)


def _pauses(collections: Iterable[Collection]) -> list[Pause]:
    return [
        Pause(c.generation, c.pause_ns, c.pause_ns, is_outside=c.cause in OWN_CAUSES)
        for c in collections
        if c.cause != "shutdown"
    ]


def _length(collections: Sequence[Collection]) -> float:
    """Return how long a part of a trace is, seconds."""
    return (collections[-1].start_ns + collections[-1].pause_ns - collections[0].start_ns) / 1e9


def _seconds(pauses: Sequence[Pause]) -> list[float]:
    return [sum(pause.mean_ns for pause in pauses if pause.generation == g) / 1e9 for g in range(3)]


def _means(pauses: Sequence[Pause]) -> list[float]:
    by_generation = [[pause.mean_ns for pause in pauses if pause.generation == g] for g in range(3)]
    return [fmean(each) if each else 0.0 for each in by_generation]


def _prediction(
    policy: str, pauses: Sequence[Pause], seconds: float, served: float | None, peak_blocks: int | None
) -> Prediction:
    by_generation = [sorted(pause.ns for pause in pauses if pause.generation == g) for g in range(3)]
    young, middle, full = (_quantiles(each) for each in by_generation)
    numbers = tuple(map(len, by_generation))
    return Prediction(
        policy=policy,
        gc_seconds=sum(_seconds(pauses)),
        request_seconds=None
        if served is None
        else served * sum(pause.mean_ns for pause in pauses if not pause.is_outside) / 1e9,
        wait_seconds=sum(pause.ns**2 for pause in pauses if not pause.is_outside) / 2e18 / seconds if seconds else 0.0,
        collections=(numbers[0], numbers[1], numbers[2]),
        pauses=(young, middle, full),
        peak_blocks=peak_blocks,
        errors={},
    )


def _quantiles(ascending: Sequence[float]) -> Quantiles | None:
    if not ascending:
        return None
    last = len(ascending) - 1
    return Quantiles(*(ascending[round(q * last)] / 1e9 for q in (0.5, 0.99, 1.0)))


def _peak_blocks(collections: Iterable[Collection]) -> int | None:
    return max((c.blocks_before for c in collections if c.blocks_before != UNREAD), default=None)


def _request_share(collections: Sequence[Collection]) -> float | None:
    """Return how many of the automatic collections fell into requests, 0 to 1; None where no request is marked."""
    if not any(c.in_request or c.requests for c in collections):
        return None
    automatic = [c for c in collections if c.cause in ("young", "full")]
    return sum(c.in_request for c in automatic) / max(1, len(automatic))


# What cannot be known


def _unknown(flow: Flows, setting: Setting) -> set[str]:
    """Return the figures of which the cross-check says nothing, because the trace does not."""
    lower = _is_lower(flow, setting)
    full = {"gc_seconds", "request_seconds", "wait_seconds", "gen2_collections", "gen2_p50", "gen2_p99", "gen2_max"}
    unknown = set() if flow.has_fulls else full
    if lower or (flow.is_placed and not setting.act):
        unknown |= full | {f"gen{g}_{what}" for g in (0, 1) for what in ("collections", "p50", "p99", "max")}
    return unknown


def _is_lower(flow: Flows, setting: Setting) -> bool:
    return 0 < setting.thresholds[0] < flow.interval / 4


def _remarks(flow: Flows, costs: Costs, setting: Setting, replay: Replay) -> Iterable[str]:
    if _is_lower(flow, setting):
        yield (
            f"recorded with a collection every {format_count(flow.interval)} objects: what lives shorter than that is"
            " not in the trace, and makes more collections under a lower threshold than predicted; record under stock"
        )
    if flow.is_placed and not setting.act:
        yield (
            "recorded with collections between requests: what requests use meanwhile is not in the trace, and makes"
            " more collections elsewhere than predicted; record under stock"
        )
    if not flow.has_fulls:
        yield "no automatic full collection was recorded: how many there would be, and what they would free, is a guess"
    if replay.largest > 2 * costs.largest:
        yield (
            f"looks at up to {format_count(replay.largest)} objects at once; the largest collection that was recorded"
            f" looked at {format_count(costs.largest)}"
        )
    if not setting.thresholds[0]:
        yield "nothing frees cyclic garbage: memory grows for as long as the program runs"
    if setting.act:
        yield "assumes a moment without a request whenever the pacer wants one; a saturated process has none"
