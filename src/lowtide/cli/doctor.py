"""`lowtide doctor`."""

import json
import os
import platform
import site
import sys
import sysconfig
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from lowtide._version import __version__
from lowtide.cli import inputs, options
from lowtide.errors import LowtideError
from lowtide.heap import collector, settings
from lowtide.pacer.memory import Limit, MemoryReader
from lowtide.pacer.settings import LIMIT, MODE, PERCENT, TRACE, Knob, parse_trace, read_limit, read_mode, read_percent
from lowtide.units import format_bytes, format_duration

UNWELL = 1

_COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}


class Finding(NamedTuple):
    """One line of the report; `state` is ok, note or problem."""

    check: str
    state: str
    detail: str


@click.command(
    epilog="""\b
    Examples:
      lowtide doctor
      docker exec CONTAINER python -m lowtide doctor     with the environment that the service has

    \b
    Exit code: 0 when the heap profiler can work here, 1 when something is in its way.
    """
)
@options.output_format
def command(*, output_format: str) -> int:
    """Tell whether the profiler works here, what is armed, and why not."""
    findings = list(_examine())
    if output_format == "json":
        click.echo(json.dumps({"schema": 1, "rows": [finding._asdict() for finding in findings]}, indent=2))
    else:
        width = max(len(finding.check) for finding in findings)
        for check, state, detail in findings:
            click.echo(f"{click.style(f'{state:7}', fg=_COLOURS[state])}  {check:{width}}  {detail}")
    return UNWELL if any(finding.state == "problem" for finding in findings) else 0


def _examine() -> Iterator[Finding]:
    was_active = collector.is_active()
    yield _interpreter()
    yield Finding("lowtide", "ok", f"{__version__} in {Path(__file__).parent.parent}")
    core = _core()
    yield core
    yield from _heap(was_active, core.state == "ok")
    yield from _pacer()
    yield _malloc()
    yield _tracemalloc()


def _interpreter() -> Finding:
    gil = "free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else "with the GIL"
    system = f"{sys.platform} {platform.machine()} {' '.join(platform.libc_ver())}".rstrip()
    name = f"{platform.python_implementation()} {platform.python_version()} {gil}"
    return Finding("interpreter", "ok", f"{name}, {system}, {sys.executable}")


def _core() -> Finding:
    try:
        if not collector.is_active():
            collector.start()
            collector.stop()
    except LowtideError as error:
        return Finding("native core", "problem", str(error))
    return Finding("native core", "ok", "loaded, and its self-test passed")


def _heap(was_active: bool, core_works: bool) -> Iterator[Finding]:
    text = os.environ.get(settings.VARIABLE)
    if not text:
        ways = "`lowtide run`, LOWTIDE_HEAP or lowtide.heap.start()"
        yield Finding("heap profiler", "ok", f"not armed: {settings.VARIABLE} is not set (start it by {ways})")
        return
    try:
        chosen = settings.parse(text)
    except LowtideError as error:
        yield Finding(settings.VARIABLE, "problem", f"environment: {error}")
        return
    yield Finding(settings.VARIABLE, "ok", _origins(chosen, text))
    if was_active:
        yield Finding("heap profiler", "ok", f"armed: {settings.VARIABLE} was set when this interpreter started")
    elif core_works:
        yield Finding("heap profiler", "problem", f"not armed though {settings.VARIABLE} is set: {_why_not_armed()}")
    folder = Path(chosen.directory).absolute()
    if os.access(folder, os.W_OK | os.X_OK):
        yield Finding("profiles", "ok", f"{len(list(folder.glob(inputs.PATTERN)))} in {folder}")
    else:
        yield Finding("profiles", "problem", f"{folder} must be a folder that this user may write to")


def _origins(chosen: settings.Settings, text: str) -> str:
    shown = {
        "interval": format_bytes(chosen.sample_interval),
        "out": chosen.directory,
        "every": format_duration(chosen.every_seconds) if chosen.every_seconds else "at exit only",
        "frames": str(chosen.max_frames),
        "bytes": format_bytes(chosen.max_bytes),
    }
    given = {part.partition("=")[0].strip() for part in text.split(",")}
    return ", ".join(f"{key} {shown[key]} ({'environment' if key in given else 'default'})" for key in shown)


