"""Step (e): a put that does not reset. One customer reads another's data; check mode says where it comes from."""

import json
import re
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator
from http.client import IncompleteRead

from examples.catalogue.product import Product
from lowtide import Buffer, Pool
from pool_lab import export
from pool_lab.portable import without_folders
from pool_lab.service import LabError, serving

CUSTOMERS = ("lighting", "toys")  # the second has fewer products: the rest of the first's shows behind them
_REPORT = re.compile(r"PoolMisuseError: (pool 'careless'.*?\nwhat to do: [^\n]*)", re.DOTALL)

# The mistake: rewinding is no reset. What was written stays, and shows where less is written after it.
careless: Pool[Buffer] = Pool(Buffer, reset=lambda buffer: buffer.seek(0), name="careless")


def chunks(products: Iterator[Product]) -> Iterator[memoryview]:
    """Do as `export.after`, all in one chunk."""
    with careless.lease() as buffer:
        for product in products:
            export.write_line(buffer, product)
        with buffer.view() as chunk:
            yield chunk


def show_leak() -> str:
    """Let two customers export, and tell what the second one got.

    Raises: LabError when nothing leaked.
    """
    with serving("careless") as url:
        own, other = (_categories(_export(url, customer)) for customer in CUSTOMERS)
    if len(other) == 1:
        raise LabError("the careless pool leaked nothing")
    asked = CUSTOMERS[1]
    return "\n".join(
        [
            f"customer 1 exports {CUSTOMERS[0]!r}: {dict(own)} products",
            f"customer 2 exports {asked!r}: {dict(other)} products",
            f"             wrong: {other.total() - other[asked]} lines of the response are another customer's",
        ]
    )


def show_check() -> str:
    """Let the same happen in check mode, and return its report.

    Raises: LabError when it is not caught.
    """
    with tempfile.TemporaryFile("w+") as log:
        with serving("careless", check=True, log=log) as url:
            try:
                _export(url, CUSTOMERS[0])
            except IncompleteRead:  # the service hung up
                pass
            else:
                raise LabError("check mode let the export through")
        log.seek(0)
        found = _REPORT.search(log.read())
    if not found:
        raise LabError("check mode did not name the careless pool")
    return without_folders(found[1])


def _export(url: str, category: str) -> bytes:
    with urllib.request.urlopen(f"{url}/export?category={category}", timeout=30) as response:
        content: bytes = response.read()
    return content


def _categories(response: bytes) -> Counter[str]:
    """Count the lines by the category of their product; a line that was cut is no product."""
    counts: Counter[str] = Counter()
    for text in response.decode(errors="replace").splitlines():
        try:
            counts[json.loads(text)["category"]] += 1
        except ValueError:
            counts["half a line"] += 1
    return counts
