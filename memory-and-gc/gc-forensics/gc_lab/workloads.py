"""Small services whose memory behaves in one way each; a request is a call that returns the answer's bytes."""

import gc
import json
import random
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from gc_lab import careless_library
from gc_lab.policies import EVERYWHERE

Handler = Callable[[int], bytes]  # number of the request -> answer
LOADS = (30, 60, 90)  # per cent of capacity


@dataclass(frozen=True, slots=True)
class Workload:
    """A service.

    Args:
        title: what it is, for a table.
        build: build(objects) makes the heap, of about so many tracked objects, and returns what serves a request.
        objects: by default.
        loads: per cent of capacity at which it is measured; "bursts" and "saturated" are patterns of their own.
        policies: under these.
    """

    title: str
    build: Callable[[int], Handler]
    objects: int
    loads: tuple[int | str, ...] = ()
    policies: tuple[str, ...] = EVERYWHERE


class Item:
    """An entry of a catalogue: three tracked objects, linked to others anywhere in memory."""

    __slots__ = ("related", "sku", "stock", "title")

    def __init__(self, number: int) -> None:
        self.sku = f"SKU-{number:07}"
        self.title = f"item {number}"
        self.stock = [number % 7, number % 11]
        self.related: list[Item] = []


def catalogue(objects: int) -> list[Item]:
    """Return items of about `objects` tracked objects, each linked to two within some megabytes of it."""
    items = [Item(number) for number in range(max(objects // 3, 1000))]
    rng = random.Random(0)
    for at, item in enumerate(items):
        item.related = [items[(at + rng.randrange(20_000)) % len(items)] for _ in range(2)]
    return items


def page(items: list[Item], number: int, rows: int = 500) -> dict[str, Any]:
    """Return an answer of `rows` rows, three tracked objects each, as code of services makes it."""
    start = number * 7919 % (len(items) - rows)
    return {
        "number": number,
        "rows": [
            {"sku": item.sku, "stock": list(item.stock), "related": [other.sku for other in item.related]}
            for item in items[start : start + rows]
        ],
    }


def static_heap(objects: int) -> Handler:
    """A large heap that never dies; requests leave no cycle, and their answers stay in a cache for a while."""
    items = catalogue(objects)
    recent: deque[list[Any]] = deque(maxlen=300)

    def answer(number: int) -> bytes:
        found = page(items, number)
        recent.append(found["rows"][::3])
        return json.dumps(found["rows"][:10]).encode()

    return answer


class Connection:
    """As HTTP clients are made: the pool knows its connections, each of them its pool."""

    def __init__(self, pool: "ConnectionPool") -> None:
        self.pool = pool
        self.buffer = bytearray(8192)
        self.headers = {"host": "example.test", "accept": ["application/json", "text/html"]}


class ConnectionPool:
    def __init__(self) -> None:
        self.connections = [Connection(self) for _ in range(2)]
        self.release = self.take_back  # a bound method: a cycle of its own

    def take_back(self, connection: Connection) -> None:
        self.connections.append(connection)


class Row:
    """As ORMs make them: a row knows the session that loaded it, the session all its rows."""

    def __init__(self, session: "Session", number: int) -> None:
        self.session = session
        self.values = {"id": number, "tags": [number, number + 1]}


class Session:
    def __init__(self, size: int) -> None:
        self.identity_map = {number: Row(self, number) for number in range(size)}


def fail(number: int) -> Exception:
    """Return an exception whose traceback holds the frame that holds the exception."""
    try:
        scratch = [number] * 100
        int(f"item {number} of {len(scratch)}")
    except ValueError as error:
        kept = error
    return kept


def request_cycles(objects: int) -> Handler:
    """What a request leaves is garbage in cycles: an error with its traceback, a client, an ORM's session."""
    items = catalogue(objects)

    def answer(number: int) -> bytes:
        client, session, error = ConnectionPool(), Session(20), fail(number)
        found = page(items, number, rows=300)
        found["seen"] = [len(client.connections), len(session.identity_map), str(error)]
        return json.dumps(found["rows"][:10]).encode()

    return answer


class UserSession:
    """A graph that holds itself, and 8 KB."""

    def __init__(self, number: int) -> None:
        self.owner = {"session": self, "name": f"user {number}"}
        self.basket = [{"session": self, "sku": number + i} for i in range(20)]
        self.page = b"x" * 8192


def old_garbage(objects: int) -> Handler:
    """Sessions live long enough to be old, then nobody holds them but they themselves. Minutes are seconds here."""
    items = catalogue(objects)
    sessions: OrderedDict[int, tuple[float, UserSession]] = OrderedDict()

    def answer(number: int) -> bytes:
        now = time.monotonic()
        sessions[number] = now, UserSession(number)
        while now - next(iter(sessions.values()))[0] > 1.0:
            sessions.popitem(last=False)
        return json.dumps(page(items, number, rows=300)["rows"][:10]).encode()

    return answer


def leak(objects: int, every: int = 1) -> Handler:
    """A cache without a bound, which one of `every` requests adds to: what is leaked lives."""
    items = catalogue(objects)
    cache: dict[int, dict[str, Any]] = {}

    def answer(number: int) -> bytes:
        found = page(items, number, rows=500)
        if number % every == 0:
            cache[number] = {"rows": found["rows"][:4], "body": number.to_bytes(2048, "big")}
        return json.dumps(found["rows"][:10]).encode()

    return answer


def collects_in_requests(objects: int) -> Handler:
    """Clean requests, but for a library that calls gc.collect() in one of fifty."""
    serve = static_heap(objects)

    def answer(number: int) -> bytes:
        if number % 50 == 0:
            careless_library.close_session()
        return serve(number)

    return answer


WORKLOADS = {
    "static": Workload("static heap of 1,000,000 objects, clean requests", static_heap, 1_000_000, LOADS),
    "cycles": Workload("cycles left by every request", request_cycles, 300_000, LOADS),
    "old": Workload("sessions that become garbage when old", old_garbage, 300_000, (60,)),
    "bursty": Workload("bursts of 0.25 s, idle in between", request_cycles, 300_000, ("bursts",)),
    "saturated": Workload("always requests waiting", static_heap, 300_000, ("saturated",)),
    "leak": Workload("a live leak", leak, 30_000),
    "slow leak": Workload("a live leak in one request of four", partial(leak, every=4), 30_000),
    "library": Workload(
        "a library that calls gc.collect() in requests",
        collects_in_requests,
        300_000,
        (30,),
        ("stock", "pacer", "pacer+guard"),
    ),
}


def tracked() -> int:
    """Return how many objects the collector tracks, frozen ones left out."""
    return len(gc.get_objects())
