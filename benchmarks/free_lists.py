"""How many of the objects that the demo service creates does no allocator hook see? (`make bench ARGS=--free-lists`).

CPython keeps small stocks of dead floats, tuples, lists, dicts and some more, and takes new ones from there. They are
counted one by one in the service under load: an object is hidden when it is born in memory that no allocator has just
handed out. See `probe/lowtide_births.c`.
"""

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.bench import Bench, CannotMeasureError, build_extension
from benchmarks.service import serve_under_load
from examples.demo import RATE

SOURCE = Path(__file__).with_name("probe") / "lowtide_births.c"
SHOWN_TYPES = 12
SHARE_OF_RATE = 0.1  # the tracer makes each object many times dearer, and a queue would end in time-outs


def main(bench: Bench) -> None:
    interpreter = next(
        (each for each in bench.interpreters if tuple(map(int, each.version.split("."))) >= (3, 13)), None
    )
    if interpreter is None:
        raise CannotMeasureError(
            "an interpreter of 3.13 or later announces the birth of objects: give one with --python"
        )
    folder = bench.artifacts / "build" / interpreter.version
    folder.mkdir(parents=True, exist_ok=True)
    build_extension(interpreter, SOURCE, folder / "lowtide_births.so")
    bench.say(f"births on the demo service, Python {interpreter.version}")
    service = serve_under_load(
        interpreter, 2 if bench.quick else 60, rate=SHARE_OF_RATE * RATE, arm="", probe=str(folder)
    )

    births: dict[str, tuple[int, int]] = service["births"]
    fresh, reused = (sum(pair[i] for pair in births.values()) for i in (0, 1))
    ranked = sorted(births.items(), key=lambda item: -item[1][1])[:SHOWN_TYPES]
    columns = ("type", "objects created", "from a free list", "share of the type")
    rows = [
        ("all", f"{fresh + reused:,}", f"{reused:,}", f"{reused / (fresh + reused):.1%}"),
        *((name, f"{new + old:,}", f"{old:,}", f"{old / (new + old):.1%}") for name, (new, old) in ranked if old),
    ]
    table = Table(
        *columns, title=f"Hidden by free lists, demo service, Python {interpreter.version}", title_justify="left"
    )
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    (bench.artifacts / "free-lists.md").write_text(report.markdown(columns, rows))
    answer = {"schema": 1, "python": interpreter.version, "requests": service["requests"], "births": births}
    (bench.artifacts / "free-lists.json").write_text(json.dumps(answer, indent=2) + "\n")
