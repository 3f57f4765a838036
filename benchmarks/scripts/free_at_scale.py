"""Count what a free executes among many live blocks."""

import importlib
import json
import sys
from pathlib import Path


def main(*, probe: str, arm: str, live: int, size: int, frees: int, result: str) -> None:
    sys.path.append(probe)
    probe_module = importlib.import_module("lowtide_probe")
    exec(arm, {})
    probe_module.fill(size, live)
    probe_module.free_some(frees)  # the first ones touch what the later ones find warm
    probe_module.start_counting()
    probe_module.free_some(frees)
    probe_module.stop_counting("frees")
    Path(result).write_text("{}")


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
