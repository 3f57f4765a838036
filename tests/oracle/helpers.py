"""The C helpers of these tests, compiled for the interpreter that runs them."""

import shlex
import subprocess
import sysconfig
from pathlib import Path

SOURCES = sorted(Path(__file__).parent.glob("*.c"))


def build(into: Path) -> Path:
    """Compile each source to a module beside this one, as seen by who has `into` on the import path; return `into`."""
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
    flags = ["-shared", "-fPIC", "-O1", "-g", "-pthread", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"]
    folder = into / "tests" / "oracle"  # a namespace package's second folder
    folder.mkdir(parents=True)
    for source in SOURCES:
        include, output = sysconfig.get_path("include"), folder / f"{source.stem}.so"
        subprocess.run([*compiler, *flags, f"-I{include}", str(source), "-o", str(output)], check=True)
    return into
