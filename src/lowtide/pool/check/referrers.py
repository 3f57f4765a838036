"""What still refers to an item that is put. Frames do not count: a variable is seldom used again."""

import gc
import sys
from types import (
    AsyncGeneratorType,
    BuiltinMethodType,
    CellType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
)
from typing import NamedTuple

# To ask the collector costs a walk over all objects of the program: a line that puts is looked at so many times.
LOOKS = 16

_looks: dict[tuple[CodeType, int], int] = {}


class _Running(NamedTuple):
    """What the frames of the calling thread refer to variables by; no frame, which would keep itself."""

    frames: set[int]  # ids, as all of these
    module_globals: set[int]
    has_cells: bool


def outliving(item: object, site: tuple[CodeType, int]) -> list[str]:
    """Describe what refers to the item beside the frames of the calling thread; nothing at a line looked at enough."""
    _looks[site] = looks = _looks.get(site, 0) + 1
    if looks > LOOKS:
        return []
    running = _running()
    found = [value for value in gc.get_referrers(item) if not isinstance(value, FrameType)]
    described = []
    for value in found:  # a comprehension would put the item into a cell
        if not _is_of_a_frame(value, found, running):
            described.append(_described(value, item))  # noqa: PERF401 - see above
    return described


def _running() -> _Running:
    frames, module_globals, has_cells = set(), set(), False
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        frames.add(id(frame))
        code = frame.f_code
        if code.co_name == "<module>":
            module_globals.add(id(frame.f_globals))
        has_cells = has_cells or bool(code.co_cellvars or code.co_freevars)
        frame = frame.f_back
    return _Running(frames, module_globals, has_cells)


def _is_of_a_frame(value: object, found: list[object], running: _Running) -> bool:
    """Tell whether a frame of this thread holds a variable in it: a generator that runs, globals, a cell, a method."""
    match value:
        case GeneratorType(gi_frame=frame) | CoroutineType(cr_frame=frame) | AsyncGeneratorType(ag_frame=frame):
            return id(frame) in running.frames
        case dict():
            return id(value) in running.module_globals
        case CellType():
            return running.has_cells
        case MethodType() | BuiltinMethodType() | tuple():
            # The collector does not see what a running frame refers to: where nobody else has it, a frame does.
            return all(other is found or isinstance(other, FrameType) for other in gc.get_referrers(value))
    return False


def _described(value: object, item: object) -> str:
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    if isinstance(value, dict):
        keys = [key for key, entry in list(value.items()) if entry is item and isinstance(key, str)]
        if "__name__" in value and "__builtins__" in value:
            return f"the global {', '.join(keys)} of module {value['__name__']}"
        owners = [other for other in gc.get_referrers(value) if _dict_of(other) is value]
        if owners:
            owner = owners[0]
            kind = owner.__name__ if isinstance(owner, (ModuleType, type)) else type(owner).__qualname__
            return f"the attribute {', '.join(keys)} of a {kind}"
        return f"a dict, at {', '.join(map(repr, keys)) or 'some key'}"
    if isinstance(value, FunctionType):
        return f"the function {value.__qualname__}"
    return f"a {kind}"


def _dict_of(value: object) -> object:
    try:
        return object.__getattribute__(value, "__dict__")  # the class's own way may be the program's code
    except (AttributeError, TypeError):
        return None
