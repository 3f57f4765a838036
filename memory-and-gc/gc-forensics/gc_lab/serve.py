"""Serve a workload under a policy over HTTP, until the parent closes stdin.

Run by `service.py`. Prints the address as a line. `/lab/reset` begins the figures anew, `/lab/figures` answers them.

asyncio alone: a framework's own garbage and its own latency would hide what the policies do.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable

from gc_lab.policies import POLICIES, Policy
from gc_lab.recorder import Recorder
from gc_lab.workloads import WORKLOADS, Handler, tracked
from lowtide import pacer


class Server(asyncio.Protocol):
    """One connection, one request at a time, none with a body; as much of HTTP/1.1 as the load generator speaks."""

    transport: asyncio.Transport

    def __init__(self, handle: Handler, policy: Policy, recorder: Recorder, numbers: Callable[[], int]) -> None:
        self.handle = handle
        self.policy = policy
        self.recorder = recorder
        self.numbers = numbers
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        if not self.received.endswith(b"\r\n\r\n"):
            return
        path = self.received.split(b" ", 2)[1]
        self.received = b""
        if path == b"/lab/reset":
            self.recorder.reset()
            self.send(b"{}")
        elif path == b"/lab/figures":
            self.send(json.dumps(self.recorder.read()).encode())
        else:
            self.serve()

    def serve(self) -> None:
        number = self.numbers()
        self.recorder.is_busy = True
        with pacer.request():  # nobody listens, but under the pacer and in a trace
            self.send(self.handle(number))
            self.recorder.is_busy = False
        self.recorder.requests += 1
        self.policy.after(number)

    def send(self, body: bytes) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)


async def main(*, workload: str, policy: str, objects: int, trace: str, cpu: int | None) -> None:
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    handle = WORKLOADS[workload].build(objects)
    recorder = Recorder()
    chosen = POLICIES[policy]
    chosen.begin()
    if trace:
        pacer.trace(trace)
    numbers = iter(range(1, sys.maxsize)).__next__
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(handle, chosen, recorder, numbers), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]} {tracked()}", flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin, ended.set)
    await ended.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
