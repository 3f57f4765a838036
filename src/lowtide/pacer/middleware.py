"""Request boundaries of web applications: ASGI and WSGI."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lowtide.pacer.boundaries import Request

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApplication = Callable[[Message, Receive, Send], Awaitable[None]]


def asgi(app: ASGIApplication) -> ASGIApplication:
    """Mark the requests of an ASGI application.

    A request ends when the last of its response has been sent: what the application does afterwards, as background
    tasks do, keeps nobody waiting. A websocket stays open for hours, so there a request is what the application does
    for one message: from the `receive` that returns it until the next `receive`.

    Args:
        app: an ASGI 3 application. `Starlette(middleware=[Middleware(asgi)])` and `app.add_middleware(asgi)` will do.
    """

    async def paced(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _http(app, scope, receive, send)
        elif scope["type"] == "websocket":
            await _websocket(app, scope, receive, send)
        else:
            await app(scope, receive, send)

    return paced


async def _http(app: ASGIApplication, scope: Message, receive: Receive, send: Send) -> None:
    request = Request()

    async def send_until_last(message: Message) -> None:
        await send(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            request.end()

    with request:
        await app(scope, receive, send_until_last)


async def _websocket(app: ASGIApplication, scope: Message, receive: Receive, send: Send) -> None:
    request = Request()

    async def receive_next() -> Message:
        nonlocal request
        request.end()
        message = await receive()
        # A new one each: tasks that an earlier message has started still hold that one, and are not in this.
        request = Request()
        request.begin()
        return message

    request.begin()
    try:
        await app(scope, receive_next, send)
    finally:
        request.end()


def wsgi(app: "WSGIApplication") -> "WSGIApplication":
    """Mark the requests of a WSGI application.

    A request ends when the server closes the response, which is after it has sent it.

    Args:
        app: a WSGI application.
    """

    def paced(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request = Request()
        request.begin()
        try:
            response = app(environ, start_response)
            return _ending(response, request, environ.get("wsgi.file_wrapper"))
        except BaseException:
            request.end()
            raise

    return paced


def _ending(response: Iterable[bytes], request: Request, file_wrapper: object) -> Iterable[bytes]:
    """Give a response whose `close` ends the request."""
    if not request.active:
        return response
    if isinstance(file_wrapper, type) and isinstance(response, file_wrapper):
        # The server looks for its own type, to send the file without reading it.
        with suppress(AttributeError, TypeError):
            response.close = _Response(response, request).close  # type: ignore[attr-defined] # nobody declares it
            return response
        request.end()  # its `close` cannot be replaced
        return response
    return (_SizedResponse if hasattr(response, "__len__") else _Response)(response, request)


class _Response:
    """What an application answered; closing it ends the request."""

    def __init__(self, response: Iterable[bytes], request: Request) -> None:
        self._response = response
        self._close: Callable[[], object] | None = getattr(response, "close", None)
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._response)

    def close(self) -> None:
        close, self._close = self._close, None
        self._response = ()  # a file's refers to this method
        try:
            if close is not None:
                close()
        finally:
            self._request.end()

    def __del__(self) -> None:
        self._request.end()  # the server forgot to close it


class _SizedResponse(_Response):
    """The same for a list: a server that sees one block takes its size for the Content-Length."""

    def __len__(self) -> int:
        return len(self._response)  # type: ignore[arg-type] # made for those that have a length only
