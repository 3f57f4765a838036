"""`lowtide run`: puts the profiler into the environment of a program, and becomes that program."""

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

BOOTSTRAP = Path(__file__).parent.parent / "_bootstrap"


class RunCommand(click.Command):
    """Takes its options before the program only: all that follows is the program's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with_value = {name for option in self.params if isinstance(option, click.Option) for name in option.opts}
        at = 0
        while at < len(args) and not _begins_program(args[at]):
            at += 2 if args[at] in with_value else 1
        program = args[at:]
        fence = ["--"] if program and program[0] != "--" else []
        return super().parse_args(ctx, [*args[:at], *fence, *program])


def _begins_program(arg: str) -> bool:
    return not arg.startswith("-") or arg in ("-", "--") or arg[:2] in ("-m", "-c")


@click.command(
    cls=RunCommand,
    epilog="""\b
    Examples:
      lowtide run -m uvicorn app:app --workers 4
      lowtide run --heap-interval 64KiB --out /var/tmp/profiles manage.py runserver
      lowtide run --heap-interval 1 script.py            every block, exactly; slow

    \b
    Each process writes OUT/heap.<pid>.<starttime>.pb.gz, also those that the program forks, spawns or executes.
    Where the command cannot change, set the variable that this command sets:
      LOWTIDE_HEAP=interval=512KiB,out=/var/tmp/profiles,every=60s
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
@click.argument("program", metavar="SCRIPT|-m MODULE|-c CODE ARGS...", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    heap_interval: int | None, out: str | None, snapshot_every: float | None, program: tuple[str, ...]
) -> NoReturn:
    """Run a Python program under the heap profiler.

    The program replaces this command: its arguments, input, signals, tracebacks and exit code are its own.
    """
    given: dict[str, Any] = {"sample_interval": heap_interval, "directory": out, "every_seconds": snapshot_every}
    chosen = _inherited()._replace(**{name: value for name, value in given.items() if value is not None})
    collector.start(chosen.sample_interval, chosen.max_frames, chosen.max_bytes)
    collector.stop()
    variable = settings.to_text(chosen)
    _check_program(program)
    _make_writable(Path(chosen.directory))
    file = Path(chosen.directory) / f"heap.{collector.identity()}.pb.gz"
    click.echo(f"lowtide: heap profile in {file}; see it with: lowtide top {shlex.quote(chosen.directory)}", err=True)
    os.execve(sys.executable, [sys.executable, *program], _environment(variable))


def _inherited() -> settings.Settings:
    text = os.environ.get(settings.VARIABLE)
    try:
        return settings.parse(text) if text else settings.Settings()
    except SettingsError as error:
        raise SettingsError(f"{settings.VARIABLE}: {error}") from None


def _check_program(program: tuple[str, ...]) -> None:
    name = program[0]
    if name in ("-m", "-c"):
        if len(program) == 1:
            raise SettingsError(f"expected {'a module' if name == '-m' else 'code'} after {name}, got nothing")
    elif name != "-" and name[:2] not in ("-m", "-c") and not Path(name).exists():
        hint = f"; a module is run with: lowtide run -m {name}" if name.isidentifier() else ""
        raise SettingsError(f"script {name!r} does not exist{hint}")


def _make_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise SettingsError(f"--out must be a folder, got the file {str(folder)!r}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(f"--out must be a folder that this user may write to, got {str(folder)!r}")


def _environment(variable: str) -> dict[str, str]:
    bootstrap, inherited = str(BOOTSTRAP), os.environ.get("PYTHONPATH")
    # An empty variable is none at all, while an empty part of one is the current folder.
    others = [path for path in inherited.split(os.pathsep) if path != bootstrap] if inherited else []
    return {**os.environ, settings.VARIABLE: variable, "PYTHONPATH": os.pathsep.join([bootstrap, *others])}
