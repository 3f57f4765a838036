"""Percentiles, the table and the JSON of a run."""

import json
from collections import Counter

import pytest

from tools.openload.report import Latency, Report


def _report() -> Report:
    report = Report("http://127.0.0.1:1", rate=100, duration_seconds=10, warmup_seconds=1, seed=3, max_in_flight=8)
    report.outcomes = Counter({"200": 998, "503": 1, "timeout": 1})
    report.elapsed_seconds = 10.0
    for name in ("get", "search"):
        report.steps[name] = Latency()
    for i in range(1000):
        seconds = (i + 1) / 1000
        report.latency.record(seconds)
        report.steps["get" if i % 2 else "search"].record(seconds)
    return report


@pytest.mark.parametrize("percent", [50, 90, 99, 99.9, 100])
def test_percentiles_are_right_to_three_digits(percent: float) -> None:
    assert _report().latency.percentile(percent) == pytest.approx(percent / 100, rel=2e-3)


@pytest.mark.parametrize(("seconds", "recorded"), [(-0.001, 1e-6), (0, 1e-6), (1e9, 3600)])
def test_a_latency_outside_the_range_is_recorded_at_its_edge(seconds: float, recorded: float) -> None:
    latency = Latency()
    latency.record(seconds)
    assert latency.percentile(50) == pytest.approx(recorded, rel=2e-3)


def test_the_json_holds_every_figure() -> None:
    data = json.loads(json.dumps(_report().as_json()))
    assert data["schema"] == 1
    assert data["sent"] == 1000
    assert data["responses"] == 999
    assert data["achieved_rate"] == 99.9
    assert data["outcomes"] == {"200": 998, "503": 1, "timeout": 1}
    assert data["errors"] == {"503": 1, "timeout": 1}
    assert list(data["latency_seconds"]) == ["count", "p50", "p90", "p99", "p99.9", "max"]
    assert data["steps"]["get"]["count"] == data["steps"]["search"]["count"] == 500


def test_the_table_has_a_line_for_each_step_and_one_for_all() -> None:
    lines = _report().as_table().splitlines()
    assert lines[0].split() == ["latency,", "ms", "requests", "p50", "p90", "p99", "p99.9", "max"]
    assert [line.split()[:2] for line in lines[1:4]] == [["get", "500"], ["search", "500"], ["all", "1000"]]
    assert len({len(line) for line in lines[:4]}) == 1
    assert "errors: 1 x 503, 1 x timeout" in lines


def test_an_empty_run_has_a_table_and_json() -> None:
    report = Report("http://127.0.0.1:1", rate=1, duration_seconds=1, warmup_seconds=0, seed=0, max_in_flight=1)
    assert report.as_json()["latency_seconds"]["p99"] == 0
    assert "0.0 responses/s of 1/s asked for" in report.as_table()
