"""What `import lowtide` costs a program that may never start a profiler."""

import statistics
from typing import Any

from benchmarks.bench import Bench
from benchmarks.budgets import Reading
from benchmarks.measure import half_quartile_range


def measure(bench: Bench) -> list[Reading]:
    bench.say("import lowtide")
    rounds = 5 if bench.quick else 21
    modules = ("lowtide", "lowtide.heap", "")
    runs: dict[str, list[dict[str, Any]]] = {module: [] for module in modules}
    for _ in range(rounds):
        for module in modules:
            runs[module].append(bench.main.run("import_cost", module=module))
    times = {module: [run["ms"] for run in answers] for module, answers in runs.items()}
    foreign = runs["lowtide.heap"][0]["foreign"]
    return [
        Reading(
            "import_time",
            bench.main.version,
            statistics.median(times["lowtide"]),
            null=statistics.median(times[""]),
            spread=half_quartile_range(times["lowtide"]),
            note=f"lowtide.heap: {statistics.median(times['lowtide.heap']):.1f} ms",
        ),
        Reading("import_foreign", bench.main.version, len(foreign), note=", ".join(foreign)),
    ]
