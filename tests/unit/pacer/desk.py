"""A controller's side of the conversation with a policy."""

from typing import Any

from lowtide.pacer.policy import Policy
from lowtide.pacer.reading import Act, Decision, Memory, Moment, Reading, Triple
from lowtide.pacer.record import UNREAD
from tests.unit.pacer.traces import full

MIB = 2**20
STOCK: Triple = (2000, 10, 10)
QUIET = Act.NOTHING
FROZEN = 900_000


class Desk:
    """A policy, and a controller's side of the conversation with it."""

    def __init__(self, percent: int | None = None, stock: Triple = STOCK) -> None:
        self.policy = Policy(stock, percent)
        self.reading = Reading(
            now_seconds=100.0,
            moment=Moment.SAFE,
            idle_seconds=0.0,
            counts=(0, 0, 0),
            thresholds=stock,
            is_enabled=True,
            frozen=0,
            blocks=1_000_000,
            requests_ended=0,
        )
        self.ask(moment=Moment.IN_REQUEST)

    def ask(self, after: float = 0.001, memory: Memory | None = None, **fields: Any) -> Decision:
        """Ask some time later; what a reading said stays so, memory aside."""
        now = self.reading.now_seconds + after
        self.reading = self.reading._replace(now_seconds=now, memory=memory, **fields)
        decision = self.policy.decide(self.reading)
        self.reading = self.reading._replace(thresholds=decision.thresholds)
        return decision

    def act(self, after: float = 0.001, **fields: Any) -> Act:
        return self.ask(after, **fields).act

    def collected(self, decision: Decision, *, freed: int = 0, scanned: int = 500_000, pause_ms: float = 50.0) -> None:
        """Report the full collection that was asked for."""
        left = self.reading.blocks - freed
        found = {
            "scanned": scanned,
            "freed": freed,
            "long_lived": scanned - freed,
            "blocks_after": left,
            "rss_bytes": UNREAD,
        }
        self.policy.collected(full(cause=decision.cause, pause_ns=round(pause_ms * 1e6), **found))
        self.reading = self.reading._replace(blocks=left)
        if decision.act is Act.FREEZE:
            self.reading = self.reading._replace(frozen=FROZEN)
        if decision.act is Act.AUDIT:
            self.reading = self.reading._replace(frozen=0)

    def warm(self) -> "Desk":
        """Get the first freeze over with, and its time out of the bucket."""
        decision = self.ask(moment=Moment.SAFE, requests_ended=100)
        assert decision.act is Act.FREEZE
        self.collected(decision)
        self.ask(10.0)
        return self

    def grown(self, percent: float) -> int:
        return round(1_000_000 * (1 + percent / 100)) + 1

    def over(self, used_mib: int, *, limit_mib: int = 1000, retained_mib: int = 0, **fields: Any) -> Decision:
        """Ask a second and a bit later, with so much memory in use."""
        used = used_mib * MIB
        memory = Memory(used, used, limit_mib * MIB, retained_mib * MIB, **fields)
        return self.ask(1.1, memory=memory)
