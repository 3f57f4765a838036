"""At interval 1 the profile is the truth, block for block: every block that an independent counter saw, no other.

The numbers compared are blocks and bytes, allocated and in use, of each call site, domain and size. Both counters run
in a process of their own and are read at one moment; nothing is subtracted and nothing is left out.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("lowtide._core", reason="the extension is not built")

pytestmark = [pytest.mark.oracle, pytest.mark.xdist_group("exact")]

ROOT = Path(__file__).resolve().parents[2]

PROGRAMS = [
    "lists",
    "dictionaries_and_sets",
    "bytes_and_strings",
    "big_integers",
    "exceptions",
    "json_there_and_back",
    "generators_and_coroutines",
    "classes",
    "cycles",
    "deep_recursion",
    "generated_code",
    "imports",
    "without_the_gil",
    "copies_and_buffers",
    "reallocations",
    "threads",
    "native_threads",
    "a_thread_that_does_not_count",
    "sub_interpreters",
    "settings_that_change",
    "threads_that_were_there_before",
    "blocks_from_before_the_start",
]


class Worker:
    """A process with both counters, and nothing else going on."""

    def __init__(self, helpers: Path, order: str, allocator: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.oracle.exact_worker", order],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{helpers}{os.pathsep}{ROOT}", "PYTHONMALLOC": allocator},
        )

    def ask(self, kind: str, argument: object = None) -> list[dict[str, Any]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([kind, argument]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the process died with exit code {self._process.wait()}"
        return json.loads(answer)  # type: ignore[no-any-return] # the worker's answers have this shape

    def close(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0


# Where the truth stands in the chain of allocators, and what is at its bottom.
@pytest.fixture(
    scope="module",
    params=[("below", "default"), ("above", "default"), ("below", "debug"), ("above", "malloc")],
    ids=["truth below", "truth above", "truth below, debug", "truth above, malloc"],
)
def worker(request: pytest.FixtureRequest, helpers: Path) -> Iterator[Worker]:
    worker = Worker(helpers, *request.param)
    yield worker
    worker.close()


def assert_exact(answer: dict[str, Any]) -> None:
    assert answer["profile"] == answer["truth"]
    stats = answer["stats"]
    assert stats["samples"] == sum(allocs for allocs, *_ in answer["truth"].values())
    assert (stats["lost_samples"], stats["stale_keys"], stats["thinned"]) == (0, 0, 0)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_number_is_the_truth(worker: Worker, program: str) -> None:
    (answer,) = worker.ask("program", program)
    assert answer["truth"], "nothing was counted"
    assert_exact(answer)


def test_blocks_may_outlive_stop_and_start(worker: Worker) -> None:
    answers = worker.ask("stop and start")
    for answer in answers:
        assert_exact(answer)
    allocated_and_kept, freed_while_stopped, *_ = (
        sum(row[2] for row in answer["truth"].values()) for answer in answers
    )
    assert freed_while_stopped < allocated_and_kept


# Four bytes an instruction; more programs than one run in native threads at once.
CODE = st.binary(min_size=4, max_size=600)


@given(codes=st.lists(CODE, min_size=1, max_size=1) | st.lists(CODE, min_size=2, max_size=4))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_program_of_requests_is_counted_exactly(worker: Worker, codes: list[bytes]) -> None:
    for answer in worker.ask("code", [code.hex() for code in codes]):
        assert_exact(answer)


@pytest.mark.slow
@given(codes=st.lists(st.binary(min_size=400, max_size=20_000), min_size=1, max_size=8))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_long_programs_are_counted_exactly(worker: Worker, codes: list[bytes]) -> None:
    for answer in worker.ask("code", [code.hex() for code in codes]):
        assert_exact(answer)
