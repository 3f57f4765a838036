"""The boundaries of web applications and workers, spoken to as a server does."""

import asyncio
import io
import os
import weakref
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sized
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from wsgiref.handlers import SimpleHandler
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest

from lowtide.pacer.boundaries import in_flight, in_request, request
from lowtide.pacer.middleware import Message, Receive, Send, asgi, wsgi
from lowtide.pacer.reading import Moment
from lowtide.pacer.workers import celery, post_request, pre_request

pytest.importorskip("lowtide._core", reason="the extension is not built")
pytestmark = pytest.mark.usefixtures("heard")

# ASGI

HTTP = {"type": "http"}
BODY = {"type": "http.response.body", "body": b"x"}


async def _receive() -> Message:
    return {"type": "http.request"}


def _play(app: Callable[[Message, Receive, Send], Awaitable[None]], scope: Message, receive: Receive = _receive) -> Any:
    """Run an application behind the middleware, and give whether it was in flight when each message was sent."""
    sent: list[tuple[str, int]] = []

    async def send(message: Message) -> None:
        await asyncio.sleep(0)
        sent.append((message["type"], in_flight()))

    async def main() -> None:
        await asgi(app)(scope, receive, send)
        await asyncio.sleep(0)

    asyncio.run(main())
    return sent


def test_an_asgi_request_ends_when_its_response_has_been_sent(heard: list[Moment]) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        assert in_request()
        await receive()
        await send({"type": "http.response.start", "status": 200})
        await send({**BODY, "more_body": True})
        assert in_request()
        await send(BODY)
        assert not in_request(), "a background task keeps nobody waiting"
        await asyncio.sleep(0)
        assert heard == [Moment.SAFE]

    assert _play(app, HTTP) == [("http.response.start", 1), (BODY["type"], 1), (BODY["type"], 1)]
    assert heard == [Moment.SAFE]


def test_an_asgi_request_ends_with_the_application_at_the_latest(heard: list[Moment]) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _play(app, HTTP)
    assert in_flight() == 0


def test_a_response_sent_by_another_task_ends_the_request(heard: list[Moment]) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await asyncio.create_task(send(BODY))  # type: ignore[arg-type] # send is a coroutine function here
        assert not in_request()

    _play(app, HTTP)
    assert heard == [Moment.SAFE]


def test_of_a_websocket_each_message_is_a_request(heard: list[Moment]) -> None:
    seen: list[bool] = []

    async def receive() -> Message:
        seen.append(in_request())
        await asyncio.sleep(0)
        return {"type": "websocket.receive"}

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        for _ in range(3):
            assert in_request()
            await receive()
        assert in_flight() == 1

    _play(app, {"type": "websocket"}, receive)
    assert seen == [False, False, False], "a connection that waits is not in flight"
    assert heard == [Moment.SAFE] * 4


def test_a_websockets_writer_is_not_in_later_requests() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        received = asyncio.Event()

        async def write() -> bool:
            await received.wait()
            return in_request()

        writer = asyncio.create_task(write())
        await receive()
        received.set()
        assert in_request()
        assert await writer is False

    _play(app, {"type": "websocket"})


def test_a_websocket_cancelled_while_it_waits_is_not_in_flight() -> None:
    async def receive() -> Message:
        raise asyncio.CancelledError

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        with pytest.raises(asyncio.CancelledError):
            await receive()
        assert in_flight() == 0

    _play(app, {"type": "websocket"}, receive)


def test_the_lifespan_is_no_request(heard: list[Moment]) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        assert not in_request()

    _play(app, {"type": "lifespan"})
    assert heard == []


# WSGI


class Body:
    """A response that counts how often it is closed."""

    def __init__(self, *blocks: bytes) -> None:
        self.blocks = blocks
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self.blocks:
            assert in_request()
            yield block

    def close(self) -> None:
        assert in_request()
        self.closed += 1


def _serve(app: WSGIApplication) -> str:
    """Let the standard library's server answer one request, and give what it wrote."""
    environ: WSGIEnvironment = {"QUERY_STRING": ""}
    setup_testing_defaults(environ)
    written = io.BytesIO()
    SimpleHandler(io.BytesIO(), written, io.StringIO(), environ).run(app)
    return written.getvalue().decode()


def _answering(response: Any) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return response(environ) if callable(response) else response  # type: ignore[no-any-return] # as given

    return app


def test_a_wsgi_request_ends_when_its_response_is_closed(heard: list[Moment]) -> None:
    body = Body(b"one ", b"two")
    answer = _serve(wsgi(_answering(body)))
    assert answer.endswith("one two")
    assert (body.closed, heard) == (1, [Moment.SAFE])


def test_a_response_is_closed_once_however_often_the_server_asks() -> None:
    body = Body(b"x")
    response = wsgi(_answering(body))({}, lambda *_: lambda _: None)
    response.close()  # type: ignore[attr-defined] # the protocol leaves it open
    response.close()  # type: ignore[attr-defined] # the protocol leaves it open
    assert body.closed == 1


