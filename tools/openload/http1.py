"""As much HTTP/1.1 as a load generator needs: one keep-alive connection, bodies read and thrown away."""

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from .scenario import Request

_CHUNK_BYTES = 64 * 1024


class OpenloadError(ValueError):
    """A target or a setting that cannot be used."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the server listens; always a loopback address."""

    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> "Target":
        """Read `http://HOST:PORT`; refuse anything that is not on this machine."""
        try:
            parts = urlsplit(url if "//" in url else f"//{url}", scheme="http")
            host, port = parts.hostname or "", parts.port or 80
        except ValueError as error:
            raise OpenloadError(f"target must be http://HOST:PORT, got {url!r} ({error})") from None
        if parts.scheme != "http" or not host:
            raise OpenloadError(f"target must be http://HOST:PORT, got {url!r}")
        if not _is_loopback(host):
            raise OpenloadError(f"target must be on this machine (127.0.0.0/8, ::1 or localhost), got {host!r}")
        return cls(host, port)

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def _is_loopback(host: str) -> bool:
    try:
        if host != "localhost":
            return ipaddress.ip_address(host).is_loopback
        # A hosts file can send localhost anywhere.
        return all(ipaddress.ip_address(info[4][0]).is_loopback for info in socket.getaddrinfo(host, None))
    except (ValueError, OSError):
        return False


def encode(request: Request, target: Target) -> bytes:
    """Return the bytes of the request on the wire."""
    head = f"{request.method} {request.path} HTTP/1.1\r\nhost: {target.authority}\r\n"
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        head += f"content-type: {request.content_type}\r\ncontent-length: {len(request.body)}\r\n"
    return head.encode("ascii") + b"\r\n" + request.body


class Connection:
    """One TCP connection; one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._reusable = True

    @classmethod
    async def open(cls, target: Target) -> "Connection":
        return cls(*await asyncio.open_connection(target.host, target.port))

    @property
    def is_reusable(self) -> bool:
        """Whether the last response ended cleanly and the server has not hung up since."""
        return self._reusable and not self._reader.at_eof() and not self._writer.is_closing()

    def close(self) -> None:
        self._writer.close()

    async def exchange(self, request: bytes, *, has_body: bool = True) -> int:
        """Send a request, read its response to the end, return the status.

        Args:
            request: the encoded request.
            has_body: False for HEAD, whose response announces a body and has none.

        Raises: OSError, EOFError when the server hangs up; ValueError when it does not speak HTTP/1.
        """
        self._reusable = False
        self._writer.write(request)
        await self._writer.drain()
        try:
            status, self._reusable = await self._read_response(has_body=has_body)
        except asyncio.LimitOverrunError as error:
            raise ValueError(f"no end of a header within {error.consumed} bytes") from error
        return status

    async def _read_response(self, *, has_body: bool) -> tuple[int, bool]:
        status = 100
        while status < 200:  # interim responses precede the one that counts
            version, status, headers = await self._read_head()
        keep_alive = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        if not has_body or status in (204, 304):
            pass
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            await self._skip_chunks()
        elif "content-length" in headers:
            await self._skip(int(headers["content-length"]))
        else:
            keep_alive = False
            while await self._reader.read(_CHUNK_BYTES):
                pass
        return status, keep_alive

    async def _read_head(self) -> tuple[str, int, dict[str, str]]:
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        version, _, rest = lines[0].partition(" ")
        if not version.startswith("HTTP/1."):
            raise ValueError(f"response must start with HTTP/1.x, got {lines[0][:40]!r}")
        headers = (line.partition(":") for line in lines[1:-2])
        return version, int(rest[:3]), {name.lower(): value.strip() for name, _, value in headers}

    async def _skip_chunks(self) -> None:
        while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
            await self._skip(size + 2)
        while await self._reader.readuntil(b"\r\n") != b"\r\n":  # trailers
            pass

    async def _skip(self, size: int) -> None:
        while size:
            piece = await self._reader.read(min(size, _CHUNK_BYTES))
            if not piece:
                raise EOFError("the server hung up inside a body")
            size -= len(piece)
