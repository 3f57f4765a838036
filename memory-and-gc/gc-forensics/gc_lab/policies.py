"""What is done about the collector: CPython's own rules, the usual advice, and the pacer."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lowtide import pacer

REQUESTS_BETWEEN_COLLECTIONS = 100


def nothing(*_: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy.

    Args:
        title: as a user writes it.
        begin: what a service does once it is ready to serve.
        after: after(number) is called when a request has been answered.
    """

    title: str
    begin: Callable[[], object]
    after: Callable[[int], object] = nothing


def collect_and_freeze() -> None:
    gc.collect()
    gc.freeze()


def freeze_and_threshold() -> None:
    collect_and_freeze()
    gc.set_threshold(50_000)


def collect_now_and_then(number: int) -> None:
    if number % REQUESTS_BETWEEN_COLLECTIONS == 0:
        gc.collect()


POLICIES = {
    "stock": Policy("as CPython does", nothing),
    "threshold": Policy("set_threshold(50_000)", partial(gc.set_threshold, 50_000)),
    "freeze": Policy("collect(), freeze()", collect_and_freeze),
    "freeze+threshold": Policy("collect(), freeze(), set_threshold(50_000)", freeze_and_threshold),
    "disable": Policy("gc.disable()", gc.disable),
    "periodic": Policy(
        f"gc.disable(), collect() after every {REQUESTS_BETWEEN_COLLECTIONS}th request",
        gc.disable,
        after=collect_now_and_then,
    ),
    "pacer": Policy('pacer.start(mode="act")', partial(pacer.start, mode="act")),
    "pacer+guard": Policy(
        'pacer.start(mode="act", guard_requests=True)', partial(pacer.start, mode="act", guard_requests=True)
    ),
}

EVERYWHERE = tuple(name for name in POLICIES if name != "pacer+guard")  # the guard is for one workload
