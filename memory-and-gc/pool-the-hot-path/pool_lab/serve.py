"""Serve one variant of the catalogue, filled, until the parent closes stdin; profile it from the end of the filling on.

Run by `service.py`. Prints the address as a line; with `heap`, leaves the heap profile there at the end.
"""

import gc
import json
import os
import socket
import sys
import threading

import uvicorn

from examples.catalogue.app import catalogue
from examples.catalogue.product import Product
from examples.catalogue_load import make_products
from lowtide import heap
from pool_lab import PRODUCTS, apps


def main(*, variant: str, profile: str, sample_interval: int, cpu: int | None) -> None:
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    for data in make_products(PRODUCTS):
        catalogue.upsert(Product.from_json(data))
    gc.collect()
    # h11 and asyncio come with uvicorn: the lab does not depend on what else is installed.
    config = uvicorn.Config(apps.VARIANTS[variant], http="h11", loop="asyncio", log_level="warning", access_log=False)
    config.load()  # its imports are no part of a request
    server = uvicorn.Server(config)
    # Said to be TCP, or else asyncio leaves Nagle's algorithm on, and each answer waits 40 ms for an acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()  # who connects before the server runs is queued
    if profile:
        heap.start(sample_interval=sample_interval)

    def stop_with_parent() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=stop_with_parent, daemon=True).start()
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    server.run(sockets=[listener])
    if profile:
        heap.write(profile)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
