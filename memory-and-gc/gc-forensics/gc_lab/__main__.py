"""`python -m gc_lab`: run the lab, a part of it, or with --check hold what is committed."""

import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import click

from gc_lab import LAB, ROOT, Plan, lab, traces
from gc_lab.policies import POLICIES
from gc_lab.service import LabError
from gc_lab.workloads import WORKLOADS
from tools.openload import OpenloadError


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("parts", nargs=-1, type=click.Choice([*lab.PARTS, lab.RECORDED]))
@click.option("--quick", is_flag=True, help="Everything once, a tenth of the objects, short: does the lab still run?")
@click.option("--check", is_flag=True, help="Annotate the committed traces again; exit code 1 if one has changed.")
@click.option("--annotate", is_flag=True, help="Annotate the committed traces again, and keep that.")
@click.option("--report", is_flag=True, help="Only write the README's tables and the plots, from results/.")
@click.option("--workload", "workloads", multiple=True, type=click.Choice(list(WORKLOADS)), help="Only these.")
@click.option("--policy", "policies", multiple=True, type=click.Choice(list(POLICIES)), help="Only these.")
@click.option("--load", "loads", multiple=True, help="Only these: 30, 60, 90, bursts, saturated.")
@click.option("--repeats", default=10, show_default=True, type=click.IntRange(1), help="Runs of each, interleaved.")
@click.option("--seconds", default=1.5, show_default=True, type=click.FloatRange(0.1), help="How long each run lasts.")
@click.option(
    "--out",
    default=ROOT / "artifacts" / "gc-lab",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the results.  [default: artifacts/gc-lab]",
)
def main(
    *,
    parts: tuple[str, ...],
    quick: bool,
    check: bool,
    annotate: bool,
    report: bool,
    workloads: tuple[str, ...],
    policies: tuple[str, ...],
    loads: tuple[str, ...],
    repeats: int,
    seconds: float,
    out: Path,
) -> None:
    """See what the collector does to services, under each policy.

    PARTS: latency, leak, prefork, buffers, pairs, traces; all but the last when none is named. That takes 40 minutes on
    a quiet machine, --quick a minute, --check a second. Exit code: 0 when it ran (what was reached is in the tables),
    1 when an annotation has changed, 2 when nothing could be measured.
    """
    started = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"[{time.monotonic() - started:4.0f} s] {text}", err=True)

    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        if check:
            changed = list(traces.differences())
            for sentence in changed:
                click.echo(f"gc-lab: {sentence}", err=True)
            raise SystemExit(1 if changed else 0)
        if annotate:
            for path in traces.annotate():
                click.echo(f"wrote {path.relative_to(ROOT)}")
            return
        if report:
            lab.write_report(LAB / "results", LAB / "README.md")
            return
        plan = Plan(workloads or tuple(WORKLOADS), policies or tuple(POLICIES), loads, repeats, seconds)
        if quick:
            plan = replace(plan, repeats=1, seconds=0.3, scale=0.1)
        lab.run(parts or lab.PARTS, plan, out, say)
    except (LabError, OpenloadError) as error:
        click.echo(f"gc-lab: {error}", err=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        click.echo("gc-lab: interrupted; its services are stopped", err=True)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main(prog_name="python -m gc_lab")
