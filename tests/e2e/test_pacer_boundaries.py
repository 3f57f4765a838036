"""Real servers and workers behind the boundaries: what they answer, and that safe points come after the response.

Each program's listener waits at the end of the first request until the client has the whole response: were it told
before that is sent, the client would time out.
"""

import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.programs import environment, python, script

pytest.importorskip("lowtide._core", reason="the extension is not built")

ASGI = """
import asyncio, gc, json, sys, threading, time, urllib.request
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from lowtide import _core
from lowtide.pacer import boundaries, idle
from lowtide.pacer.boundaries import in_flight, in_request
from lowtide.pacer.middleware import asgi

moments, told, answered = [], threading.Event(), threading.Event()
background = []

def listener(moment, idle_seconds):
    moments.append(moment.name)
    if moment.name != "IDLE" and not told.is_set():
        told.set()
        report["answered"] = answered.wait(30)

async def plain(request):
    gc.collect()
    await asyncio.sleep(0.001)
    return JSONResponse([in_request(), in_flight()])

def in_thread(request):
    gc.collect()
    return JSONResponse([in_request(), in_flight()])

async def stream(request):
    async def blocks():
        for _ in range(3):
            yield str(in_request())
            await asyncio.sleep(0.001)
    return StreamingResponse(blocks())

async def failing(request):
    raise ZeroDivisionError

def work():
    background.append(in_request())

async def with_background(request):
    return PlainTextResponse("answered", background=BackgroundTask(work))

async def socket(websocket):
    await websocket.accept()
    for _ in range(3):
        await websocket.send_json([await websocket.receive_text(), in_request(), in_flight()])
    await websocket.close()

app = Starlette(
    routes=[
        Route("/plain", plain), Route("/thread", in_thread), Route("/stream", stream), Route("/failing", failing),
        Route("/background", with_background), WebSocketRoute("/socket", socket),
    ],
    middleware=[Middleware(asgi)],
)

def get(path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as response:
            return response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code

def wait_for(condition):
    patience = time.monotonic() + 30
    while not condition() and time.monotonic() < patience:
        time.sleep(0.01)
    return condition()

def client():
    import websocket
    wait_for(lambda: server.started)
    global port
    port = server.servers[0].sockets[0].getsockname()[1]
    report["first"] = get("/plain")
    report["told"] = told.wait(30)
    answered.set()
    for path in ("/plain", "/thread", "/stream", "/failing", "/background"):
        report[path] = get(path)
    connection = websocket.create_connection(f"ws://127.0.0.1:{port}/socket", timeout=30)
    report["socket"] = []
    for n in range(3):
        report.setdefault("between", []).append(wait_for(lambda: in_flight() == 0))
        connection.send(str(n))
        report["socket"].append(json.loads(connection.recv()))
    connection.close()
    threads = [threading.Thread(target=lambda: [get("/plain") for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report["quiet"] = wait_for(lambda: moments[-1] == "IDLE")
    server.should_exit = True

report = {}
_core.gc_watch(True)
boundaries.listen(listener)
idle.wanted = True

async def main():
    idle.adopt_running_loop()
    thread = threading.Thread(target=client)
    thread.start()
    await server.serve()
    thread.join()

server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", ws=sys.argv[2], http="h11"))
if sys.argv[1] == "uvloop":
    import uvloop
    factory = uvloop.new_event_loop
else:
    factory = asyncio.new_event_loop
with asyncio.Runner(loop_factory=factory) as runner:
    runner.run(main())
explicit = [record for record in _core.gc_records(0) if record[20].startswith(__file__)]
report |= {"in_flight": in_flight(), "background": background, "collections": sorted({r[19] for r in explicit})}
print(json.dumps(report))
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_uvicorn_and_starlette_behind_the_middleware(tmp_path: Path, loop: str) -> None:
    for module in ("uvicorn", "starlette", "websocket", "wsproto", loop):
        pytest.importorskip(module, reason=f"{module} is not installed")
    done = python(script(tmp_path, ASGI), loop, "wsproto")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert json.loads(report["first"]) == [True, 1]
    assert report["told"]
    assert report["answered"]
    assert json.loads(report["/plain"]) == json.loads(report["/thread"]) == [True, 1]
    assert report["/stream"] == "TrueTrueTrue"
    assert report["/failing"] == 500
    assert report["/background"] == "answered"
    assert report["background"] == [False]
    assert report["socket"] == [["0", True, 1], ["1", True, 1], ["2", True, 1]]
    assert all(report["between"]), "an open websocket that waits is not in flight"
    assert report["quiet"]
    assert report["in_flight"] == 0
    assert report["collections"] == [True], "all were made by requests, in the loop or for them in a thread"


WSGI = """
import http.client, io, json, threading
from wsgiref.simple_server import WSGIRequestHandler, make_server
from lowtide.pacer import boundaries
from lowtide.pacer.boundaries import in_flight, in_request
from lowtide.pacer.middleware import wsgi

