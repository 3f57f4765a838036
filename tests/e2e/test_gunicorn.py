"""A preforking server that preloads its program and recycles its workers, under `lowtide run`."""

import contextlib
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lowtide.profile import Profile, merge
from tests.e2e.programs import comments, environment, profiles, script

pytest.importorskip("lowtide._core", reason="the extension is not built")
pytest.importorskip("gunicorn")

APP = """
    def load():
        return [bytes(1000) for _ in range(200)]

    def handle():
        return b"".join([bytes(1000) for _ in range(50)])

    catalogue = load()

    def app(environ, start_response):
        body = handle()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
"""
REQUESTS, BEFORE_A_WORKER_GOES, WORKERS = 60, 10, 2


def cum(profile: Profile, function: str, sample_type: str) -> int:
    return sum(row.cum for row in profile.top(10_000, sample_type, "function") if row.name == f"shop.{function}")


def get(address: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(address))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return b"".join(iter(lambda: client.recv(1 << 16), b""))


def get_when_it_listens(address: Path, server: "subprocess.Popen[bytes]") -> bytes:
    while server.poll() is None:
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            return get(address)
        time.sleep(0.05)
    raise AssertionError(f"gunicorn ended with {server.returncode}")


def test_recycled_workers_leave_their_profiles_and_count_the_preloaded_once(tmp_path: Path) -> None:
    script(tmp_path, APP, "shop.py")
    address = tmp_path / "socket"
    options = ["--preload", f"--workers={WORKERS}", f"--max-requests={BEFORE_A_WORKER_GOES}", f"--bind=unix:{address}"]
    command = [sys.executable, "-m", "lowtide", "run", "--heap-interval", "1", "-m", "gunicorn", *options, "shop:app"]
    log = tmp_path / "log"
    with log.open("w") as stderr, subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=stderr) as server:
        try:
            answers = [get_when_it_listens(address, server), *(get(address) for _ in range(REQUESTS - 1))]
        finally:
            server.terminate()

    assert server.returncode == 0, log.read_text()
    assert "Traceback" not in log.read_text()
    assert "Warning" not in log.read_text()
    assert {answer.partition(b" ")[2][:3] for answer in answers} == {b"200"}
    found = profiles(tmp_path / "lowtide-out")
    master = found.pop(server.pid)
    assert len(found) >= REQUESTS // BEFORE_A_WORKER_GOES - WORKERS + 1
    assert all(comments(worker, "ancestor") == comments(master, "process") for worker in found.values())
    assert sum(cum(worker, "handle", "alloc_objects") > 0 for worker in found.values()) > WORKERS
    assert cum(master, "load", "inuse_space") >= 200 * 1000
    assert {cum(worker, "load", "alloc_space") for worker in found.values()} == {0}
    assert cum(merge([master, *found.values()]), "load", "inuse_space") == cum(master, "load", "inuse_space")
