"""Instructions that a pacer adds to requests while it only observes."""

from benchmarks.bench import Bench
from benchmarks.budgets import Reading

REQUESTS, ROWS = 1_000, 250


def measure(bench: Bench) -> list[Reading]:
    requests = REQUESTS // 10 if bench.quick else REQUESTS
    readings = []
    for interpreter in bench.interpreters:
        bench.say(f"requests under a pacer that observes, Python {interpreter.version}")
        _, regions = interpreter.count(
            "pacer_observing", probe=bench.probe_folder(interpreter), requests=requests, rows=ROWS
        )
        plain, observed = (regions[name] / requests for name in ("plain", "observed"))
        note = f"{observed - plain:,.0f} more than {plain / 1e6:.1f} million a request"
        readings.append(Reading("pacer_observing", interpreter.version, 100 * (observed / plain - 1), note=note))
    return readings