@pytest.mark.parametrize("response", [[b"all"], (b"al", b"l"), iter([b"a", b"ll"]), [], (block for block in [b"all"])])
def test_a_server_answers_as_it_would_without(response: Iterable[bytes]) -> None:
    blocks = list(response)
    plain, paced = (blocks if isinstance(response, Sized) else iter(blocks) for _ in "ab")
    answers = [_serve(app).split("\r\n") for app in (_answering(plain), wsgi(_answering(paced)))]
    assert answers[0][2:] == answers[1][2:]  # the second line is the date


def test_a_generator_runs_in_the_request(heard: list[Moment]) -> None:
    inside = []

    def stream(environ: WSGIEnvironment) -> Iterator[bytes]:
        try:
            inside.append(in_request())
            yield b"x"
        finally:
            inside.append(in_request())

    assert _serve(wsgi(_answering(stream))).endswith("x")
    assert (inside, heard) == ([True, True], [Moment.SAFE])


def test_write_still_writes(heard: list[Moment]) -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"written ")
        return [b"and returned"]

    assert _serve(wsgi(app)).endswith("written and returned")
    assert heard == [Moment.SAFE]


def test_an_application_that_fails_ends_its_request(heard: list[Moment]) -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        wsgi(app)({}, lambda *_: lambda _: None)
    assert heard == [Moment.SAFE]


def test_a_response_that_fails_ends_its_request(heard: list[Moment]) -> None:
    def stream(environ: WSGIEnvironment) -> Iterator[bytes]:
        yield b"x"
        raise ZeroDivisionError

    _serve(wsgi(_answering(stream)))
    assert heard == [Moment.SAFE]


def test_a_response_that_the_server_drops_unclosed_ends_its_request(heard: list[Moment]) -> None:
    response = wsgi(_answering([b"x"]))({}, lambda *_: lambda _: None)
    assert in_flight() == 1
    del response
    assert (in_flight(), heard) == (0, [Moment.SAFE])


def test_a_file_wrapper_stays_the_servers_own(tmp_path: Path, heard: list[Moment]) -> None:
    (tmp_path / "file").write_bytes(b"contents")
    file = (tmp_path / "file").open("rb")
    seen = []

    class Handler(SimpleHandler):
        def sendfile(self) -> bool:
            seen.append(in_request())
            return False

    environ: WSGIEnvironment = {}
    setup_testing_defaults(environ)
    written = io.BytesIO()
    handler = Handler(io.BytesIO(), written, io.StringIO(), environ)
    handler.run(wsgi(_answering(lambda environ: environ["wsgi.file_wrapper"](file))))
    assert written.getvalue().endswith(b"contents")
    assert (seen, file.closed, heard) == ([True], True, [Moment.SAFE])


def test_a_file_wrapper_without_room_for_a_close_is_left_as_it_is(heard: list[Moment]) -> None:
    class Sealed:
        __slots__ = ()

        def __iter__(self) -> Iterator[bytes]:
            return iter([b"x"])

    sealed = Sealed()
    response = wsgi(_answering(sealed))({"wsgi.file_wrapper": Sealed}, lambda *_: lambda _: None)
    assert response is sealed
    assert in_flight() == 0


def test_a_file_wrapper_is_no_garbage_when_it_is_closed() -> None:
    read, write = os.pipe()
    os.close(write)
    wrapper = FileWrapper(os.fdopen(read, "rb"))
    alive = weakref.ref(wrapper)
    response = wsgi(_answering(wrapper))({"wsgi.file_wrapper": FileWrapper}, lambda *_: lambda _: None)
    assert response is wrapper
    response.close()
    del wrapper, response
    assert alive() is None


def test_the_middleware_keeps_to_the_protocol() -> None:
    answer = _serve(validator(wsgi(validator(_answering([b"x"])))))
    assert answer.endswith("x")


def test_a_part_of_another_request_is_passed_on_as_it_is() -> None:
    body = [b"x"]
    with request():
        assert wsgi(_answering(body))({}, lambda *_: lambda _: None) is body


# Workers


def test_gunicorns_hooks_mark_the_request_around_the_middleware(heard: list[Moment]) -> None:
    req = SimpleNamespace()
    pre_request(None, req)
    _serve(wsgi(_answering([b"x"])))
    assert (in_request(), heard) == (True, [])
    post_request(None, req, {}, None)
    assert (in_request(), heard) == (False, [Moment.SAFE])


def test_a_hook_that_fires_alone_does_no_harm(heard: list[Moment]) -> None:
    post_request(None, SimpleNamespace(), {}, None)
    assert heard == []


def test_a_celery_task_is_a_request_with_those_that_it_calls_in_place(heard: list[Moment]) -> None:
    app: Any = pytest.importorskip("celery", reason="celery is not installed").Celery(set_as_current=False)
    celery()
    celery()

    inner = app.task(name="inner")(in_request)

    def call_in_place() -> tuple[bool, int, bool]:
        inside = inner.apply().get(disable_sync_subtasks=False)
        return inside, in_flight(), in_request()

    def fail() -> None:
        raise ZeroDivisionError

    assert app.task(name="outer")(call_in_place).apply().get() == (True, 1, True)
    assert heard == [Moment.SAFE]
    assert app.task(name="failing")(fail).apply().failed()
    assert heard == [Moment.SAFE, Moment.SAFE]
