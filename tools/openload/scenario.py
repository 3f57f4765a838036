"""What to ask for: a weighted, seedable mix of requests."""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `path` includes the query string."""

    method: str
    path: str
    body: bytes = b""
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of request: `build` draws an instance of it from the random stream it is given."""

    name: str
    weight: float
    build: Callable[[random.Random], Request]


class Scenario:
    """A mix of steps, each drawn with a probability in proportion to its weight."""

    def __init__(self, *steps: Step) -> None:
        if not steps:
            raise ValueError("scenario must have at least one step, got none")
        for step in steps:
            if not (step.weight > 0 and math.isfinite(step.weight)):
                raise ValueError(f"weight of step {step.name!r} must be > 0, got {step.weight}")
        self.steps = steps

    @classmethod
    def single(cls, method: str, path: str, body: bytes = b"") -> "Scenario":
        """Return the mix of one fixed request."""
        request = Request(method, path, body)
        return cls(Step(f"{method} {path}", 1, lambda _: request))

    def requests(self, seed: int) -> Iterator[tuple[str, Request]]:
        """Yield (step name, request) for ever; the same seed yields the same requests."""
        rng = random.Random(seed)
        cumulative = list(accumulate(step.weight for step in self.steps))
        while True:
            [step] = rng.choices(self.steps, cum_weights=cumulative)
            yield step.name, step.build(rng)
