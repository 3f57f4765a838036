"""A service in small that records its collections: `python gc_program.py POLICY REQUESTS` prints its gctrace.

It builds a static heap, sets the policy, and serves requests that leave cyclic garbage, objects that live for a while,
and objects that become cyclic garbage when they are old. Its last line says how many blocks were live at most.
"""

import gc
import os
import platform
import sys
import time
from contextvars import ContextVar
from typing import Any

from lowtide import _core
from lowtide.pacer import record

ROWS = 20_000
EVERY = 20  # requests, between two looks at the records


class Request:
    active = False


class Node:
    me: "Node"
    items: list[Any]


def build() -> list[Any]:
    return [{"id": i, "tags": [str(i)]} for i in range(ROWS)]


def apply(policy: str) -> None:
    for part in policy.split("+"):
        if part == "freeze":
            gc.collect()
            gc.freeze()
            _core.gc_frozen()
        elif part.startswith("threshold="):
            gc.set_threshold(int(part.removeprefix("threshold=")))


def serve(requests: int) -> list[str]:
    """Serve, and return the records as strings, which the collector does not look at."""
    _core.gc_set_request_variable(VARIABLE)
    request_now = Request()
    VARIABLE.set(request_now)
    cache: list[Any] = [None] * 200
    sessions: list[Any] = [None] * 150
    lines: list[str] = []
    seen = peak = 0
    for i in range(requests):
        request_now.active = True
        request = [[j] for j in range(200)]
        for _ in range(20):
            node = Node()
            node.me = node
            node.items = [1]
        cache[i % len(cache)] = request[:60]
        session = Node()
        session.me = session
        session.items = [[x] for x in range(10)]
        sessions[i % len(sessions)] = session
        request_now.active = False
        if i % EVERY == 0:
            peak = max(peak, sys.getallocatedblocks())
            for values in _core.gc_records(seen):
                collection = record.Collection(*values)
                seen = collection.number
                lines.append(record.line(collection, HEADER, 0.0))
    return [*lines, f"peak {peak}"]


VARIABLE: ContextVar[Request] = ContextVar("request")
HEADER = record.Header(platform.python_version(), os.getpid(), time.monotonic_ns(), time.time(), incremental=False)

if __name__ == "__main__":
    _core.gc_watch(True)
    held = build()
    apply(sys.argv[1])
    lines = serve(int(sys.argv[2]))
    _core.gc_watch(False)
    sys.stdout.write("\n".join([record.header_line(HEADER), *lines, ""]))
