"""`make demo` and `make profile` as a user runs them, only shorter."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from lowtide.profile import Profile

ROOT = Path(__file__).parents[2]
SITE = re.compile(r"  [123]\. \S.* ± .+ +[0-9.]+%  (?P<name>\S+)  (?P<file>.+):(?P<line>\d+)")


def _command(verb: str, out: Path, seconds: float) -> list[str]:
    return [sys.executable, "-m", "examples.demo", verb, "--out", str(out), "--seconds", str(seconds)]


def _service_pid(stdout: str) -> int:
    found = re.search(r"process (\d+)", stdout)
    assert found is not None, stdout
    return int(found[1])


def _is_running(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_the_demo_names_the_sites_and_leaves_the_profile(tmp_path: Path) -> None:
    result = subprocess.run(_command("demo", tmp_path, 2), cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert (result.returncode, result.stderr) == (0, "")
    sites = list(SITE.finditer(result.stdout))
    assert len(sites) == 9, result.stdout
    for heading in (
        "alloc_objects: where memory churns",
        "alloc_space: where pressure",
        "inuse_space: what is retained",
    ):
        assert heading in result.stdout
    # The words of a product, and the index that keeps them, are what this service is about.
    assert "examples.catalogue.index.words" in {site["name"] for site in sites[3:6]}
    assert "examples.catalogue.index.Index.add" in {site["name"] for site in sites[6:]}
    assert all(Path(ROOT, site["file"]).is_file() for site in sites if not site["file"].startswith("<"))
    assert "responses/s of 60/s asked for" in result.stdout
    assert "errors" not in result.stdout

    profile = Profile.read(tmp_path / "heap.pb.gz")
    assert profile.period == 512 * 1024
    # 20,000 products and their index; what the requests needed is gone.
    assert 20e6 < profile.total("inuse_space") < profile.total("alloc_space") / 5
    assert (tmp_path / "flame.html").read_text().lower().startswith("<!doctype html>")
    assert str(tmp_path / "flame.html") in result.stdout
    assert not _is_running(_service_pid(result.stdout))


def test_make_profile_leaves_pages_that_link_only_what_is_there(tmp_path: Path) -> None:
    result = subprocess.run(_command("profile", tmp_path, 2), cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert (result.returncode, result.stderr) == (0, "")
    page = (tmp_path / "index.html").read_text()
    links = set(re.findall(r'href="([^"]+)"', page)) - {"data:,"}
    assert links == {path.name for path in tmp_path.iterdir()} - {"index.html"}
    assert "http" not in re.sub(r"http://127\.0\.0\.1:\d+", "", page)
    assert "examples.catalogue.index.Index.add" in page

    heap, allocs = Profile.read(tmp_path / "heap.pb.gz"), Profile.read(tmp_path / "allocs.pb.gz")
    assert allocs.default_sample_type == "alloc_space"
    assert allocs.samples == heap.samples
    assert json.loads((tmp_path / "load.json").read_text())["errors"] == {}
    for sample_type in ("alloc_objects", "alloc_space", "inuse_space"):
        assert sample_type in (tmp_path / f"top-{sample_type}.txt").read_text()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_demo_stops_its_service(tmp_path: Path, number: signal.Signals, code: int) -> None:
    command = _command("demo", tmp_path, 60)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = ""
        while "loading" not in lines:
            line = process.stdout.readline()
            assert line, lines
            lines += line
        time.sleep(0.5)
        assert _is_running(_service_pid(lines))
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert not _is_running(_service_pid(lines))


def test_a_service_that_does_not_start_is_reported_with_what_it_printed(tmp_path: Path) -> None:
    (tmp_path / "starlette.py").write_text("raise ImportError('starlette is broken here')\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = _command("demo", tmp_path / "out", 1)
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert result.stderr.startswith("demo: the service did not start (exit code 1); it printed:\n")
    assert result.stderr.endswith("starlette is broken here\n")
