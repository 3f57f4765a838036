"""What was measured, as Markdown: for the terminal, and for the README."""

import re
from collections.abc import Sequence

from gc_lab import figures
from gc_lab.buffers import LONG_SECONDS, SHORT_SECONDS
from gc_lab.figures import Cells
from gc_lab.histogram import bootstrap
from gc_lab.pairs import TITLES, Pair, relative_error
from gc_lab.policies import POLICIES
from gc_lab.promises import verdicts
from gc_lab.workloads import WORKLOADS

_MET = {True: "met", False: "**missed**", None: ""}


def all_tables(cells: Cells, pairs: Sequence[Pair]) -> dict[str, str]:
    """Return every table by the name of its place in the README."""
    return {
        "promises": promises_table(cells, pairs),
        "latency": "\n\n".join(
            f"**{name}**: {WORKLOADS[name].title}; {load}{' % of capacity' if load.isdigit() else ''}"
            f", {cells.get(name, 'stock', load)[0]['rate']:.0f} requests/s, {_repeats(cells, name, load)} repeats of "
            f"{cells.get(name, 'stock', load)[0]['asked_seconds']:g} s\n\n{latency_table(cells, name, load)}"
            for name in WORKLOADS
            for load in cells.loads(name)
            if load != "until killed" and cells.get(name, "stock", load)
        ),
        "leak": leak_table(cells),
        "prefork": prefork_table(cells),
        "buffers": buffers_table(cells),
        "pairs": pairs_table(pairs),
    }


def promises_table(cells: Cells, pairs: Sequence[Pair]) -> str:
    rows = [[v.what, v.wanted, v.stock, v.pacer, _MET[v.is_met]] for v in verdicts(cells, pairs)]
    return table(["what", "must reach", "stock", "pacer", ""], rows)


def latency_table(cells: Cells, workload: str, load: str) -> str:
    rows = []
    for policy in POLICIES:
        if runs := cells.get(workload, policy, load):
            tail = bootstrap(runs, figures.latency_at(0.999))
            rows.append(
                [
                    f"`{policy}`",
                    *(f"{figures.latency_at(share)(runs) * 1e3:.2f}" for share in (0.5, 0.99)),
                    f"{tail.value * 1e3:.1f} ({tail.low * 1e3:.1f} to {tail.high * 1e3:.1f})",
                    f"{figures.latency_at(1)(runs) * 1e3:.1f}",
                    f"{figures.longest_pause_in_request_ms(runs):.1f}",
                    f"{figures.full_in_requests(runs)}",
                    f"{figures.gc_cpu_us_a_request(runs):.0f}",
                    f"{figures.cpu_us_a_request(runs):.0f}",
                    f"{figures.peak_mib(runs):.0f}",
                ]
            )
    titles = ["policy", "p50, ms", "p99", "p99.9 (95 %)", "max", "longest pause in a request, ms"]
    titles += ["full ones in requests", "collector's CPU a request, µs", "all CPU a request, µs", "peak RSS, MiB"]
    return table(titles, rows)


def leak_table(cells: Cells) -> str:
    rows = []
    for policy in POLICIES:
        if runs := cells.get("leak", policy, "until killed"):
            served = bootstrap(runs, lambda drawn: figures.requests(drawn) / len(drawn))
            rows.append(
                [
                    f"`{policy}`",
                    f"{served.value:,.0f} ({served.low:,.0f} to {served.high:,.0f})",
                    f"{figures.gc_share(runs):.1%}",
                    f"{figures.longest_pause_in_request_ms(runs):.0f}",
                ]
            )
    return table(["policy", "requests until killed (95 %)", "collector's share of time", "longest pause, ms"], rows)


def prefork_table(cells: Cells) -> str:
    rows = [
        [
            f"`{policy}`",
            load,
            str(sum(run["kills"] for run in runs)),
            f"{sum(run['responses'] for run in runs):,}",
            str(sum(run["full_collections"] for run in runs)),
            str(sum(run["overlaps"] for run in runs)),
            f"{max(run['peak_pss_bytes'] for run in runs) / 2**20:.0f}",
            f"{max(run['peak_usage_bytes'] for run in runs) / 2**20:.0f}",
        ]
        for load in ("limited", "unlimited")
        for policy in POLICIES
        if (runs := cells.get("prefork", policy, load))
    ]
    titles = ["policy", "cgroup", "workers killed", "answers", "full collections", "at once", "PSS, MiB", "usage, MiB"]
    return table(titles, rows)


def buffers_table(cells: Cells) -> str:
    rows = []
    for load in cells.loads("buffers"):
        for policy in POLICIES:
            for run in cells.get("buffers", policy, load):
                names = ("live_bytes", "burst_bytes", "after_short_bytes", "after_long_bytes")
                mib = [run[name] / 2**20 for name in names]
                rows.append([f"`{policy}`", load, *(f"{value:.0f}" for value in mib), f"{mib[3] / mib[0]:.2f}"])
    titles = ["policy", "limit", "living, MiB", "end of the burst", f"{SHORT_SECONDS:g} s later"]
    return table([*titles, f"{LONG_SECONDS:g} s later", "then held / living"], rows)


def pairs_table(pairs: Sequence[Pair]) -> str:
    """Return how far predictions are off, a table for each workload and figure: recorded down, simulated across."""
    errors = {
        (pair["workload"], pair["figure"], pair["recorded"], pair["simulated"]): relative_error(pair) for pair in pairs
    }
    parts = []
    for workload, figure in dict.fromkeys((pair["workload"], pair["figure"]) for pair in pairs):
        simulated = list(dict.fromkeys(pair["simulated"] for pair in pairs))
        rows = [
            [f"`{recorded}`", *(_error(errors[workload, figure, recorded, name]) for name in simulated)]
            for recorded in dict.fromkeys(pair["recorded"] for pair in pairs)
        ]
        titles = ["recorded \\ simulated", *(f"`{name}`" for name in simulated)]
        parts.append(f"**{workload}**, {TITLES[figure]}, off by:\n\n{table(titles, rows)}")
    return "\n\n".join(parts) or "Not measured."


def _error(error: float | None) -> str:
    return "-" if error is None else f"{error:.0%}"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return "Not measured."
    widths = [max(len(row[i]) for row in (titles, *rows)) for i in range(len(titles))]
    lines = [titles, ["-" * max(width, 3) for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def fill_in(text: str, tables: dict[str, str]) -> str:
    """Put the tables into a document, each between `<!-- NAME -->` and `<!-- end -->`."""

    def found(match: re.Match[str]) -> str:
        return f"<!-- {match[1]} -->\n{tables[match[1]]}\n<!-- end -->" if match[1] in tables else match[0]

    return re.sub(r"<!-- (\w+) -->\n.*?<!-- end -->", found, text, flags=re.DOTALL)


def _repeats(cells: Cells, workload: str, load: str) -> int:
    return len(cells.get(workload, "stock", load))
