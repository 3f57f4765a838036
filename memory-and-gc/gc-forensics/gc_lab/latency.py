"""Services under load: every policy on the same requests, one after the other, in an order that rotates."""

import gc
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from gc_lab import Plan, Say, histogram
from gc_lab.service import LabError, Service, load_generator_apart, serving
from gc_lab.workloads import WORKLOADS
from tools.openload import Report, Scenario, run

WARMUP_SECONDS = 1.0
BURST_SECONDS, PAUSE_SECONDS, BURST_SHARE = 0.25, 0.5, 80
SATURATED_IN_FLIGHT = 8
ASK = Scenario.single("GET", "/")

Record = dict[str, Any]


def measure(plan: Plan, say: Say) -> Iterator[Record]:
    """Yield a record for each run."""
    with load_generator_apart():
        workloads = [name for name in plan.workloads if chosen_loads(name, plan)]
        capacity = {name: find_capacity(name, plan) for name in workloads}
        say("capacity under stock: " + ", ".join(f"{name} {rate:.0f}/s" for name, rate in capacity.items()))
        for repeat in range(plan.repeats):
            for name in workloads:
                policies = plan.in_turn(repeat, WORKLOADS[name].policies)
                worst = dict.fromkeys(policies, 0.0)
                for policy in policies:
                    for record in run_service(name, policy, capacity[name], repeat, plan):
                        worst[policy] = max(worst[policy], record["max_pause_in_request_ms"])
                        yield record
                pauses = ", ".join(f"{policy} {pause:.1f}" for policy, pause in worst.items())
                say(f"repeat {repeat + 1} of {plan.repeats}, {name}: longest pause in a request, ms: {pauses}")


def run_service(workload: str, policy: str, capacity: float, repeat: int, plan: Plan) -> Iterator[Record]:
    """Yield the records of one process, which is put under one load after the other."""
    with serving(workload, policy, round(WORKLOADS[workload].objects * plan.scale)) as service:
        put_under(service, 60, capacity, min(WARMUP_SECONDS, plan.seconds), repeat)
        for load in chosen_loads(workload, plan):
            service.ask("/lab/reset")
            reports = put_under(service, load, capacity, plan.seconds, repeat)
            figures = service.ask("/lab/figures")
            if errors := sum((Counter(report.errors) for report in reports), Counter[str]()):
                raise LabError(f"the service ({workload}, {policy}) answered with errors under load: {dict(errors)}")
            yield {
                "workload": workload,
                "policy": policy,
                "load": str(load),
                "repeat": repeat,
                "rate": round(reports[0].rate, 1),
                "asked_seconds": plan.seconds,
                "capacity": round(capacity, 1),
                "tracked": service.tracked,
                "sent": sum(report.sent for report in reports),
                "late": sum(report.late for report in reports),
                "answered_a_second": round(sum(r.responses for r in reports) / sum(r.elapsed_seconds for r in reports)),
                **figures,
                "latency": histogram.merge(histogram.from_seconds(report.latency.recorded()) for report in reports),
            }


def chosen_loads(workload: str, plan: Plan) -> list[int | str]:
    return [load for load in WORKLOADS[workload].loads if not plan.loads or str(load) in plan.loads]


def put_under(service: Service, load: int | str, capacity: float, seconds: float, seed: int) -> list[Report]:
    """Send the requests of a load, and return what the load generator saw."""
    if load == "saturated":
        rate = 2 * capacity
        return [send(service, rate=rate, duration_seconds=seconds, max_in_flight=SATURATED_IN_FLIGHT, seed=seed)]
    if load != "bursts":
        return [send(service, rate=capacity * int(load) / 100, duration_seconds=seconds, seed=seed)]
    reports: list[Report] = []
    end = time.monotonic() + seconds
    while not reports or time.monotonic() < end:
        rate = capacity * BURST_SHARE / 100
        reports.append(send(service, rate=rate, duration_seconds=BURST_SECONDS, seed=seed))
        time.sleep(PAUSE_SECONDS)
    return reports


def send(service: Service, **settings: Any) -> Report:
    gc.collect()  # our own collector is off amid the load, and each run leaves 300 MiB in cycles
    return run(service.url, ASK, **settings)


def find_capacity(workload: str, plan: Plan) -> float:
    """Return how many requests a second the service answers under stock when there are always some waiting."""
    with serving(workload, "stock", round(WORKLOADS[workload].objects * plan.scale)) as service:
        seconds = min(WARMUP_SECONDS, plan.seconds)
        # The median of three: neither a full collection more or less nor the machine's other work must decide.
        rates = [
            send(
                service,
                rate=10_000,
                duration_seconds=plan.seconds,
                warmup_seconds=seconds,
                max_in_flight=SATURATED_IN_FLIGHT,
            ).achieved_rate
            for _ in range(3)
        ]
        return statistics.median(rates)
