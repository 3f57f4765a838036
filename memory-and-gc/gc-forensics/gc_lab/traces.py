"""Traces of four services under CPython's own rules, and what `lowtide pacer explain` says of each line."""

import http.client
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from examples.catalogue_load import import_request, make_products
from examples.catalogue_load import scenario as catalogue_scenario
from gc_lab import LAB, ROOT
from gc_lab.service import LabError, environment, load_generator_apart, serving
from tools.openload import Scenario, run

FOLDER = LAB / "traces"
LOWTIDE = Path(sysconfig.get_path("scripts")) / "lowtide"
SECONDS, PRODUCTS = 8.0, 20_000
RATES = {"demo": 50, "static": 60, "cycles": 100, "leak": 100}
OBJECTS = {"static": 1_000_000, "cycles": 100_000, "leak": 6_000}  # so that each has some full collections
NAMES = tuple(RATES)
_START_SECONDS = 30


def record(names: tuple[str, ...], folder: Path, scale: float, seconds: float, say: Callable[[str], None]) -> None:
    """Record the traces, and annotate them."""
    folder.mkdir(parents=True, exist_ok=True)
    with load_generator_apart():
        for name in names:
            trace = folder / f"{name}.gctrace"
            trace.unlink(missing_ok=True)
            say(f"recording {trace.name}")
            if name == "demo":
                products = make_products(round(PRODUCTS * scale))
                with demo_service(trace) as url:
                    _import(url, products)
                    run(url, catalogue_scenario(products), rate=RATES[name], duration_seconds=seconds)
            else:
                with serving(name, "stock", round(OBJECTS[name] * scale), trace) as service:
                    run(service.url, Scenario.single("GET", "/"), rate=RATES[name], duration_seconds=seconds)
            if not trace.exists():
                raise LabError(f"lowtide left no trace of {name}")
            explained(trace).write_text(explain(trace))


@contextmanager
def demo_service(trace: Path) -> Iterator[str]:
    """Run the catalogue as it is, knowing nothing of lowtide, and yield its address."""
    log = trace.with_suffix(".log")
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "examples.catalogue.app:app", "--port", "0", "--no-access-log"],
            cwd=ROOT,
            env=environment() | {"LOWTIDE_GCTRACE": str(trace)},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not (found := re.search(r"running on (http://127\.0\.0\.1:\d+)", log.read_text())):
            if process.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"the demo service did not start; it printed:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield found[1]
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        finally:
            process.kill()  # a no-op unless something went wrong
            process.wait()
            log.unlink()


def differences(folder: Path = FOLDER) -> Iterator[str]:
    """Annotate every committed trace again; yield a sentence for each that does not say what its twin says."""
    traces = sorted(folder.glob("*.gctrace"))
    if not traces:
        raise LabError(f"expected traces in {_shown(folder)}, got none; record them: make gc-lab ARGS=traces")
    for trace in traces:
        twin = explained(trace)
        if not twin.exists():
            yield f"{_shown(twin)} is missing; write it with --annotate"
        elif twin.read_text() != explain(trace):
            yield f"{_shown(twin)} must be what `lowtide pacer explain` says of its trace; write it with --annotate"


def annotate(folder: Path = FOLDER) -> Iterator[Path]:
    """Write every committed trace's twin anew."""
    for trace in sorted(folder.glob("*.gctrace")):
        explained(trace).write_text(explain(trace))
        yield explained(trace)


def explained(trace: Path) -> Path:
    return trace.with_suffix(".explained.txt")


def explain(trace: Path) -> str:
    """Return what lowtide says of a trace, as it is written to a pipe."""
    done = subprocess.run(
        [str(LOWTIDE), "pacer", "explain", trace.name],
        cwd=trace.parent,
        env={name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LabError(
            f"lowtide pacer explain {trace.name} failed (exit code {done.returncode}): {done.stderr.strip()}"
        )
    return done.stdout


def _import(url: str, products: list[dict[str, object]]) -> None:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    for start in range(0, len(products), 500):
        request = import_request(products[start : start + 500])
        connection.request(request.method, request.path, request.body, {"content-type": request.content_type})
        connection.getresponse().read()
    connection.close()


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
