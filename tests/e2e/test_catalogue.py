"""The catalogue service that the demo profiles, over HTTP."""

import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.catalogue_load import make_products

ROOT = Path(__file__).parents[2]
Ask = Callable[..., Any]


def _wait_for(path: Path, pattern: str, process: subprocess.Popen[str]) -> str:
    """Return what `pattern` finds first in a file that a process is writing."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists() and (found := re.search(pattern, path.read_text())):
            return found[1]
        time.sleep(0.05)
    pytest.fail(f"{pattern!r} did not appear in {path.read_text()!r}")


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Ask a catalogue service of its own: (status, decoded JSON or bytes)."""
    log = tmp_path_factory.mktemp("catalogue") / "log"
    command = [sys.executable, "-m", "uvicorn", "examples.catalogue.app:app", "--port", "0"]
    with log.open("w") as file, subprocess.Popen(command, cwd=ROOT, stderr=file, stdout=file, text=True) as process:
        try:
            address = _wait_for(log, r"running on http://(\S+)", process)

            def request(method: str, path: str, body: object = None) -> tuple[int, Any]:
                connection = http.client.HTTPConnection(address, timeout=30)
                connection.request(method, path, body if body is None or isinstance(body, bytes) else json.dumps(body))
                response = connection.getresponse()
                content = response.read()
                connection.close()
                is_json = response.headers["content-type"] == "application/json"
                return response.status, json.loads(content) if is_json else content

            yield request
        finally:
            process.send_signal(signal.SIGINT)
    assert "Traceback" not in log.read_text()


def _product(sku: str, **fields: object) -> dict[str, object]:
    product = {
        "sku": sku,
        "title": "Oak lamp",
        "description": "Lights a room.",
        "brand": "Fjord",
        "category": "lighting",
    }
    return product | {"price_cents": 4900} | fields


def _import(ask: Ask, *products: object) -> dict[str, Any]:
    status, answer = ask("POST", "/products:import", {"products": products})
    assert status == 200
    assert isinstance(answer, dict)
    return answer


def test_imported_products_are_found_by_their_words(ask: Ask) -> None:
    _import(ask, _product("f-1", title="Wobbly zebra lamps"), _product("f-2", description="A zebra on the shade."))
    _, answer = ask("GET", "/search?q=z%C3%A9bra+LAMP")
    assert [hit["sku"] for hit in answer["hits"]] == ["f-1", "f-2"]  # a word in the title weighs more
    assert answer["total"] == 2
    assert answer["facets"] == {"brand": {"Fjord": 2}, "category": {"lighting": 2}, "price": {"10 to 50": 2}}
    assert ask("GET", "/search?q=zebra+unicorn")[1]["hits"] == []


def test_an_import_updates_what_is_there(ask: Ask) -> None:
    assert _import(ask, _product("u-1", title="Quagga"), _product("u-2")) == {"created": 2, "errors": []}
    assert _import(ask, _product("u-1", title="Okapi"), _product("u-2")) == {"updated": 1, "unchanged": 1, "errors": []}
    assert ask("GET", "/search?q=quagga")[1]["total"] == 0
    assert ask("GET", "/search?q=okapi")[1]["total"] == 1


def test_an_import_rejects_what_is_not_a_product_and_says_why(ask: Ask) -> None:
    answer = _import(ask, _product("r-1"), _product("r-2", price_cents=-1), 7, _product("r-3", colour="red"))
    assert (answer["created"], answer["rejected"]) == (1, 3)
    assert answer["errors"] == [
        {"index": 1, "error": "price_cents must be a whole number >= 0, got -1"},
        {"index": 2, "error": "product must be an object, got int"},
        {"index": 3, "error": "unknown field 'colour'"},
    ]


def test_a_patch_changes_a_product_and_its_place_in_the_index(ask: Ask) -> None:
    _import(ask, _product("p-1", title="Axolotl"))
    status, patched = ask("PATCH", "/products/p-1", {"title": "Capybara", "stock": 3})
    assert (status, patched["title"], patched["stock"]) == (200, "Capybara", 3)
    assert ask("GET", "/products/p-1") == (200, patched)
    assert ask("GET", "/search?q=axolotl")[1]["total"] == 0
    assert ask("GET", "/search?q=capybara")[1]["hits"][0]["sku"] == "p-1"


def test_an_export_is_one_json_object_a_line(ask: Ask) -> None:
    products = [product | {"category": "export only"} for product in make_products(120, seed=5)]
    _import(ask, *products)
    status, content = ask("GET", "/export?category=export+only")
    assert status == 200
    assert [json.loads(line) for line in content.splitlines()] == products


@pytest.mark.parametrize(
    ("request_", "status", "error"),
    [
        (("GET", "/products/none", None), 404, "no product 'none'"),
        (("GET", "/search?limit=101", None), 400, "limit must be a whole number from 0 to 100, got '101'"),
        (("GET", "/search?offset=-1", None), 400, "offset must be a whole number from 0 to 10000, got '-1'"),
        (("POST", "/products:import", []), 400, 'body must be {"products": [...]}'),
        (("POST", "/products:import", b"{"), 400, "body must be JSON: "),
        (("POST", "/products:import", b"\xff" * (16 * 2**20 + 1)), 413, "body must be at most 16777216 bytes"),
        (("PATCH", "/products/none", b"["), 400, "body must be JSON: "),
        (("PATCH", "/products/none", {}), 404, "no product 'none'"),
        (("DELETE", "/health", None), 405, "Method Not Allowed"),
    ],
)
def test_bad_requests_get_a_clear_answer(ask: Ask, request_: tuple[str, str, object], status: int, error: str) -> None:
    got, answer = ask(*request_)
    assert got == status
    assert answer["error"].startswith(error)
