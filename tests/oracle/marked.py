"""Run all kinds of marked statements, and tell what was allocated on which line."""

import gc
from collections import Counter
from typing import Any

from tests.oracle.expressions import EXPRESSIONS
from tests.oracle.recording import record
from tests.oracle.statements import STATEMENTS

KINDS = EXPRESSIONS | STATEMENTS
HUGE = 10**40


def define(source: str, file: str = "<source>") -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "source"}
    exec(compile(source, file, "exec"), names)  # noqa: S102 - the source is the tests' own
    return names


def run(calls: int) -> dict[str, Counter[int]]:
    """Call each case so often; return the blocks allocated by kind and line."""
    cases = {f"<{kind}>": define(source, f"<{kind}>")["case"] for kind, source in KINDS.items()}

    def work() -> None:
        for case in cases.values():
            for i in range(calls):
                case(HUGE + i, "spam ham" * 40, b"abc" * 40, [HUGE + i, HUGE, HUGE * i, HUGE - i])

    gc.disable()  # its callbacks may run Python code, at any line
    try:
        samples = record(work)
    finally:
        gc.enable()
    blocks = {kind: Counter[int]() for kind in KINDS}
    for sample in samples:
        innermost = next((frame for frame in sample.frames if frame.file in cases), None)
        if innermost is not None:
            blocks[innermost.file[1:-1]][innermost.line] += sample.allocs
    return blocks
