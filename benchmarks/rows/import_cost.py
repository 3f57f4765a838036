"""What `import lowtide` costs a program that may never start a profiler."""

import statistics

from benchmarks.bench import Bench
from benchmarks.budgets import Reading
from benchmarks.measure import half_quartile_range


def measure(bench: Bench) -> list[Reading]:
    bench.say("import lowtide")
    rounds = 5 if bench.quick else 21
    runs = [
        (bench.main.run("import_cost", module="lowtide"), bench.main.run("import_cost", module=""))
        for _ in range(rounds)
    ]
    times = [run["ms"] for run, _ in runs]
    foreign = runs[0][0]["foreign"]
    return [
        Reading(
            "import_time",
            bench.main.version,
            statistics.median(times),
            null=statistics.median(null["ms"] for _, null in runs),
            spread=half_quartile_range(times),
            note=f"slowest {max(times):.1f} ms",
        ),
        Reading("import_foreign", bench.main.version, len(foreign), note=", ".join(foreign)),
    ]
