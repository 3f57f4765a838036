"""The promises in `budgets.toml`, and the verdict on a reading of one."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Verdict = Literal["pass", "miss", "noisy", "not measured"]


@dataclass(frozen=True, slots=True)
class Budget:
    name: str
    what: str
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    noise: float | None = None  # the most that the null pair may spread, a fraction

    @property
    def limit(self) -> str:
        """Return the limit as a person reads it."""
        return f"<= {self.at_most:g} {self.unit}" if self.at_most is not None else f">= {self.at_least:g} {self.unit}"

    def __post_init__(self) -> None:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError(f"budget {self.name} must have either at_most or at_least")


@dataclass(frozen=True, slots=True)
class Reading:
    """One measured figure.

    `measured` is None where it could not be measured; `note` then says why. `null` is what the plain program against
    itself gave in the same run, `spread` and `null_spread` half the distance between the quartiles of the rounds.
    """

    budget: str
    subject: str = ""
    measured: float | None = None
    null: float | None = None
    spread: float | None = None
    null_spread: float | None = None
    note: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


def load() -> dict[str, Budget]:
    tables = tomllib.loads(Path(__file__).with_name("budgets.toml").read_text())
    return {name: Budget(name, **table) for name, table in tables.items()}


def judge(budget: Budget, reading: Reading) -> Verdict:
    """Say whether a reading keeps its budget; a figure from a noisy run is neither kept nor missed."""
    if reading.measured is None:
        return "not measured"
    if budget.noise is not None:
        null_error = abs((reading.null or 1.0) - 1.0)
        if max(null_error, reading.null_spread or 0.0) > budget.noise:
            return "noisy"
    if budget.at_most is not None:
        return "pass" if reading.measured <= budget.at_most else "miss"
    return "pass" if budget.at_least is None or reading.measured >= budget.at_least else "miss"
