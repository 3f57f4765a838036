"""Run the catalogue under `lowtide run` for as long as a `with` block lasts."""

import re
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOWTIDE = Path(sysconfig.get_path("scripts")) / "lowtide"
# Port 0: the kernel picks a free one and the server says which, so nobody can take it in between.
COMMAND = ("-m", "uvicorn", "examples.catalogue.app:app", "--port", "0", "--no-access-log")

_READY = re.compile(r"running on (http://127\.0\.0\.1:\d+)")
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


class ServiceError(Exception):
    """The service did not start or left no profile; the text is for a person."""


@dataclass(frozen=True, slots=True)
class Service:
    url: str
    pid: int


@contextmanager
def profiled_service(profile: Path, log: Path) -> Iterator[Service]:
    """Start the service, yield it once it listens, stop it at the end of the block.

    Args:
        profile: where to put the heap profile that the process leaves when it ends.
        log: what the service prints.

    Raises: ServiceError when it does not start, with the end of the log; or when it leaves no profile.
    """
    with tempfile.TemporaryDirectory() as out, log.open("w") as log_file:
        command = [str(LOWTIDE), "run", "--out", out, *COMMAND]
        # A session of its own: Ctrl-C in the terminal reaches us alone, and we end the service in order.
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log_file, stderr=log_file, start_new_session=True
        )
        try:
            yield Service(_wait_until_ready(process, log), process.pid)
        finally:
            _stop(process)
        written = list(Path(out).glob(f"heap.{process.pid}.*.pb.gz"))
        if not written:
            raise ServiceError(f"the service (exit code {process.returncode}) left no profile; {_end_of(log)}")
        shutil.copyfile(written[0], profile)


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if ready := _READY.search(log.read_text()):
            return ready[1]
        if process.poll() is not None:
            raise ServiceError(f"the service did not start (exit code {process.returncode}); {_end_of(log)}")
        time.sleep(0.05)
    raise ServiceError(f"the service did not listen within {_START_SECONDS:g} s; {_end_of(log)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    try:
        # SIGINT first: after its graceful stop uvicorn raises the signal again, and SIGTERM would end the process
        # before the profile of its end is written.
        for number in (signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
                return
    finally:
        process.kill()  # a no-op unless it is still there, or we were interrupted again
        process.wait()


def _end_of(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-5:]
    return "it printed:\n" + "\n".join(f"  {line}" for line in lines) if lines else "it printed nothing"
