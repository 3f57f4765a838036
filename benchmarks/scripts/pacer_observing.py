"""Count the instructions of requests that nobody looks at, and of the same ones under a pacer that only observes."""

import gc
import importlib
import json
import sys
from pathlib import Path


def answer(rows: int) -> str:
    """About 0.4 ms of a service's work for 250 rows: containers, strings, numbers, JSON."""
    found = [
        {"id": i, "name": f"item {i}", "price": i * 0.99, "tags": ["new", f"shelf {i % 7}"], "stock": {"here": i % 5}}
        for i in range(rows)
    ]
    return json.dumps(sorted(found, key=lambda row: str(row["name"])))


def main(*, probe: str, requests: int, rows: int, result: str) -> None:
    from lowtide import pacer

    sys.path.append(probe)
    counting = importlib.import_module("lowtide_probe")
    for _ in range(requests):
        answer(rows)
    gc.collect()
    counting.start_counting()
    for _ in range(requests):
        answer(rows)
    counting.stop_counting("plain")

    pacer.start(mode="advise")
    for _ in range(requests):
        with pacer.request():
            answer(rows)
    gc.collect()
    counting.start_counting()
    for _ in range(requests):
        with pacer.request():
            answer(rows)
    counting.stop_counting("observed")
    Path(result).write_text(json.dumps({}))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
