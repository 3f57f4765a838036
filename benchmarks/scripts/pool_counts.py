"""Count the instructions of a pool's hit path; count the blocks it allocates."""

import importlib
import itertools
import json
import sys
from pathlib import Path


def main(*, probe: str, calls: int, result: str) -> None:
    from lowtide import Pool
    from lowtide.guard import allocs_per_run

    sys.path.append(probe)
    counting = importlib.import_module("lowtide_probe")
    pool: Pool[object] = Pool(object, check=False)
    get, put = pool.get, pool.put

    def pairs() -> None:
        for _ in itertools.repeat(None, calls):
            put(get())

    blocks = allocs_per_run(lambda: put(get()), runs=calls).blocks
    pairs()
    for region in ("default", "checked elsewhere"):
        counting.start_counting()
        pairs()
        counting.stop_counting(region)
        importlib.import_module("lowtide.pool.check")
        checked = Pool(object, check=True)
        checked.put(checked.get())
    Path(result).write_text(json.dumps({"blocks": float(blocks)}))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
