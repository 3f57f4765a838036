"""The open loop: request `i` leaves at `t0 + i/rate`, whatever became of those before it."""

import asyncio
import math
import os
import selectors
from collections.abc import Callable

from .http1 import Connection, OpenloadError, Target, encode
from .report import Latency, Report
from .scenario import Scenario

MAX_IN_FLIGHT = 900  # select() takes file descriptors below 1024
LATE_SECONDS = 0.002
_PROGRESS_SECONDS = 0.25


def run(
    target: str,
    scenario: Scenario,
    *,
    rate: float,
    duration_seconds: float,
    warmup_seconds: float = 0.0,
    max_in_flight: int = 256,
    timeout_seconds: float = 10.0,
    seed: int = 0,
    on_progress: Callable[[float], object] | None = None,
) -> Report:
    """Load a server at a constant rate and report how it answered.

    Args:
        target: `http://HOST:PORT` on a loopback address.
        scenario: the mix of requests.
        rate: requests due a second, > 0.
        duration_seconds: how long to measure, > 0.
        warmup_seconds: how long to load before that without measuring, >= 0.
        max_in_flight: most requests unanswered at once, 1 to 900; one that is due beyond it is skipped and counted.
        timeout_seconds: when to give a request up, counted from when it was due, > 0.
        seed: of the random stream that the scenario draws from.
        on_progress: called about four times a second with the seconds since the start, warm-up included.

    Returns: the report; the run takes at most warm-up + duration + timeout.

    Raises: OpenloadError when a setting is out of range or no server answers at the target.
    """
    for name, value in (("rate", rate), ("duration_seconds", duration_seconds), ("timeout_seconds", timeout_seconds)):
        if not (value > 0 and math.isfinite(value)):
            raise OpenloadError(f"{name} must be > 0, got {value}")
    if not (warmup_seconds >= 0 and math.isfinite(warmup_seconds)):
        raise OpenloadError(f"warmup_seconds must be >= 0, got {warmup_seconds}")
    if not 1 <= max_in_flight <= MAX_IN_FLIGHT:
        raise OpenloadError(f"max_in_flight must be 1 to {MAX_IN_FLIGHT}, got {max_in_flight}")
    address = Target.parse(target)
    report = Report(f"http://{address.authority}", rate, duration_seconds, warmup_seconds, seed, max_in_flight)
    generator = _Generator(address, scenario, report, timeout_seconds, on_progress)
    with asyncio.Runner(loop_factory=_precise_loop) as runner:
        runner.run(generator.generate())
    return report


def _precise_loop() -> asyncio.AbstractEventLoop:
    # epoll rounds timers up to whole milliseconds, which would be added to every latency; select does not.
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


class _Generator:
    def __init__(
        self,
        target: Target,
        scenario: Scenario,
        report: Report,
        timeout_seconds: float,
        on_progress: Callable[[float], object] | None,
    ) -> None:
        self._target = target
        self._scenario = scenario
        self._report = report
        self._timeout_seconds = timeout_seconds
        self._on_progress = on_progress
        self._idle: list[Connection] = []
        self._in_flight = 0

    async def generate(self) -> None:
        try:
            self._idle.append(await asyncio.wait_for(Connection.open(self._target), self._timeout_seconds))
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else "no answer"
            raise OpenloadError(f"no server answers at {self._report.target} ({reason}): start it first") from None
        try:
            async with asyncio.TaskGroup() as tasks:
                first_due = await self._dispatch(tasks)
            elapsed = asyncio.get_running_loop().time() - first_due
            self._report.elapsed_seconds = max(elapsed, self._report.duration_seconds)
        finally:
            for connection in self._idle:
                connection.close()

    async def _dispatch(self, tasks: asyncio.TaskGroup) -> float:
        """Send everything on schedule; return when the first measured request was due."""
        report, clock = self._report, asyncio.get_running_loop().time
        requests = self._scenario.requests(report.seed)
        warmup = round(report.rate * report.warmup_seconds)
        total = warmup + max(round(report.rate * report.duration_seconds), 1)
        next_progress = start = clock()
        for i in range(total):
            # Built before it is due, so that making a large body does not make the request late.
            step, request = next(requests)
            wire = encode(request, self._target)
            due = start + i / report.rate
            await asyncio.sleep(due - clock())
            if self._in_flight < report.max_in_flight:
                self._in_flight += 1
                has_body = request.method != "HEAD"
                tasks.create_task(self._send(step if i >= warmup else None, wire, due, has_body=has_body))
            elif i >= warmup:
                report.skipped += 1
            if self._on_progress is not None and clock() >= next_progress:
                next_progress += _PROGRESS_SECONDS
                self._on_progress(clock() - start)
        return start + warmup / report.rate

    async def _send(self, step: str | None, wire: bytes, due: float, *, has_body: bool) -> None:
        """Carry one request through; record it unless `step` is None (warm-up)."""
        clock = asyncio.get_running_loop().time
        late_seconds = clock() - due
        try:
            async with asyncio.timeout_at(due + self._timeout_seconds):
                outcome = str(await self._exchange(wire, has_body=has_body))
        except TimeoutError:
            outcome = "timeout"
        except ConnectionRefusedError:
            outcome = "refused"
        except (OSError, EOFError):
            outcome = "disconnected"
        except ValueError:
            outcome = "malformed"
        finally:
            self._in_flight -= 1
        if step is None:
            return
        report, finished = self._report, clock()
        report.outcomes[outcome] += 1
        if late_seconds > LATE_SECONDS:
            report.late += 1
            report.max_late_seconds = max(report.max_late_seconds, late_seconds)
        if outcome.isdigit() or outcome == "timeout":
            report.latency.record(finished - due)
            report.steps.setdefault(step, Latency()).record(finished - due)

    async def _exchange(self, wire: bytes, *, has_body: bool) -> int:
        connection = self._take_idle() or await Connection.open(self._target)
        try:
            return await connection.exchange(wire, has_body=has_body)
        finally:
            if connection.is_reusable:
                self._idle.append(connection)
            else:
                connection.close()

    def _take_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_reusable:
                return connection
            connection.close()
        return None
