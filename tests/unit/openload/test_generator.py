"""The open loop against real local servers: schedule, stalls, skipped and late sends, errors."""

import asyncio
import random
import socket
import time
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

import pytest

from tools.openload import OpenloadError, Request, Scenario, Step, run

from .conftest import OK, LocalServer

GET = Scenario.single("GET", "/")
Serve = Callable[..., LocalServer]


def test_every_request_that_is_due_is_sent_once(serve: Serve) -> None:
    server = serve()
    report = run(server.url, GET, rate=200, duration_seconds=0.5)
    assert report.outcomes == {"200": 100}
    assert len(server.requests) == 100
    assert report.latency.count == report.sent == report.responses == 100
    assert report.errors == {}


def test_warm_up_requests_are_sent_but_not_measured(serve: Serve) -> None:
    server = serve()
    report = run(server.url, GET, rate=200, duration_seconds=0.25, warmup_seconds=0.25)
    assert len(server.requests) == 100
    assert report.sent == report.latency.count == 50


def test_open_loop_charges_a_stall_to_every_request_it_delayed_and_a_closed_loop_does_not(serve: Serve) -> None:
    stall_seconds, rate, duration_seconds = 0.5, 100, 1.5

    async def stall_once(number: int) -> bytes:
        if number == 20:
            time.sleep(stall_seconds)  # the whole server, as a long collection or a blocking call would
        return OK

    report = run(serve(stall_once).url, GET, rate=rate, duration_seconds=duration_seconds)

    closed_loop = HTTPConnection(serve(stall_once).url.removeprefix("http://"))
    latencies = []
    for _ in range(round(rate * duration_seconds)):
        started = time.perf_counter()
        closed_loop.request("GET", "/")
        closed_loop.getresponse().read()
        latencies.append(time.perf_counter() - started)
    closed_loop.close()

    # A third of the requests were due during the stall; they waited half of it on average.
    assert report.latency.percentile(90) > stall_seconds / 2
    assert report.latency.percentile(75) > stall_seconds / 10
    assert sum(latency >= stall_seconds for latency in latencies) == 1
    assert sorted(latencies)[round(len(latencies) * 0.9)] < report.latency.percentile(90)


def test_requests_beyond_max_in_flight_are_skipped_and_counted(serve: Serve) -> None:
    async def never(_: int) -> bytes:
        await asyncio.sleep(60)
        return OK

    server = serve(never)
    report = run(server.url, GET, rate=100, duration_seconds=0.5, max_in_flight=4, timeout_seconds=2)
    assert report.sent == len(server.requests) == 4
    assert report.skipped == 46
    assert "skipped: 46 requests" in report.as_table()


def test_a_client_that_cannot_keep_up_reports_late_sends(serve: Serve) -> None:
    def slow_to_build(_: random.Random) -> Request:
        time.sleep(0.02)
        return Request("GET", "/")

    report = run(serve().url, Scenario(Step("slow", 1, slow_to_build)), rate=100, duration_seconds=0.5)
    assert report.sent == 50
    assert report.late > 40
    assert report.max_late_seconds > 0.1
    # The request waited in the client, and a user would have waited as well.
    assert report.latency.percentile(100) > 0.1
    assert "late: " in report.as_table()


def test_errors_are_counted_by_status(serve: Serve) -> None:
    async def respond(number: int) -> bytes:
        return OK.replace(b"200 OK", [b"200 OK", b"404 Not Found", b"503 Busy", b"302 Found"][number % 4])

    report = run(serve(respond).url, GET, rate=200, duration_seconds=0.2)
    assert report.outcomes == {"200": 10, "302": 10, "404": 10, "503": 10}
    assert report.errors == {"404": 10, "503": 10}
    assert "errors: 10 x 404, 10 x 503" in report.as_table()


def test_a_request_given_up_counts_with_the_time_it_waited(serve: Serve) -> None:
    async def slow(_: int) -> bytes:
        await asyncio.sleep(60)
        return OK

    report = run(serve(slow).url, GET, rate=20, duration_seconds=0.25, timeout_seconds=0.3)
    assert report.errors == {"timeout": 5}
    assert report.latency.count == 5
    assert report.latency.percentile(50) >= 0.299
    assert report.responses == report.achieved_rate == 0


@pytest.mark.parametrize(("response", "outcome"), [(b"", "disconnected"), (b"SSH-2.0-x\r\n\r\n", "malformed")])
def test_a_server_that_does_not_answer_in_http_is_an_error_without_a_latency(
    serve: Serve, response: bytes, outcome: str
) -> None:
    report = run(serve(response).url, GET, rate=50, duration_seconds=0.2)
    assert report.errors == {outcome: 10}
    assert report.latency.count == 0


def test_a_server_that_goes_away_is_reported_as_refused(serve: Serve) -> None:
    server = serve(OK[:-9] + b"connection: close\r\n\r\n")

    def close_server(seconds: float) -> None:
        if seconds > 0.2:
            server.close()

    report = run(server.url, GET, rate=50, duration_seconds=1, on_progress=close_server)
    assert report.errors["refused"] > 5


def test_connections_are_kept_alive(serve: Serve) -> None:
    server = serve()
    report = run(server.url, GET, rate=100, duration_seconds=0.5, max_in_flight=4)
    assert server.connections <= 4 < report.responses


@pytest.mark.parametrize(
    "settings",
    [
        {"rate": 0},
        {"rate": float("nan")},
        {"duration_seconds": 0},
        {"duration_seconds": float("inf")},
        {"warmup_seconds": -1},
        {"timeout_seconds": 0},
        {"max_in_flight": 0},
        {"max_in_flight": 1000},
    ],
    ids=str,
)
def test_a_setting_out_of_range_is_named(settings: dict[str, Any]) -> None:
    [(name, value)] = settings.items()
    with pytest.raises(OpenloadError, match=rf"^{name} must be .*, got {value}$"):
        run("http://127.0.0.1:1", GET, **{"rate": 1, "duration_seconds": 1, **settings})


def test_no_server_is_one_clear_error() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(
            OpenloadError, match=f"^no server answers at {url} \\(connection refused\\): start it first$"
        ):
            run(url, GET, rate=1, duration_seconds=1)
