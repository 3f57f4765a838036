"""The demo's service under the demo's load, for measurements of a whole service."""

import http.client
import json
import os
import signal
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.spawn import Interpreter, ScriptFailedError
from examples.catalogue_load import import_request, make_products, scenario
from examples.demo import IMPORT_BATCH, PRODUCTS, RATE
from tools.openload import run


def serve_under_load(interpreter: Interpreter, seconds: float, rate: float = RATE, **params: Any) -> dict[str, Any]:
    """Start the service, fill its catalogue, load it, stop it; return what it says of itself."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:
        address_file = Path(folder, "address")
        done = pool.submit(interpreter.run, "demo_service", address_file=str(address_file), **params)
        address = wait_for(address_file, done)
        try:
            products = make_products(PRODUCTS)
            fill(address["port"], products)
            report = run(
                f"http://127.0.0.1:{address['port']}",
                scenario(products),
                rate=rate,
                duration_seconds=seconds,
                warmup_seconds=1,
            )
        finally:
            if not done.done():
                os.kill(address["pid"], signal.SIGINT)
        if report.errors:
            raise ScriptFailedError(f"the demo service answered with errors: {report.errors}")
        return {**done.result(), "requests": report.responses}


def wait_for(address_file: Path, done: "Future[dict[str, Any]]") -> dict[str, int]:
    while not address_file.exists():
        if done.done():
            done.result()
        time.sleep(0.02)
    address: dict[str, int] = json.loads(address_file.read_text())
    return address


def fill(port: int, products: list[dict[str, Any]]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for start in range(0, len(products), IMPORT_BATCH):
        request = import_request(products[start : start + IMPORT_BATCH])
        connection.request(request.method, request.path, request.body, {"content-type": request.content_type})
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise ScriptFailedError(f"the demo service refused an import with status {response.status}")
    connection.close()
