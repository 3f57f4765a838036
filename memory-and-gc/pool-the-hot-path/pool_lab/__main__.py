"""`python -m pool_lab`: run the lab, or with --quick hold what it won."""

import platform
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from lowtide.errors import CoreUnavailableError, CountError
from pool_lab import ROOT, candidates, misuse, operation, profiles, report, whole_requests
from pool_lab.service import LabError
from tools.openload import OpenloadError

Say = Callable[[str], None]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="Only what is exact: counts against the baseline, and the misuse.")
@click.option("--write-baseline", is_flag=True, help="Count, and make that the baseline for this Python.")
@click.option(
    "--step",
    "steps",
    multiple=True,
    type=click.Choice(["profile", "candidates", "operation", "requests", "latency", "diff", "misuse"]),
    help="Run these steps alone; may be given again.",
)
@click.option("--rounds", default=12, show_default=True, type=click.IntRange(2), help="Pairs of loads at each rate.")
@click.option("--seconds", default=5.0, show_default=True, type=click.FloatRange(1), help="How long each load lasts.")
@click.option(
    "--out",
    default=ROOT / "artifacts" / "pool-lab",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the results.  [default: artifacts/pool-lab]",
)
def main(*, quick: bool, write_baseline: bool, steps: tuple[str, ...], rounds: int, seconds: float, out: Path) -> None:
    """Pool the hot path of the demo service, and see what it gives.

    The whole lab takes about ten minutes on a quiet machine, --quick a few seconds. Exit code: 0 when all promises
    hold, 1 when one is broken, 2 when nothing could be measured.
    """
    started = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"[{time.monotonic() - started:4.0f} s] {text}", err=True)

    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        if write_baseline:
            click.echo(f"wrote {operation.write_baseline(operation.count())}")
            return
        broken = list(run_quick(say) if quick else run_whole(steps, rounds, seconds, out, say))
    except (LabError, OpenloadError, CountError, CoreUnavailableError) as error:
        click.echo(f"pool-lab: {error}", err=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        click.echo("pool-lab: interrupted; its services are stopped", err=True)
        raise SystemExit(130) from None
    for sentence in broken:
        click.echo(f"pool-lab: {sentence}", err=True)
    if quick and not broken:
        say("blocks and bytes reach their targets and hold their baseline")
    raise SystemExit(1 if broken else 0)


def run_quick(say: Say) -> Iterator[str]:
    """Count the operation, hold it to the baseline, and see that the misuse is caught; yield broken promises."""
    say("the four versions make the same bytes")
    yield from differing_versions()
    say("counting the operation")
    counts = operation.count()
    click.echo(report.operation_table(counts, {}))
    yield from operation.regressions(counts)
    say("misusing a pool")
    click.echo(misuse.show_leak())
    click.echo(misuse.show_check().splitlines()[0])


def run_whole(steps: tuple[str, ...], rounds: int, seconds: float, out: Path, say: Say) -> Iterator[str]:
    """Run the steps, leave their results in `out`, and yield broken promises."""
    out.mkdir(parents=True, exist_ok=True)
    python = f"CPython {platform.python_version()}, {platform.machine()}"

    def keep(name: str, text: str) -> None:
        click.echo(f"\n{text}\n")
        (out / name).write_text(f"{python}\n\n{text}\n")

    if not steps or "profile" in steps:
        say(f"profiling the service under load for {profiles.SECONDS} s")
        profiles.profile_variant("service", out / "service.pb.gz")
        say("reading the profile with go tool pprof (compiled at its first use, half a minute)")
        click.echo(profiles.name_sites(out / "service.pb.gz", out / "sites.txt"))
        say("asking lowtide what is worth pooling")
        click.echo(profiles.advise(out / "service.pb.gz", out / "advise.txt"))
    if not steps or "candidates" in steps:
        rulings = []
        for candidate in candidates.candidates(operation.sample()):
            say(f"ruling on a candidate: {candidate.kind}")
            rulings.append(candidates.rule(candidate, rounds=31))
        keep("candidates.md", report.candidates_table(rulings))
    if not steps or "operation" in steps:
        yield from differing_versions()
        say("counting and timing the operation")
        counts = operation.count()
        keep("operation.md", report.operation_table(counts, operation.time_versions(rounds=101)))
        yield from operation.regressions(counts)
    if not steps or "requests" in steps:
        counted = {name: whole_requests.count_requests(name, say) for name in whole_requests.VARIANTS}
        keep("requests.md", report.requests_table(counted))
    if not steps or "latency" in steps:
        keep("latency.md", report.latency_table(whole_requests.measure(rounds, seconds, say)))
    if not steps or "diff" in steps:
        click.echo(profiles.compare(out, say))
    if not steps or "misuse" in steps:
        say("misusing a pool")
        keep("misuse.txt", f"{misuse.show_leak()}\n\nIn check mode:\n\n{misuse.show_check()}")
    say(f"results in {out.relative_to(ROOT) if out.is_relative_to(ROOT) else out}")


def differing_versions() -> Iterator[str]:
    """Yield a sentence for each version of the hot function that does not make the same bytes."""
    products = operation.sample()
    made = {name: b"".join(map(bytes, chunks(iter(products)))) for name, chunks in operation.VERSIONS.items()}
    for name, content in made.items():
        if content != made["before"]:
            yield f"{name} must make the same bytes as before, got others"


if __name__ == "__main__":
    main(prog_name="python -m pool_lab")
