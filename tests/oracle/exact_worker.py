"""A process of its own, in which nothing runs but the program that is counted: `exact_worker below|above`.

It reads requests and writes answers, one JSON a line. An answer holds, for each call site, domain and size, what the
profile says and what the truth says: [alloc_objects, alloc_space, inuse_objects, inuse_space].
"""

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

from lowtide import _core
from lowtide.profile.formats import pprof
from lowtide.profile.model import ProfileData
from tests.oracle import allocation_driver, allocator_truth, programs

INTERVAL, FRAMES, BUDGET_BYTES = 1, 128, 256 * 2**20

Numbers = dict[str, list[int]]


def profile_numbers(message: bytes) -> Numbers:
    numbers: Numbers = {}
    for sample in pprof.decode(message, ProfileData).samples:
        labels = {label.key: label.str or label.num for label in sample.labels}
        names = (location.lines[0].function.name for location in sample.locations)
        site = next((found[1] for name in names if (found := re.search(r"\bsite_(\d+)$", name))), "0")
        row = numbers.setdefault(f"site {site} {labels['domain']} {labels['bytes']}", [0, 0, 0, 0])
        row[:] = [a + b for a, b in zip(row, sample.values, strict=True)]
    return numbers


def true_numbers() -> Numbers:
    return {
        f"site {site} {domain} {size}": [allocs, allocs * size, live, live * size]
        for site, domain, size, allocs, live in allocator_truth.counted()
    }


def measure(work: Callable[[], object]) -> dict[str, Any]:
    """Run `work` under both counters; what it returns lives until both were read."""
    with os.fdopen(os.memfd_create("profile"), "w+b") as file:
        result = allocator_truth.measure(_core.bypass, work, _core.encode, (file.fileno(), (), b"", (), 0))
        file.seek(0)
        message = file.read()
    answer = {"profile": profile_numbers(message), "truth": true_numbers(), "stats": _core.stats()}
    del result
    return answer


@contextlib.contextmanager
def started() -> Iterator[None]:
    _core.bypass(True)
    _core.start(INTERVAL, FRAMES, BUDGET_BYTES)
    allocator_truth.reset()
    yield
    _core.stop()


def run_program(name: str) -> list[dict[str, Any]]:
    prepared = {program.__name__: program for program in programs.PREPARED}.get(name)
    program: Any = contextlib.nullcontext(getattr(programs, name)) if prepared is None else prepared()
    with program as work, started():
        return [measure(work)]


def run_code(codes: list[str]) -> list[dict[str, Any]]:
    """One byte string runs here; several run in native threads at once."""
    code = tuple(bytes.fromhex(text) for text in codes)

    def run() -> None:
        if len(code) == 1:
            allocation_driver.run(code[0])
        else:
            allocation_driver.run_in_threads(code)

    with started():
        return [measure(run), measure(allocation_driver.clear)]


def run_over_a_stop() -> list[dict[str, Any]]:
    """Blocks that outlive a stop are still seen to be freed; blocks that outlive the next start are not known to it."""
    kept: list[bytes] = []

    def allocate() -> None:
        kept.extend(bytes(n) for n in range(1000))

    def free_some() -> None:
        del kept[::2]

    with started():
        answers = [measure(allocate)]
    answers.append(measure(lambda: allocator_truth.unseen(_core.bypass, free_some)))
    with started():
        answers.append(measure(free_some))
        answers.append(measure(allocate))
    return answers


def main() -> None:
    if sys.argv[1] == "below":
        allocator_truth.install()
    _core.start(INTERVAL, FRAMES, BUDGET_BYTES)
    _core.stop()
    if sys.argv[1] == "above":
        allocator_truth.install()
    for line in sys.stdin:
        kind, argument = json.loads(line)
        run: Any = {"program": run_program, "code": run_code}.get(kind)
        answers = run(argument) if run is not None else run_over_a_stop()
        sys.stdout.write(json.dumps(answers) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
