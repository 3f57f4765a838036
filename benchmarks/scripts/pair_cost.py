"""Count what a malloc + free pair executes before lowtide, armed, and stopped."""

import importlib
import json
import sys
from pathlib import Path

SIZES = {"obj": (64, 1024), "mem": (64, 1024), "raw": (64,)}  # above 512 bytes obj and mem ask raw

MOVED = (3, 20, 50, 90, 140)  # places among other blocks, of which the median counts


def main(*, probe: str, pairs: int, result: str) -> None:
    import lowtide.heap

    sys.path.append(probe)
    probe_module = importlib.import_module("lowtide_probe")

    def count(state: str) -> None:
        for domain, sizes in SIZES.items():
            for size in sizes:
                for moved in MOVED:
                    probe_module.pairs(f"{state} {domain} {size} #{moved}", domain, size, pairs, moved)

    count("plain")
    # So seldom that none of the pairs is sampled.
    lowtide.heap.start(sample_interval=2**40)
    count("armed")
    lowtide.heap.stop()
    count("stopped")
    Path(result).write_text(json.dumps({"samples": lowtide.heap.stats().samples}))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