def _why_not_armed() -> str:
    if collector.stats().displaced:
        return "another allocator hook displaced lowtide's"
    return _why_not_started() or "see what this interpreter printed when it started"


def _why_not_started() -> str:
    if sys.flags.no_site:
        return "python -S leaves out the start-up files"
    folders = [Path(folder) for folder in {*site.getsitepackages(), sysconfig.get_path("purelib")}]
    if not any((folder / "lowtide.pth").exists() for folder in folders):
        return f"no lowtide.pth in {' or '.join(map(str, folders))}; use `lowtide run`"
    return ""


def _pacer() -> Iterator[Finding]:
    mode = read_mode(os.environ)
    ways = "`lowtide run --pacer=act`, LOWTIDE_PACER=act or lowtide.pacer.start()"
    is_incremental = (3, 14) <= sys.version_info < (3, 14, 5)
    if mode.value == "act" and is_incremental:
        detail = f"it cannot steer the incremental collector of {platform.python_version()}, and only observes"
        yield Finding(MODE, "note", detail)
    elif mode.value and (reason := _why_not_started()):
        yield Finding(MODE, "problem", f"not started though it is set: {reason}")
    else:
        yield _knob(MODE, mode, f"{mode.value} ({mode.origin})" if mode.value else f"not started (start it by {ways})")
    percent, limit = read_percent(os.environ), read_limit(os.environ)
    growth = "by what collections find" if percent.value is None else f"{percent.value}"
    for variable, knob, shown in ((PERCENT, percent, growth), (LIMIT, limit, _limit(limit.value))):
        if knob.origin == "environment" and mode.value is None:
            detail = f"{shown} ({knob.origin}), once something starts the pacer: {MODE} is not set"
            yield Finding(variable, "note", detail)
        else:
            yield _knob(variable, knob, f"{shown} ({knob.origin})")
    yield _trace()


def _trace() -> Finding:
    text = os.environ.get(TRACE)
    if not text:
        return Finding(TRACE, "ok", "off (default)")
    try:
        target = parse_trace(text)
    except LowtideError as error:
        return Finding(TRACE, "problem", f"environment: {error}; off (default)")
    if target is None or target.file is None:
        return Finding(TRACE, "ok", f"{text} (environment)")
    file = Path(target.file).absolute()
    if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        return Finding(TRACE, "problem", f"{file} must be a file that this user may write (environment)")
    return Finding(TRACE, "ok", f"{text} (environment); other processes of the program write {file.name}.<pid>")


def _knob(variable: str, knob: Knob, detail: str) -> Finding:
    if knob.problem:
        return Finding(variable, "problem", f"environment: {knob.problem.removeprefix(f'{variable}: ')}; {detail}")
    return Finding(variable, "ok", detail)


def _limit(value: Limit) -> str:
    reader = MemoryReader(value)
    memory = reader.read(time.monotonic())
    if value is None or memory is None:
        return "off"
    shown = format_bytes(value) if isinstance(value, int) else value
    allowed = format_bytes(memory.limit_bytes) if memory.limit_bytes else "no limit"
    return f"{shown}: {allowed}, {reader.limit_source}"


def _malloc() -> Finding:
    value = os.environ.get("PYTHONMALLOC")
    if value and not sys.flags.ignore_environment:
        return Finding("PYTHONMALLOC", "note", f"{value} (environment); slower, and sizes are counted as asked for")
    if sys.flags.dev_mode:
        return Finding("PYTHONMALLOC", "note", "debug (-X dev or PYTHONDEVMODE); slower")
    return Finding("PYTHONMALLOC", "ok", "not set: the interpreter's default")


def _tracemalloc() -> Finding:
    if not tracemalloc.is_tracing():
        return Finding("tracemalloc", "ok", "off")
    origin = "-X tracemalloc" if "tracemalloc" in sys._xoptions else "PYTHONTRACEMALLOC, environment"  # noqa: SLF001 - documented
    return Finding("tracemalloc", "note", f"on ({origin}): several times slower; its stop can displace lowtide's hooks")
