"""A real HTTP server on a loopback port, whose answers a test writes as raw bytes."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator

import pytest

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
Respond = Callable[[int], Awaitable[bytes]]


class LocalServer:
    """Answers request number n (from 0) with `await respond(n)`; empty bytes hang up."""

    def __init__(self, respond: Respond) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._respond = respond
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        self._ready.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def close(self) -> None:
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, backlog=1024)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for writer in self._open:
            writer.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                number = len(self.requests)
                self.requests.append(head + await reader.readexactly(length))
                response = await self._respond(number)
                writer.write(response)
                if not response or b"connection: close" in response:
                    break
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Respond | bytes], LocalServer]]:
    """Start servers that answer with fixed bytes or with a coroutine's result; stop them after the test."""
    servers: list[LocalServer] = []

    def start(respond: Respond | bytes = OK) -> LocalServer:
        async def always(_: int) -> bytes:
            assert isinstance(respond, bytes)
            return respond

        servers.append(LocalServer(always if isinstance(respond, bytes) else respond))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
