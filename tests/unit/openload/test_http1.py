"""Targets and the framing of responses."""

from collections.abc import Callable

import pytest

from tools.openload import OpenloadError, Request, Scenario, Step, run
from tools.openload.http1 import Target

from .conftest import OK, LocalServer


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(OK, id="content-length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length:0\r\n\r\n", id="empty body"),
        pytest.param(b"HTTP/1.1 200\r\ncontent-length: 200000\r\n\r\n" + b"x" * 200_000, id="large body"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + OK, id="interim response"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
            id="chunked",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\ntrailer: 1\r\n\r\n",
            id="chunked, trailer",
        ),
    ],
)
def test_a_response_is_read_to_its_end_and_the_connection_reused(
    serve: Callable[..., LocalServer], response: bytes
) -> None:
    server = serve(response)
    report = run(server.url, Scenario.single("GET", "/"), rate=40, duration_seconds=0.25)
    assert report.outcomes == {"200": 10}
    assert server.connections < 10


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil the end", id="body until the connection closes"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", id="asked to close"),
    ],
)
def test_a_connection_that_the_server_closes_is_not_reused(serve: Callable[..., LocalServer], response: bytes) -> None:
    server = serve(response)
    report = run(server.url, Scenario.single("GET", "/"), rate=40, duration_seconds=0.25)
    assert report.outcomes == {"200": 10}
    assert server.connections == 10


@pytest.mark.parametrize(("method", "status"), [("HEAD", b"200 OK"), ("GET", b"304 Not Modified")])
def test_a_response_that_announces_a_body_it_must_not_have_ends_with_its_head(
    serve: Callable[..., LocalServer], method: str, status: bytes
) -> None:
    server = serve(b"HTTP/1.1 " + status + b"\r\ncontent-length: 1000\r\n\r\n")
    report = run(server.url, Scenario.single(method, "/"), rate=40, duration_seconds=0.25, timeout_seconds=5)
    assert report.responses == 10
    assert report.errors == {}


def test_a_body_is_sent_with_its_length_and_type(serve: Callable[..., LocalServer]) -> None:
    server = serve()
    step = Step("import", 1, lambda _: Request("POST", "/import?x=1", b'{"a": 1}'))
    run(server.url, Scenario(step), rate=10, duration_seconds=0.1)
    [request] = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /import?x=1 HTTP/1.1",
        b"host: " + server.url.removeprefix("http://").encode(),
        b"content-type: application/json",
        b"content-length: 8",
    ]
    assert body == b'{"a": 1}'


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1", 8000),
        ("127.8.9.1:80/path", "127.8.9.1", 80),
        ("http://[::1]:81/", "::1", 81),
        ("http://localhost", "localhost", 80),
    ],
)
def test_loopback_targets_are_accepted(url: str, host: str, port: int) -> None:
    assert Target.parse(url) == Target(host, port)


@pytest.mark.parametrize(
    "url", ["http://example.com", "http://10.0.0.1:80", "http://0.0.0.0:80", "http://127.0.0.1.example.com"]
)
def test_targets_elsewhere_are_refused(url: str) -> None:
    with pytest.raises(OpenloadError, match=r"^target must be on this machine"):
        Target.parse(url)


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1", "ftp://localhost", "http://", "http://127.0.0.1:port", "http://127.0.0.1:99999"]
)
def test_what_is_not_a_target_is_refused(url: str) -> None:
    with pytest.raises(OpenloadError, match=r"^target must be http://HOST:PORT, got"):
        Target.parse(url)