moments, told, answered = [], threading.Event(), threading.Event()

def listener(moment, idle_seconds):
    moments.append(moment.name)
    if not told.is_set():
        told.set()
        report["answered"] = answered.wait(30)

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/failing":
        raise ZeroDivisionError
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/stream":
        return (str(in_request()).encode() for _ in range(3))
    if path == "/file":
        return environ["wsgi.file_wrapper"](io.BytesIO(b"contents"))
    if path == "/write":
        write(b"written ")
    return [f"{in_request()} {in_flight()}".encode()]

class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass
    def get_stderr(self):
        return io.StringIO()

server = make_server("127.0.0.1", 0, wsgi(application), handler_class=Quiet)
threading.Thread(target=server.serve_forever).start()

def get(path):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request("GET", path)
    response = connection.getresponse()
    length = response.getheader("Content-Length")
    return [response.status, int(length) if length else None, response.read().decode() if length else None]

report = {}
boundaries.listen(listener)
report |= {"first": get("/"), "told": told.wait(30)}
answered.set()
for path in ("/", "/stream", "/file", "/write", "/failing"):
    report[path] = get(path)
server.shutdown()
server.server_close()
print(json.dumps(report | {"in_flight": in_flight(), "moments": moments}))
"""


def test_the_standard_librarys_server_behind_the_middleware(tmp_path: Path) -> None:
    done = python(script(tmp_path, WSGI))
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["told"]
    assert report["answered"]
    assert report["first"] == report["/"] == [200, len("True 1"), "True 1"], "one block has a Content-Length"
    assert report["/stream"] == report["/file"] == report["/write"] == [200, None, None]
    assert report["/failing"][0] == 500
    assert report["moments"] == ["SAFE"] * 6
    assert report["in_flight"] == 0


APPLICATION = """
import os, time
from pathlib import Path
from lowtide.pacer import boundaries
from lowtide.pacer.boundaries import in_flight, in_request

folder = Path(__file__).parent

def listener(moment, idle_seconds):
    with (folder / "moments").open("a") as file:
        file.write(f"{moment.name}\\n")
    while not (folder / "answered").exists():
        time.sleep(0.01)

boundaries.listen(listener)

def application(environ, start_response):
    body = f"{in_request()} {in_flight()}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

CONFIG = "from lowtide.pacer.workers import post_request, pre_request\n"


@contextmanager
def gunicorn(tmp_path: Path, worker: str) -> Iterator[int]:
    """Run a gunicorn with the hooks, and give its port."""
    script(tmp_path, APPLICATION, "application.py")
    config = script(tmp_path, CONFIG, "gunicorn.conf.py")
    log = tmp_path / "log"
    command = [sys.executable, "-m", "gunicorn", "--config", str(config), "--bind", "127.0.0.1:0", "--preload"]
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, "--chdir", str(tmp_path), "--worker-class", worker, "--threads", "1", "application"],
            env=environment(),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        patience = time.monotonic() + 60
        while not (found := re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", log.read_text())):
            assert time.monotonic() < patience, log.read_text()
            time.sleep(0.05)
        yield int(found[1])
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text(), log.read_text()
    assert "Exception" not in log.read_text(), log.read_text()


def _get(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_gunicorns_workers_with_the_hooks(tmp_path: Path, worker: str) -> None:
    pytest.importorskip("gunicorn", reason="gunicorn is not installed")
    if worker == "gevent":
        pytest.importorskip("gevent", reason="gevent is not installed")
    with gunicorn(tmp_path, worker) as port:
        answers = [_get(port)]
        (tmp_path / "answered").touch()
        answers += [_get(port) for _ in range(4)]
    assert answers == ["True 1"] * 5
    assert (tmp_path / "moments").read_text().split() == ["SAFE"] * 5


CELERY = """
import json
from celery import Celery
from celery.contrib.testing.worker import start_worker
from lowtide.pacer import boundaries
from lowtide.pacer.boundaries import in_flight, in_request
from lowtide.pacer.workers import celery

moments = []
app = Celery("tasks", broker="memory://", backend="cache+memory://")

@app.task
def serve():
    return [in_request(), in_flight()]

@app.task
def fail():
    raise ZeroDivisionError

celery()
boundaries.listen(lambda moment, _: moments.append(moment.name))
with start_worker(app, pool="solo", perform_ping_check=False, loglevel="critical"):
    results = [serve.delay() for _ in range(3)]
    failed = isinstance(fail.delay().get(timeout=30, propagate=False), ZeroDivisionError)
    answers = [result.get(timeout=30) for result in results]
print(json.dumps([answers, failed, moments, in_flight()]))
"""


def test_a_celery_worker_with_the_signals(tmp_path: Path) -> None:
    pytest.importorskip("celery", reason="celery is not installed")
    done = python(script(tmp_path, CELERY))
    assert done.returncode == 0, done.stderr
    report: list[Any] = json.loads(done.stdout)
    assert report == [[[True, 1]] * 3, True, ["SAFE"] * 4, 0]
