"""Time one import in a fresh process, and list what it brought in."""

import json
import sys
import time
from pathlib import Path


def main(module: str, result: str) -> None:
    before = set(sys.modules)
    start = time.perf_counter_ns()
    if module:
        __import__(module)
    took = time.perf_counter_ns() - start
    new = {name.partition(".")[0] for name in set(sys.modules) - before}
    foreign = sorted(new - sys.stdlib_module_names - {"lowtide"})
    Path(result).write_text(
        json.dumps({"ms": took / 1e6, "foreign": foreign, "modules": len(set(sys.modules) - before)})
    )


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
