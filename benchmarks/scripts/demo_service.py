"""Serve the demo's catalogue until interrupted, in a process that reports on itself afterwards."""

import contextlib
import importlib
import json
import os
import socket
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main(*, arm: str, probe: str, address_file: str, result: str) -> None:
    sys.path.insert(0, str(ROOT))
    sys.path += [probe] if probe else []
    births = importlib.import_module("lowtide_births") if probe else None
    exec(arm, {})

    import uvicorn

    from examples.catalogue.app import app

    # Said to be TCP, or else asyncio leaves Nagle's algorithm on, and each answer waits 40 ms for an acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
    if births:
        births.start()
    # The kernel queues who connects before the server runs. Renamed into place, so that nobody reads half of it.
    Path(f"{address_file}.new").write_text(json.dumps({"port": listener.getsockname()[1], "pid": os.getpid()}))
    Path(f"{address_file}.new").rename(address_file)
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])

    answer: dict[str, object] = {"births": births.stop() if births else {}}
    if heap := sys.modules.get("lowtide.heap"):
        stats = heap.stats()
        answer |= {"table_bytes": stats.table_bytes, "samples": stats.samples, "live_samples": stats.live_samples}
    Path(result).write_text(json.dumps(answer))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
