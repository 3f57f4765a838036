"""The lab: what the collector does to a service, under CPython's rules, under the usual advice, and under the pacer."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LAB = Path(__file__).parents[1]
ROOT = LAB.parents[1]

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run.

    Args:
        workloads: keys of WORKLOADS.
        policies: keys of POLICIES.
        loads: of those that a workload is measured at, these; all when empty.
        repeats: runs of each, interleaved.
        seconds: measured in each run, after a warm-up.
        scale: of each workload's objects, 1 as described.
    """

    workloads: tuple[str, ...]
    policies: tuple[str, ...]
    loads: tuple[str, ...] = ()
    repeats: int = 10
    seconds: float = 1.5
    scale: float = 1.0

    def in_turn(self, repeat: int, among: tuple[str, ...]) -> tuple[str, ...]:
        """Return the policies that are `among` these, in an order that rotates with the repeats."""
        chosen = [policy for policy in self.policies if policy in among]
        first = repeat % max(len(chosen), 1)
        return (*chosen[first:], *chosen[:first])
