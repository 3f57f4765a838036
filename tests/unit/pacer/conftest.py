"""Fixtures that several files here use."""

import gc
from collections.abc import Iterator

import pytest

from lowtide.pacer import boundaries
from lowtide.pacer.boundaries import in_flight
from lowtide.pacer.reading import Moment


@pytest.fixture
def heard() -> Iterator[list[Moment]]:
    """Give the moments that a listener has heard of; no request may be left in flight."""
    moments: list[Moment] = []
    boundaries.listen(lambda moment, _: moments.append(moment))
    yield moments
    boundaries.listen(None)
    assert in_flight() == 0


@pytest.fixture
def own_collections() -> Iterator[None]:
    """Let nobody collect but the test, and nobody watch the collector any more when it ends."""
    from lowtide._core import gc_is_watched

    was_enabled = gc.isenabled()
    gc.disable()
    yield
    assert not gc_is_watched(), "the test has left a listener"
    if was_enabled:
        gc.enable()
