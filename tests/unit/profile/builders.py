"""Heap profiles in one line."""

from lowtide.profile import Function, Label, Line, Location, Profile, Sample
from tests.strategies import HEAP_TYPES, SPACE

STACK = (Location((Line(Function("app.load", filename="app.py"), 7),)),)
OTHER = (Location((Line(Function("app.serve", filename="app.py"), 9),)),)
SIZE = Label("bytes", num=48, num_unit="bytes")


def heap(*samples: Sample, process: str = "", ancestors: tuple[str, ...] = (), period: int = 524288) -> Profile:
    comments = [f"process {process}"] * bool(process) + [f"ancestor {ancestor}" for ancestor in ancestors]
    return Profile(HEAP_TYPES, samples, SPACE, period, comments=tuple(comments))
