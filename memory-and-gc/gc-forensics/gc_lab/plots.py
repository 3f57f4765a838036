"""The lab's pictures, as SVG: how many requests took longer than what; what a policy costs in time and memory."""

import math
from collections.abc import Iterable, Sequence
from html import escape

from gc_lab import figures, histogram
from gc_lab.figures import Cells
from gc_lab.policies import POLICIES
from gc_lab.workloads import WORKLOADS

# Told apart by people who see colours differently too (after Okabe and Ito); the pacer's is the darkest.
COLOURS = dict(
    zip(
        ("stock", "threshold", "freeze", "freeze+threshold", "disable", "periodic", "pacer", "pacer+guard"),
        ("#d55e00", "#e69f00", "#56b4e9", "#cc79a7", "#999999", "#009e73", "#000000", "#0072b2"),
        strict=True,
    )
)
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _LEGEND = 860, 420, 62, 46, 34, 200


class Chart:
    """Axes, grid, legend; scales turn values into places, and log ones are asked for by name."""

    def __init__(
        self,
        title: str,
        x: tuple[str, float, float],
        y: tuple[str, float, float],
        *,
        is_x_log: bool = False,
        is_y_log: bool = False,
    ) -> None:
        self._x, self._y, self._is_x_log, self._is_y_log = x, y, is_x_log, is_y_log
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"'
            ' font-size="12">',
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
            f'<text x="{_LEFT}" y="20" font-size="14" font-weight="bold">{escape(title)}</text>',
        ]
        right, bottom = _WIDTH - _LEGEND, _HEIGHT - _BOTTOM
        for value in ticks(*x[1:], is_log=is_x_log):
            at = self.x(value)
            self._parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{bottom}" stroke="#ddd"/>')
            self._parts.append(f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{value:g}</text>')
        for value in ticks(*y[1:], is_log=is_y_log):
            at = self.y(value)
            self._parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
            self._parts.append(f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{value:g}</text>')
        self._parts.append(
            f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x[0])}</text>'
        )
        self._parts.append(
            f'<text x="14" y="{(_TOP + bottom) / 2}" text-anchor="middle"'
            f' transform="rotate(-90 14 {(_TOP + bottom) / 2})">{escape(y[0])}</text>'
        )
        self._legend_y = _TOP + 10

    def x(self, value: float) -> float:
        return _LEFT + _place(value, *self._x[1:], is_log=self._is_x_log) * (_WIDTH - _LEGEND - _LEFT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - _place(value, *self._y[1:], is_log=self._is_y_log) * (_HEIGHT - _BOTTOM - _TOP)

    def line(self, name: str, colour: str, points: Sequence[tuple[float, float]]) -> None:
        places = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        width = 2.5 if name == "pacer" else 1.5
        self._parts.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        self._note(name, colour)

    def dot(self, name: str, colour: str, x: float, y: float) -> None:
        self._parts.append(f'<circle cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="6" fill="{colour}"/>')
        self._note(name, colour)

    def _note(self, name: str, colour: str) -> None:
        at = _WIDTH - _LEGEND + 16
        self._parts.append(f'<rect x="{at}" y="{self._legend_y - 8}" width="14" height="8" fill="{colour}"/>')
        self._parts.append(f'<text x="{at + 20}" y="{self._legend_y}">{escape(name)}</text>')
        self._legend_y += 20

    def svg(self) -> str:
        return "\n".join([*self._parts, "</svg>\n"])


def all_plots(cells: Cells) -> dict[str, str]:
    """Return every picture by its file's name."""
    found = {}
    for name in WORKLOADS:
        for load in cells.loads(name):
            if any("latency" in run for policy in POLICIES for run in cells.get(name, policy, load)):
                found[f"latency-{name}-{load}.svg"] = latency_plot(cells, name, load)
        if name in ("static", "cycles") and cells.loads(name):
            found[f"cost-{name}.svg"] = cost_plot(cells, name)
    return found


def latency_plot(cells: Cells, workload: str, load: str) -> str:
    """Return the share of the requests that took longer, a line for each policy."""
    lines = {
        policy: [
            (seconds * 1e3, share) for seconds, share in histogram.exceeding(_merged(cells, workload, policy, load))
        ]
        for policy in POLICIES
    }
    points = [point for line in lines.values() for point in line]
    low, high = min(x for x, _ in points), max(x for x, _ in points)
    title = f"{WORKLOADS[workload].title}, {load}{' % of capacity' if load.isdigit() else ''}"
    chart = Chart(
        title,
        ("latency from when the request was due, ms", low, high),
        ("share of the requests that took longer", min(y for _, y in points), 1),
        is_x_log=True,
        is_y_log=True,
    )
    for policy, line in lines.items():
        if line:
            chart.line(policy, COLOURS[policy], line)
    return chart.svg()


def cost_plot(cells: Cells, workload: str) -> str:
    """Return the collector's share of the time against the peak of memory, a dot for each policy, at 60 %."""
    dots = {
        policy: (figures.peak_mib(runs), 100 * figures.gc_share(runs))
        for policy in POLICIES
        if (runs := cells.get(workload, policy, 60) or cells.get(workload, policy, cells.loads(workload)[0]))
    }
    chart = Chart(
        f"{WORKLOADS[workload].title}, 60 % of capacity",
        ("peak RSS, MiB", 0, 1.05 * max(x for x, _ in dots.values())),
        ("collector's share of the time, %", 0, max(1.05 * max(y for _, y in dots.values()), 1)),
    )
    for policy, (x, y) in dots.items():
        chart.dot(policy, COLOURS[policy], x, y)
    return chart.svg()


def ticks(low: float, high: float, *, is_log: bool) -> Iterable[float]:
    """Return round values from `low` to `high`."""
    if is_log:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        return [
            value for decade in decades for part in (1, 2, 5) if low <= (value := float(f"{part}e{decade}")) <= high
        ]
    step = 10.0 ** math.floor(math.log10(max(high - low, 1e-9)))
    step = next(step * part for part in (0.2, 0.5, 1, 2) if (high - low) / (step * part) <= 6)
    return [low + step * n for n in range(int((high - low) / step + 1e-9) + 1)]


def _place(value: float, low: float, high: float, *, is_log: bool) -> float:
    if is_log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low or 1)


def _merged(cells: Cells, workload: str, policy: str, load: str) -> histogram.Histogram:
    return histogram.merge(run["latency"] for run in cells.get(workload, policy, load))
