"""The profiler's own memory in the demo's service under the demo's load."""

from benchmarks.bench import ARM, Bench
from benchmarks.budgets import Reading
from benchmarks.service import serve_under_load


def measure(bench: Bench) -> list[Reading]:
    bench.say("memory on the demo service")
    service = serve_under_load(bench.main, 3 if bench.quick else 20, arm=ARM["armed"], probe="")
    return [
        Reading(
            "service_memory",
            bench.main.version,
            service["table_bytes"] / 2**20,
            note=f"{service['samples']:,} samples, {service['live_samples']:,} live, {service['requests']:,} requests",
        )
    ]
