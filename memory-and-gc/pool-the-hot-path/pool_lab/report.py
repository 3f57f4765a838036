"""What was measured, as Markdown: for the terminal, and for the README."""

from collections.abc import Mapping, Sequence

from benchmarks.measure import Ratio
from pool_lab.candidates import Ruling
from pool_lab.operation import Counts
from pool_lab.whole_requests import SHARES, Latencies

Requests = Mapping[str, Mapping[str, tuple[float, float]]]  # variant -> what -> blocks and bytes


def candidates_table(rulings: Sequence[Ruling]) -> str:
    rows = [
        [
            ruling.candidate.kind,
            ruling.candidate.remark,
            f"{ruling.blocks[0]:g} -> {ruling.blocks[1]:g}",
            f"{ruling.bytes[0]:,.0f} -> {ruling.bytes[1]:,.0f}",
            _ratio(ruling.time),
            _ratio(ruling.null),
            "win" if ruling.wins else "loss",
        ]
        for ruling in rulings
    ]
    return _table(["kind", "measured with", "blocks", "bytes", "time, pooled / new", "new / new", "ruling"], rows)


def operation_table(counts: Counts, times: Mapping[str, Ratio]) -> str:
    before = counts["before"]
    rows = [
        [
            f"`{name}`",
            f"{count['blocks']:,.0f}",
            _change(before["blocks"], count["blocks"]),
            f"{count['bytes']:,.0f}",
            _change(before["bytes"], count["bytes"]),
            *([_ratio(times[name]) if name in times else "1"] if times else []),
        ]
        for name, count in counts.items()
    ]
    if times:
        rows.append(["`before` again", "", "", "", "", _ratio(times["again"])])
    return _table(["version", "blocks", "", "bytes", "", *(["time"] if times else [])], rows)


def requests_table(requests: Requests) -> str:
    rows = []
    for what, (blocks, size) in requests["before"].items():
        after = requests["after"][what]
        for unit, b, a in (("blocks", blocks, after[0]), ("bytes", size, after[1])):
            rows.append([f"{what}: {unit} a request", f"{b:,.0f}", f"{a:,.0f}", _change(b, a)])
    return _table(["", "before", "after", ""], rows)


def latency_table(latencies: Latencies) -> str:
    rows = []
    for (share, metric), found in latencies.differences.items():
        assert share in SHARES
        rows.append(
            [
                f"{share:.0%} ({share * latencies.capacity:.0f}/s)",
                metric,
                f"{found.before * 1e3:.2f}",
                f"{found.after * 1e3:.2f}",
                f"{found.difference * 1e3:+.2f}",
                f"{found.low * 1e3:+.2f} to {found.high * 1e3:+.2f}",
                f"{found.difference / found.before:+.0%}" if found.is_told_from_zero else "not told from 0",
            ]
        )
    titles = ["of capacity", "latency, ms", "before", "after", "difference", "95 % interval", ""]
    return (
        f"{_table(titles, rows)}\n\n{latencies.rounds} pairs of {latencies.seconds:g} s at each rate; capacity "
        f"{latencies.capacity:.0f} requests/s; {latencies.late:.1%} of the requests left the load generator late."
    )


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in (titles, *rows)) for i in range(len(titles))]
    lines = [titles, ["-" * max(width, 3) for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def _ratio(ratio: Ratio) -> str:
    return f"{ratio.value:.2f} ± {ratio.spread:.2f}"


def _change(before: float, after: float) -> str:
    return f"{after / before - 1:+.1%}"
