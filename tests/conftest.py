"""What holds for every test: it leaves the process as it found it, and a skip can be made to count."""

import gc
import os
import sys
import threading
import time
import tracemalloc
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Both kinds of pools are the subject here: a test says when it wants one that checks. Set before lowtide.pool loads.
os.environ["LOWTIDE_POOL_CHECK"] = "0"

# How fast the machine is decides no test.
settings.register_profile("lowtide", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lowtide")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fail-on-skip", action="store_true", help="a skipped test fails: its tools should be here")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.config.getoption("--fail-on-skip") and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped under --fail-on-skip: {report.longrepr}"
    return report


def process_state() -> dict[str, Any]:
    """Collect what a test could change for the next one."""
    core, pacer = sys.modules.get("lowtide._core"), sys.modules.get("lowtide.pacer.process")
    return {
        "heap profiler armed": core is not None and core.stats()["active"],
        "pacer": "off" if pacer is None else pacer.status().mode,
        "gc enabled": gc.isenabled(),
        "gc thresholds": gc.get_threshold(),
        # Two come with the first use and stay: Hypothesis's, to leave collections out of its deadlines, and the pools'.
        "gc callbacks": [
            c for c in gc.callbacks if not str(getattr(c, "__module__", "")).startswith(("hypothesis", "lowtide._pool"))
        ],
        "gc debug": gc.get_debug(),
        # CPython 3.12 sets its immortal objects aside whenever it comes across them.
        "gc frozen": gc.get_freeze_count() > 1_000,
        "tracemalloc": tracemalloc.is_tracing(),
        "trace function": sys.gettrace(),
        "profile function": sys.getprofile(),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "folder": Path.cwd(),
        "import path": list(sys.path),
        **{f"${name}": value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
    }


def callbacks_of_pools() -> int:
    return sum(str(getattr(callback, "__module__", "")) == "lowtide._pool" for callback in gc.callbacks)


@pytest.fixture(autouse=True)
def _leaves_the_process_as_it_was() -> Iterator[None]:
    before, pools_before = process_state(), callbacks_of_pools()
    yield
    # A thread that was told to end may need a moment for it.
    patience = time.monotonic() + 2
    while len(threading.enumerate()) > len(before["threads"]) and time.monotonic() < patience:
        time.sleep(0.005)
    after = process_state()
    if after["heap profiler armed"] and not before["heap profiler armed"]:
        sys.modules["lowtide._core"].stop()
    if after["pacer"] != before["pacer"] == "off":
        sys.modules["lowtide.pacer.process"].stop()
    changed = {key: (before.get(key), after.get(key)) for key in before | after if before.get(key) != after.get(key)}
    assert callbacks_of_pools() >= pools_before, "the test has taken the pools' callback away, and they would not age"
    assert not changed, f"the test left the process changed (before, after): {changed}"
