"""Start what the environment names: the first of lowtide that an interpreter meets; it imports nothing unasked."""

import importlib
import os
from contextlib import suppress

# The heap profiler comes last: what the others import is none of the program's.
_STARTERS = {
    "LOWTIDE_PACER": "lowtide.pacer.autostart",
    "LOWTIDE_GCTRACE": "lowtide.pacer.autostart",
    "LOWTIDE_HEAP": "lowtide.heap.autostart",
}


def start_from_environment() -> None:
    """Start each noun whose variable is set; calling it again does nothing."""
    for variable, module in _STARTERS.items():
        if os.environ.get(variable):
            # Whatever is wrong with this lowtide, the program does not want to know.
            with suppress(Exception):
                importlib.import_module(module).start_from_environment()
