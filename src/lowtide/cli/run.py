"""`lowtide run`: puts profiler, pacer and trace into the environment of a program, and becomes that program."""

import os
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click

from lowtide.cli.options import quantity
from lowtide.errors import SettingsError
from lowtide.heap import collector, settings
from lowtide.pacer.settings import MODE, MODES, TRACE, parse_trace

BOOTSTRAP = Path(__file__).parent.parent / "_bootstrap"

BARE = {
    "--pacer": "advise",
    "--gctrace": "1",
}  # what an option means without `=VALUE`; the next word is never its value


class RunCommand(click.Command):
    """Takes its options before the program only: all that follows is the program's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with_value = {name for option in self.params if isinstance(option, click.Option) for name in option.opts}
        own, program = [], list(args)
        while program and not _begins_program(program[0]):
            name = program.pop(0)
            own.append(f"{name}={BARE[name]}" if name in BARE else name)
            if name in with_value - BARE.keys():
                own += program[:1]
                del program[:1]
        fence = ["--"] if program and program[0] != "--" else []
        return super().parse_args(ctx, [*own, *fence, *program])


def _begins_program(arg: str) -> bool:
    return not arg.startswith("-") or arg in ("-", "--") or arg[:2] in ("-m", "-c")


@click.command(
    cls=RunCommand,
    epilog="""\b
    Examples:
      lowtide run -m uvicorn app:app --workers 4
      lowtide run --heap-interval 64KiB --out /var/tmp/profiles manage.py runserver
      lowtide run --heap-interval 1 script.py            every block, exactly; slow
      lowtide run --gctrace=gc.log -m uvicorn app:app    one line a collection of the garbage collector
      lowtide run --pacer -m uvicorn app:app             what --pacer=act would save: after a minute, and at exit

    \b
    Each process writes OUT/heap.<pid>.<starttime>.pb.gz, also those that the program forks, spawns or executes; of
    a gctrace in FILE the first process writes FILE, and each other one FILE.<pid>.
    The pacer has to be told of requests, by lowtide.pacer.asgi(app), wsgi(app) or `with lowtide.pacer.request()`.
    Where the command cannot change, or no heap profile is wanted, set the variables that this command sets:
      LOWTIDE_HEAP=interval=512KiB,out=/var/tmp/profiles,every=60s
      LOWTIDE_PACER=act  LOWTIDE_GCTRACE=/var/tmp/gc.log
    The pacer's knobs are variables too: LOWTIDE_GC_PERCENT=100  LOWTIDE_MEMORY_LIMIT=900MiB (or 90%, auto, off)
    """,
)
@click.option(
    "--heap-interval",
    metavar="SIZE",
    callback=quantity(partial(settings.parse_value, "interval")),
    help="Bytes between two samples, on average; 1 records every block.  [default: 512KiB]",
)
@click.option("--out", metavar="DIR", help="Folder for the profiles; made where missing.  [default: lowtide-out]")
@click.option(
    "--snapshot-every",
    metavar="TIME",
    callback=quantity(partial(settings.parse_value, "every")),
    help="Rewrite the files at least this often; 0 at exit only.  [default: 60s]",
)
@click.option(
    "--pacer",
    metavar="[=act|advise]",
    type=click.Choice(MODES),
    help="Keep full collections out of requests and memory under its limit (act), or change nothing and tell what that"
    " would save (advise, and the bare flag).",
)
@click.option(
    "--gctrace",
    metavar="[=FILE]",
    help="Write one line for every collection of the garbage collector, with json:FILE a JSON object; the bare flag"
    " writes to stderr.",
)
@click.argument("program", metavar="SCRIPT|-m MODULE|-c CODE ARGS...", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    *,
    heap_interval: int | None,
    out: str | None,
    snapshot_every: float | None,
    pacer: str | None,
    gctrace: str | None,
    program: tuple[str, ...],
) -> NoReturn:
    """Run a Python program under the heap profiler, and if asked under the pacer.

    The program replaces this command: its arguments, input, signals, tracebacks and exit code are its own.
    """
    given: dict[str, Any] = {"sample_interval": heap_interval, "directory": out, "every_seconds": snapshot_every}
    chosen = _inherited()._replace(**{name: value for name, value in given.items() if value is not None})
    collector.start(chosen.sample_interval, chosen.max_frames, chosen.max_bytes)
    collector.stop()
    variables = {settings.VARIABLE: settings.to_text(chosen), **_pacer_variables(pacer, gctrace)}
    _check_program(program, has_bare_trace=gctrace == BARE["--gctrace"])
    _make_writable(Path(chosen.directory))
    file = Path(chosen.directory) / f"heap.{collector.identity()}.pb.gz"
    click.echo(f"lowtide: heap profile in {file}; see it with: lowtide top {shlex.quote(chosen.directory)}", err=True)
    if pacer == "advise":
        click.echo(
            "lowtide: pacer changes nothing, and tells after a minute and at exit what --pacer=act would save", err=True
        )
    os.execve(sys.executable, [sys.executable, *program], _environment(variables))


def _inherited() -> settings.Settings:
    text = os.environ.get(settings.VARIABLE)
    try:
        return settings.parse(text) if text else settings.Settings()
    except SettingsError as error:
        raise SettingsError(f"{settings.VARIABLE}: {error}") from None


def _pacer_variables(pacer: str | None, gctrace: str | None) -> dict[str, str]:
    variables = {}
    if pacer is not None:
        variables[MODE] = pacer
    if gctrace is not None:
        variables[TRACE] = _trace_target(gctrace)
    return variables


def _trace_target(text: str) -> str:
    try:
        target = parse_trace(text)
    except SettingsError:
        raise SettingsError(f"--gctrace must be a file, json:FILE or stderr, got {text!r}") from None
    if target is None or target.file is None:
        return text
    file = Path(target.file).absolute()  # for children that change their folder
    if file.is_dir():
        raise SettingsError(f"--gctrace must be a file, got the folder {target.file!r}")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise SettingsError(f"--gctrace must be a file that this user may write, got {target.file!r}")
    return f"{'json:' if target.is_json else ''}{file}"


def _check_program(program: tuple[str, ...], *, has_bare_trace: bool) -> None:
    name = program[0]
    if name in ("-m", "-c"):
        if len(program) == 1:
            raise SettingsError(f"expected {'a module' if name == '-m' else 'code'} after {name}, got nothing")
    elif name != "-" and name[:2] not in ("-m", "-c") and not Path(name).exists():
        if name in MODES:
            hint = f"; the pacer's mode is given with: --pacer={name}"
        elif has_bare_trace and len(program) > 1:
            hint = f"; the trace's file is given with: --gctrace={name}"
        else:
            hint = f"; a module is run with: lowtide run -m {name}" if name.isidentifier() else ""
        raise SettingsError(f"script {name!r} does not exist{hint}")


def _make_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise SettingsError(f"--out must be a folder, got the file {str(folder)!r}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(f"--out must be a folder that this user may write to, got {str(folder)!r}")


def _environment(variables: dict[str, str]) -> dict[str, str]:
    bootstrap, inherited = str(BOOTSTRAP), os.environ.get("PYTHONPATH")
    # An empty variable is none at all, while an empty part of one is the current folder.
    others = [path for path in inherited.split(os.pathsep) if path != bootstrap] if inherited else []
    return {**os.environ, **variables, "PYTHONPATH": os.pathsep.join([bootstrap, *others])}
