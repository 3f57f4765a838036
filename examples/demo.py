"""Profile the catalogue under load.

`python -m examples.demo demo` shows on the terminal which lines allocate most and which hold most;
`python -m examples.demo profile` captures the same run into files, with an index page.
"""

import argparse
import dataclasses
import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from examples.catalogue_load import import_request, make_products, scenario
from examples.page import render_page
from examples.service import COMMAND, LOWTIDE, ROOT, ServiceError, profiled_service
from lowtide.profile import Profile
from lowtide.units import format_bytes, format_count, format_duration
from tools.openload import OpenloadError, Report, run

PRODUCTS = 20_000
IMPORT_BATCH = 500
RATE = 60  # a fifth of what the service can do on one core
SECONDS = 15.0
WARMUP_SECONDS = 2.0
SHOWN_COMMAND = " ".join(("lowtide", "run", *COMMAND))
QUESTIONS = {
    "alloc_objects": "where memory churns (blocks allocated)",
    "alloc_space": "where pressure comes from (bytes allocated)",
    "inuse_space": "what is retained (bytes in use at the end)",
}


def run_demo(out: Path, seconds: float) -> None:
    """Run the service under load and print its top sites."""
    report = capture(out, seconds)
    print(f"\n{report.as_table()}")
    profile = Profile.read(out / "heap.pb.gz")
    for sample_type, question in QUESTIONS.items():
        print(f"\n{sample_type}: {question}")
        for rank, site in enumerate(top_sites(profile, sample_type, n=3), 1):
            print(f"  {rank}. {site['value']:<26} {site['share']:>6}  {site['name']}  {site['place']}")
    print(f"\nheap profile  {_shown(out / 'heap.pb.gz')}   (lowtide top FILE, go tool pprof FILE)")
    print(f"flame graph   {_shown(out / 'flame.html')}   (open it in a browser)")


def run_profile(out: Path, seconds: float) -> None:
    """Run the service under load and write its profiles, tables, flame graph and an index page."""
    report = capture(out, seconds)
    heap = Profile.read(out / "heap.pb.gz")
    dataclasses.replace(heap, default_sample_type="alloc_space").write(out / "allocs.pb.gz")
    (out / "load.json").write_text(json.dumps(report.as_json(), indent=2) + "\n")
    sites = {}
    for sample_type, question in QUESTIONS.items():
        sites[f"{sample_type}: {question}"] = top_sites(heap, sample_type, n=5)
        table = _lowtide("top", "-n", "40", "--sample-type", sample_type, str(out / "heap.pb.gz"))
        (out / f"top-{sample_type}.txt").write_text(table)
    summary = (
        f"{PRODUCTS:,} products imported, then {RATE} requests a second for {seconds:g} s (p99 "
        f"{format_duration(report.latency.percentile(99))}): {format_bytes(heap.total('alloc_space'))} allocated in "
        f"{format_count(heap.total('alloc_objects'))} blocks, {format_bytes(heap.total('inuse_space'))} in use at the "
        f"end; one sample every {format_bytes(heap.period)}."
    )
    (out / "index.html").write_text(render_page(out, summary, report.as_table(), sites))
    print(f"\n{report.as_table()}\n\nindex page    {_shown(out / 'index.html')}   (open it in a browser)")


def capture(out: Path, seconds: float) -> Report:
    """Run the service under lowtide and under load; leave heap.pb.gz and flame.html in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    print(f"$ {SHOWN_COMMAND}", flush=True)
    with profiled_service(out / "heap.pb.gz", out / "service.log") as service:
        print(f"service     {service.url}, process {service.pid}", flush=True)
        products = make_products(PRODUCTS)
        _import(service.url, products)
        print(f"imported    {PRODUCTS:,} products")
        print(f"loading     {RATE} requests/s for {WARMUP_SECONDS + seconds:g} s", flush=True)
        report = run(
            service.url,
            scenario(products),
            rate=RATE,
            duration_seconds=seconds,
            warmup_seconds=WARMUP_SECONDS,
            on_progress=_progress(WARMUP_SECONDS + seconds) if sys.stderr.isatty() else None,
        )
    if not report.responses:
        raise ServiceError(f"no request was answered: {report.errors}")
    _lowtide("flame", str(out / "heap.pb.gz"), "-o", str(out / "flame.html"))
    return report


def top_sites(profile: Profile, sample_type: str, n: int) -> list[dict[str, str]]:
    """Return the top lines of a sample type, as text: name, place, value (with its standard error) and share."""
    total = profile.total(sample_type)
    written = format_bytes if sample_type.endswith("_space") else format_count
    return [
        {
            "name": row.name,
            "place": f"{_shown(Path(row.file))}:{row.line}",
            "value": written(row.flat) + (f" ± {written(row.stderr)}" if row.stderr else ""),
            "share": f"{row.flat / total:.1%}",
        }
        for row in profile.top(n=n, sample_type=sample_type, by="line")
    ]


def _import(url: str, products: list[dict[str, Any]]) -> None:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    for start in range(0, len(products), IMPORT_BATCH):
        request = import_request(products[start : start + IMPORT_BATCH])
        connection.request(request.method, request.path, request.body, {"content-type": request.content_type})
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise ServiceError(f"the import failed with status {response.status}: {answer[:200]!r}")
    connection.close()


def _lowtide(*arguments: str) -> str:
    result = subprocess.run([str(LOWTIDE), *arguments], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise ServiceError(f"lowtide {arguments[0]} failed (exit code {result.returncode}): {result.stderr.strip()}")
    return result.stdout


def _shown(path: Path) -> str:
    """Shorten a path below the repository."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _progress(total_seconds: float) -> Callable[[float], object]:
    def show(seconds: float) -> None:
        bar = ("#" * round(30 * seconds / total_seconds)).ljust(30)
        end = "\r" + " " * 60 + "\r" if seconds + 0.3 > total_seconds else ""
        print(f"\r  [{bar}] {seconds:4.0f} of {total_seconds:g} s", end=end, file=sys.stderr, flush=True)

    return show


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("verb", choices=("demo", "profile"))
    parser.add_argument("--out", type=Path, help="folder for the files (default: artifacts/demo or artifacts)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long to measure (default: %(default)g)")
    arguments = parser.parse_args()
    verb, out = (run_demo, "artifacts/demo") if arguments.verb == "demo" else (run_profile, "artifacts")
    ended_by = [signal.SIGINT]

    def end(number: int, _: object) -> None:
        # As an interrupt, which asyncio turns into a cancellation: an exit out of a task's middle leaves tracebacks.
        ended_by.append(signal.Signals(number))
        signal.raise_signal(signal.SIGINT)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    try:
        verb(arguments.out or ROOT / out, arguments.seconds)
    except (ServiceError, OpenloadError, OSError, http.client.HTTPException) as error:
        print(f"{arguments.verb}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{arguments.verb}: interrupted; the service is stopped", file=sys.stderr)
        sys.exit(128 + ended_by[-1])


if __name__ == "__main__":
    main()
