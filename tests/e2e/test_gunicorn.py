"""A real gunicorn that preloads its application and recycles its workers, loaded while it is profiled.

The master imports the application and forks; workers end after a few requests and others take their place.
"""

import http.client
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from lowtide.profile import Profile, merge
from tests.e2e.programs import comments, environment, profiles, script, sites

pytest.importorskip("lowtide._core", reason="the extension is not built")
pytest.importorskip("gunicorn", reason="gunicorn is not installed")

APPLICATION = """
import json

def load_catalogue():
    return [{"name": f"product {n}", "block": bytes(2000)} for n in range(2000)]

CATALOGUE = load_catalogue()
CACHE = []

def fill_cache(block):
    CACHE.append(block)
    del CACHE[:-100]

def application(environ, start_response):
    fill_cache(bytes(3000))
    body = json.dumps([item["name"] for item in CATALOGUE[:200]]).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

MAX_REQUESTS = 60


class Server:
    """What the load saw, and the server's own log."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self.port = 0
        self.answers: list[int] = []
        self.failures: list[Exception] = []

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_until_ready(self) -> None:
        patience = time.monotonic() + 60
        while not (found := re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", self.log)):
            assert time.monotonic() < patience, self.log
            time.sleep(0.05)
        self.port = int(found[1])

    def load(self, seconds: float, clients: int = 4) -> None:
        """Send request after request. A connection may fall to a worker that is leaving: it is tried again."""
        end = time.monotonic() + seconds

        def client() -> None:
            while time.monotonic() < end:
                for attempt in range(3):
                    try:
                        self.answers.append(self.get())
                        break
                    except (OSError, http.client.HTTPException) as error:
                        if attempt == 2:
                            self.failures.append(error)

        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def get(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            assert len(response.read()) > 2000
            return response.status
        finally:
            connection.close()


@contextmanager
def gunicorn(tmp_path: Path, *options: str, heap: str) -> Iterator[Server]:
    script(tmp_path, APPLICATION, "application.py")
    log = tmp_path / "log"
    command = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "--chdir", str(tmp_path), "--preload"]
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, "--max-requests", str(MAX_REQUESTS), "--workers", "2", *options, "application"],
            env=environment(LOWTIDE_HEAP=f"{heap},out={tmp_path / 'out'}"),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    server = Server(log)
    try:
        server.wait_until_ready()
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()
        process.wait()
    assert process.returncode == 0, server.log


def blocks(profile: Profile, function: str) -> tuple[int, int]:
    """Give the bytes in use that were allocated under a function of the application: own, and inherited."""
    own = inherited = 0
    for sample in profile.samples:
        if any(location.lines[0].function.name == f"application.{function}" for location in sample.locations):
            alloc_space, inuse_space = sample.values[1], sample.values[3]
            if any(label.key == "origin" for label in sample.labels):
                assert alloc_space == 0
                inherited += inuse_space
            else:
                own += inuse_space
    return own, inherited


def check(server: Server, tmp_path: Path, generations: int) -> None:
    assert set(server.answers) == {200}
    assert server.failures == []
    assert not re.search("SIG(SEGV|ABRT|BUS|KILL)|Traceback|lowtide|TIMEOUT|exited with code", server.log), server.log
    booted = [int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", server.log)]
    assert len(booted) >= generations

    found = profiles(tmp_path / "out")
    (master_pid,) = map(int, re.findall(r"\[(\d+)\] \[INFO\] Listening", server.log))
    master, workers = found.pop(master_pid), found
    # One that was told to leave before it had served anything may have nothing to tell.
    assert len(set(booted) & set(workers)) >= len(booted) - 2
    (process,) = comments(master, "process")
    loaded, _ = blocks(master, "load_catalogue")
    assert loaded > 2000 * 2000
    for worker in workers.values():
        assert process in comments(worker, "ancestor")
        assert blocks(worker, "load_catalogue") == (0, loaded)
    merged = merge([master, *workers.values()])
    assert blocks(merged, "load_catalogue") == (loaded, 0)
    assert any("application.application" in name for name in sites(merged))


def test_recycled_workers_are_profiled_and_what_they_share_is_counted_once(tmp_path: Path) -> None:
    with gunicorn(tmp_path, heap="interval=8KiB,every=1s") as server:
        server.load(seconds=4)
    check(server, tmp_path, generations=4)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_recycling_goes_on_for_long(tmp_path: Path, worker: str) -> None:
    if worker == "gevent":
        pytest.importorskip("gevent")
    with gunicorn(tmp_path, "--worker-class", worker, "--threads", "4", heap="interval=8KiB,every=1s") as server:
        server.load(seconds=60, clients=8)
    check(server, tmp_path, generations=20)
