"""What gunicorn's workers run, and gunicorn's configuration: sessions of 64 KB that hold themselves."""

import gc
import json
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from gc_lab.policies import POLICIES
from gc_lab.workloads import catalogue, page
from lowtide.pacer.workers import post_request, pre_request

SESSIONS = 30

policy = POLICIES[os.environ["GC_LAB_POLICY"]]
log = os.open(os.environ["GC_LAB_COLLECTIONS"], os.O_WRONLY | os.O_APPEND)  # whole lines even from eight processes
items = catalogue(60_000)
sessions: OrderedDict[int, "Upload"] = OrderedDict()


class Upload:
    """A session with the picture that a user has sent."""

    def __init__(self, number: int) -> None:
        self.owner = {"session": self, "name": f"user {number}"}
        self.picture = b"x" * (64 << 10)


def application(_: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    number = time.monotonic_ns()
    sessions[number] = Upload(number)
    if len(sessions) > SESSIONS:
        sessions.popitem(last=False)
    body = json.dumps(page(items, number % 1000, rows=15)["rows"][:10]).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


# gunicorn's configuration; the pacer's two hooks are names of it too

__all__ = ["application", "post_fork", "post_request", "pre_request"]


def post_fork(server: object, worker: object) -> None:  # noqa: ARG001 - gunicorn's names
    began_ns = [0]

    def on_collection(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            began_ns[0] = time.monotonic_ns()
        elif info["generation"] == 2:
            os.write(log, b"%d %d\n" % (began_ns[0], time.monotonic_ns()))

    gc.callbacks.append(on_collection)


policy.begin()  # in the master, which has loaded the application: workers inherit it
