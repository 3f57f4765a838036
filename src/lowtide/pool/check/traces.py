"""Where an item was got and put, and the sentences that say so."""

import sys
import traceback
import warnings
from pathlib import Path
from types import CodeType, FrameType
from typing import TypeAlias

from lowtide._pool import Buffer
from lowtide.errors import PoolMisuseError, PoolMisuseWarning
from lowtide.pool.check.settings import ENVIRONMENT, settings

# Code and line of each frame, innermost first. A frame object would keep its variables alive, the item among them.
Stack: TypeAlias = tuple[tuple[CodeType, int], ...]

MAX_FRAMES = 16

RUNNERS = {"_pytest", "pluggy"}  # their frames are the same below every test

LEASE = "put it back once, when its use ends: `with pool.lease()` does, whatever happens"
LET_GO = "let go of it where it is put: who keeps it reads and changes what is another user's by then"

_HERE = str(Path(__file__).parent)
_shown: dict[str | tuple[str, type[Warning], int], int] = {}  # the registry of warnings


class SealedBufferError(PoolMisuseError, ValueError):
    """A Buffer was used after it was put; without check mode that is a ValueError."""


class Trace:
    """What reports tell of an item; it does not refer to the item."""

    __slots__ = ("got", "kind", "pool_name", "put")

    def __init__(self, pool_name: str | None, kind: type) -> None:
        self.pool_name = pool_name
        self.kind = kind
        self.got: Stack = ()
        self.put: Stack = ()

    def error(self, what: str, advice: str, *more: tuple[str, Stack]) -> PoolMisuseError:
        return PoolMisuseError(self.report(what, advice, *more))

    def used_after_put(self) -> PoolMisuseError:
        error = SealedBufferError if self.kind is Buffer else PoolMisuseError
        return error(self.report("an item was used after it was put", LET_GO, ("used at", capture())))

    def warn(self, what: str, advice: str) -> None:
        """Warn at the line of the last call of the pool; a warning is shown once a place and text."""
        stack = self.put or self.got
        code, line = stack[0] if stack else (self.warn.__code__, 0)
        warnings.warn_explicit(self.report(what, advice), PoolMisuseWarning, code.co_filename, line, registry=_shown)

    def report(self, what: str, advice: str, *more: tuple[str, Stack]) -> str:
        pool = "a pool without a name" if self.pool_name is None else f"pool {self.pool_name!r}"
        stacks = [("got at", self.got), ("put at", self.put), *more]
        parts = [f"{pool}, {self.kind.__module__}.{self.kind.__qualname__}: {what}"]
        parts += [f"{title}:\n{_text(stack)}" for title, stack in stacks if stack]
        return "\n".join([*parts, f"what to do: {advice}", f"under: {ENVIRONMENT}=1,seed={settings.seed}"])


def capture() -> Stack:
    """Note the stack of the calling thread, without the frames of check mode itself."""
    frame: FrameType | None = sys._getframe(1)
    stack: list[tuple[CodeType, int]] = []
    while frame is not None and len(stack) < MAX_FRAMES:
        code = frame.f_code
        if stack or not code.co_filename.startswith(_HERE):
            stack.append((code, frame.f_lineno or 0))
        frame = frame.f_back
    return tuple(stack)


def _text(stack: Stack) -> str:
    frames = [
        traceback.FrameSummary(code.co_filename, line, code.co_name)
        for code, line in reversed(stack)
        if not RUNNERS.intersection(Path(code.co_filename).parts)
    ]
    return "".join(traceback.format_list(frames)).rstrip("\n")
