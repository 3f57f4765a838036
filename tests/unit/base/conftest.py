"""Tables for one test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from tests.unit.base.library import Tables


@pytest.fixture
def new_tables() -> Iterator[Callable[..., Tables]]:
    """Make tables that are given back after the test."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(closing(Tables(**settings)))
