"""Start the pacer and the trace because the environment says so; the program itself knows nothing of them."""

import atexit
import os
import sys
from functools import cache
from itertools import pairwise
from time import monotonic

from lowtide.pacer.messages import warn
from lowtide.pacer.settings import MODE, TRACE, read_mode

WORTH_A_LINE_SECONDS = 0.001  # of the longest pause
FIRST_ADVICE_SECONDS = 60.0  # after the start; each further one takes ten times as long


@cache
def start_from_environment() -> None:
    """Start the trace as `LOWTIDE_GCTRACE` says and the pacer as `LOWTIDE_PACER` says.

    Whatever goes wrong, the program runs: a problem becomes one line on stderr. Calling it again does nothing.
    """
    if _is_own_command():
        return
    for variable, start in ((TRACE, _start_trace), (MODE, _start_pacer)):
        text = os.environ.get(variable)
        if text:
            try:
                start(text)
            except Exception as error:  # noqa: BLE001 - nothing that befalls the pacer may reach the program
                if "main interpreter" in str(error):
                    return  # this is another one, and the main one has seen to it
                warn(f"{variable}: {error}; the program runs without it")


def _start_trace(text: str) -> None:
    from lowtide.pacer import tracing

    tracing.start_from_text(text)


def _start_pacer(_: str) -> None:
    from lowtide.pacer import process

    mode = read_mode(os.environ)
    if mode.problem:
        warn(f"{mode.problem}; it is ignored")
    elif mode.value is not None:
        process.start(str(mode.value))
        if mode.value == "advise":
            _advise()


def _advise() -> None:
    from lowtide.pacer import boundaries, process, watch

    began, told, last = monotonic(), 0, ""

    def tell() -> None:
        nonlocal last
        status = process.status()
        text = f"pacer: {status.advice}"
        if status.advice.full and not boundaries.ended():
            text += "; no request is marked, so nobody knows whether one waited: lowtide.pacer.asgi, wsgi or request()"
        if status.mode == "advise" and status.advice.longest_seconds >= WORTH_A_LINE_SECONDS and text != last:
            last = text
            warn(text)

    def hear(_: object) -> None:
        nonlocal told
        if monotonic() - began >= FIRST_ADVICE_SECONDS * 10**told:
            told += 1
            tell()

    def finish() -> None:
        watch.deliver()  # what came within the last 100 ms
        tell()

    watch.subscribe(hear)  # many a service is ended by a signal, and has no exit
    atexit.register(finish)  # comes before the pacer's own end


def _is_own_command() -> bool:
    """Tell whether this is lowtide's command line: its collections are no part of a service's trace."""
    words = sys.orig_argv[1:]
    return ("-m", "lowtide") in pairwise(words) or (bool(words) and words[0].rpartition("/")[2] == "lowtide")
