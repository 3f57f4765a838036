"""`lowtide`: finds the command, and turns what goes wrong into one line and an exit code."""

import importlib
import os
import signal
import sys
from typing import NoReturn

import click

from lowtide._version import __version__
from lowtide.errors import LowtideError

FAILURE, INTERRUPTED = 2, 128 + signal.SIGINT

COMMANDS = ("run", "top", "diff", "flame", "convert", "merge", "pool", "pacer", "doctor")


class Commands(click.Group):
    """Imports a command when it is asked for: `lowtide run` stands between a shell and a program."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click calls it
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"lowtide.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
    Examples:
      lowtide run -m uvicorn app:app     profile a service, files go to lowtide-out/
      lowtide top lowtide-out            what holds the most memory now
      lowtide flame lowtide-out          the same as one HTML page
      lowtide run --gctrace=gc.log -m uvicorn app:app
      lowtide pacer explain gc.log       what the garbage collector did, and what to try
    """,
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Memory of CPython programs: profile it, pool it, pace its garbage collector.

    Every FILE is in pprof format, from lowtide, Go or another tool; a folder stands for all heap.*.pb.gz in it, and
    `-` for standard input or output.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> NoReturn:
    """Run the command line and exit: 0, or 2 with one line on stderr."""
    if hasattr(signal, "SIGPIPE"):
        # A reader that has seen enough, as in `lowtide top FILE | head`, ends us without a word.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if autostart := sys.modules.get("lowtide.heap.autostart"):
        autostart.abandon()
    try:
        status = cli.main(prog_name="lowtide", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        _fail(_lower_first(error.format_message()))
    except click.Abort:
        sys.exit(INTERRUPTED)
    except OSError as error:
        # Standard output may be what failed; the interpreter would try it again, and complain in its own words.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        reason = _lower_first(error.strerror or str(error))
        _fail(f"{error.filename}: {reason}" if error.filename else reason)
    except LowtideError as error:
        _fail(str(error))
    sys.exit(status)


def _fail(message: str) -> NoReturn:
    from lowtide.profile.formats.table import printable

    line = printable(" ".join(message.split())).removesuffix(".")
    print(f"lowtide: {line}", file=sys.stderr)  # noqa: T201 - rich would wrap it
    sys.exit(FAILURE)


def _lower_first(text: str) -> str:
    # click and the C library begin with a capital.
    return text[:1].lower() + text[1:]
