"""`python -m tools.openload`."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import OK, LocalServer

ROOT = Path(__file__).parents[3]
SCENARIO = """
from tools.openload import Request, Scenario, Step

def mix():
    return Scenario(Step("a", 1, lambda _: Request("GET", "/a")), Step("b", 1, lambda _: Request("GET", "/b")))
"""


def _openload(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.openload", *map(str, arguments), "--duration", "0.2", "--warmup", "0"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_a_run_prints_a_table_and_writes_json(serve: Callable[..., LocalServer], tmp_path: Path) -> None:
    server = serve()
    path = tmp_path / "load.json"
    result = _openload(f"{server.url}/search?q=lamp", "--rate", 50, "--json", path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "GET /search?q=lamp" in result.stdout
    assert json.loads(path.read_text())["outcomes"] == {"200": 10}
    assert {request.split(b"\r\n")[0] for request in server.requests} == {b"GET /search?q=lamp HTTP/1.1"}


def test_json_on_stdout_replaces_the_table(serve: Callable[..., LocalServer]) -> None:
    result = _openload(serve().url, "--json", "-")
    assert json.loads(result.stdout)["sent"] == 10


def test_a_scenario_is_loaded_by_name(
    serve: Callable[..., LocalServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mixes.py").write_text(SCENARIO)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = _openload(serve().url, "--scenario", "mixes:mix", "--json", "-")
    assert set(json.loads(result.stdout)["steps"]) == {"a", "b"}


def test_failed_requests_make_the_exit_code_1(serve: Callable[..., LocalServer]) -> None:
    result = _openload(serve(OK.replace(b"200 OK", b"500 Oops")).url)
    assert result.returncode == 1
    assert "errors: 10 x 500" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["http://127.0.0.1:1"], "no server answers at http://127.0.0.1:1 (connection refused): start it first"),
        (["http://example.com"], "target must be on this machine (127.0.0.0/8, ::1 or localhost), got 'example.com'"),
        (["http://127.0.0.1:1", "--rate", "0"], "rate must be > 0, got 0.0"),
        (["http://127.0.0.1:1", "--scenario", "no_such:x"], "scenario must be MODULE:NAME, got 'no_such:x' ("),
        (["http://127.0.0.1:1", "--scenario", "os:getcwd"], "scenario must be a Scenario or return one, got str from"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: list[str], message: str) -> None:
    result = _openload(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(f"openload: {message}")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
