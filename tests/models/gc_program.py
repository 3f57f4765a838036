"""A service in small that records its collections: `python -m tests.models.gc_program POLICY REQUESTS` prints a trace.

It builds a static heap, sets the policy, and serves requests that leave cyclic garbage, objects that live for a while,
and objects that become cyclic garbage when they are old.
"""

import gc
import sys
from typing import Any

from tests.models.gc_recorder import Recorder

ROWS = 20_000


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
        elif part.startswith("threshold="):
            gc.set_threshold(int(part.removeprefix("threshold=")))


def serve(requests: int, recorder: Recorder) -> None:
    cache: list[Any] = [None] * 200
    sessions: list[Any] = [None] * 150
    for i in range(requests):
        recorder.requests, recorder.in_request = 1, True
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
        recorder.requests, recorder.in_request = 0, False


def main(policy: str, requests: int) -> None:
    recorder = Recorder()
    recorder.start()
    held = build()
    apply(policy)
    serve(requests, recorder)
    recorder.stop()
    assert held
    sys.stdout.write(recorder.text)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
