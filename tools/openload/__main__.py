"""`python -m tools.openload`: load a local HTTP server at a constant rate."""

import json
import pkgutil
import sys
from collections.abc import Callable
from typing import TextIO
from urllib.parse import urlsplit

import click

from . import OpenloadError, Scenario, run


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("url")
@click.option("--rate", type=float, default=50, show_default=True, help="Requests due a second.")
@click.option("--duration", type=float, default=10, show_default=True, help="Seconds to measure.")
@click.option("--warmup", type=float, default=1, show_default=True, help="Seconds to load before that, not measured.")
@click.option("--scenario", metavar="MODULE:NAME", help="A Scenario, or a function that returns one. Default: GET URL.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed sends the same requests.")
@click.option("--max-in-flight", type=int, default=256, show_default=True, help="Skip what is due beyond this many.")
@click.option("--timeout", type=float, default=10, show_default=True, help="Seconds after which a request is given up.")
@click.option("--json", "json_file", type=click.File("w", lazy=False), help="Write JSON here; `-`: to stdout.")
def main(
    *,
    url: str,
    rate: float,
    duration: float,
    warmup: float,
    scenario: str | None,
    seed: int,
    max_in_flight: int,
    timeout: float,
    json_file: TextIO | None,
) -> None:
    """Load the server at URL (on this machine) at a constant rate.

    Request i is due at t0 + i/rate whatever the server does, and its latency counts from then: a server that stalls is
    charged for every request it kept waiting. Exit code: 0 when every request ended in a status below 400, 1 when some
    did not or were skipped, 2 when nothing could be measured.

    Example: python -m tools.openload http://127.0.0.1:8000/search?q=lamp --rate 200 --duration 30
    """
    try:
        report = run(
            url,
            _load_scenario(scenario, url),
            rate=rate,
            duration_seconds=duration,
            warmup_seconds=warmup,
            max_in_flight=max_in_flight,
            timeout_seconds=timeout,
            seed=seed,
            on_progress=_progress(warmup + duration) if sys.stderr.isatty() else None,
        )
    except OpenloadError as error:
        click.echo(f"openload: {error}", err=True)
        raise SystemExit(2) from None
    if json_file is None or json_file.name != "<stdout>":
        click.echo(report.as_table())
    if json_file is not None:
        json_file.write(json.dumps(report.as_json(), indent=2) + "\n")
    raise SystemExit(1 if report.errors or report.skipped else 0)


def _load_scenario(name: str | None, url: str) -> Scenario:
    if name is None:
        parts = urlsplit(url)
        return Scenario.single("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    try:
        found = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise OpenloadError(f"scenario must be MODULE:NAME, got {name!r} ({error})") from None
    scenario = found() if callable(found) else found
    if not isinstance(scenario, Scenario):
        raise OpenloadError(f"scenario must be a Scenario or return one, got {type(scenario).__name__} from {name!r}")
    return scenario


def _progress(total_seconds: float) -> Callable[[float], object]:
    def show(seconds: float) -> None:
        click.echo(f"\r{seconds:5.1f} of {total_seconds:g} s", nl=False, err=True)
        if seconds + 0.25 >= total_seconds:
            click.echo("\r" + " " * 20 + "\r", nl=False, err=True)

    return show


if __name__ == "__main__":
    main(prog_name="python -m tools.openload")
