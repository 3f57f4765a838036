"""The extensions' sources and flags, and the start-up file; everything else stands in pyproject.toml."""

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

START_UP_FILE = "lowtide.pth"

# The pools rely on a GIL, and the core knows the hooks and frames of Linux only.
# Elsewhere lowtide installs without them, and says so when asked.
HAS_POOL = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
HAS_CORE = HAS_POOL and sys.platform == "linux"


def tls_flags() -> list[str]:
    """Make the hooks' thread-local countdown one instruction away instead of one call away."""
    if "musl" not in (sysconfig.get_config_var("HOST_GNU_TYPE") or ""):
        return ["-ftls-model=initial-exec"]
    # musl refuses to dlopen initial-exec; descriptors are next best, and the default on aarch64 already.
    return ["-mtls-dialect=gnu2"] if platform.machine() == "x86_64" else []


STRICT = ["-Wall", "-Wextra", "-Werror"] if os.environ.get("LOWTIDE_DEV") == "1" else []


def core() -> Extension:
    return Extension(
        "lowtide._core",
        sources=sorted(map(str, [*Path("csrc/core").glob("*.c"), *Path("csrc/base").glob("*.c")])),
        depends=sorted(map(str, Path("csrc").rglob("*.h"))),
        include_dirs=["csrc"],
        extra_compile_args=["-std=c11", "-O2", "-fvisibility=hidden", *tls_flags(), *STRICT],
        libraries=["m"],
        extra_link_args=["-pthread"],
    )


def pool() -> Extension:
    is_unix = sys.platform != "win32"
    return Extension(
        "lowtide._pool",
        sources=sorted(map(str, Path("csrc/pool").glob("*.c"))),
        depends=sorted(map(str, Path("csrc/pool").glob("*.h"))),
        include_dirs=["csrc"],
        extra_compile_args=["-std=c11", "-O2", "-fvisibility=hidden", *STRICT] if is_unix else ["/std:c11"],
    )


class BuildExt(build_ext):
    """Ask for what is missing in one line before the compiler answers in a hundred."""

    def run(self) -> None:
        if HAS_CORE:
            compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
            if shutil.which(compiler[0]) is None:
                sys.exit(f"lowtide: no C compiler ({compiler[0]}): install gcc, e.g. `apt install gcc libc6-dev`")
            headers = "#include <stdio.h>\n#include <Python.h>\n#include <internal/pycore_frame.h>\n"
            probe = [*compiler, "-DPy_BUILD_CORE", "-fsyntax-only", "-x", "c", "-", "-I", sysconfig.get_path("include")]
            if subprocess.run(probe, input=headers, text=True, capture_output=True, check=False).returncode != 0:
                python = f"python3.{sys.version_info.minor}"
                sys.exit(f"lowtide: no headers for {python}: install e.g. `apt install {python}-dev libc6-dev`")
        super().run()


class BuildPy(build_py):
    """Put the start-up file at the root of site-packages, where the interpreter reads it; editable installs too."""

    def run(self) -> None:
        super().run()
        root = self.get_finalized_command("install").install_lib if self.editable_mode else self.build_lib
        self.copy_file(f"src/{START_UP_FILE}", f"{root}/{START_UP_FILE}")

    def get_source_files(self) -> list[str]:
        return [*super().get_source_files(), f"src/{START_UP_FILE}"]


setup(
    ext_modules=[*([core()] if HAS_CORE else []), *([pool()] if HAS_POOL else [])],
    cmdclass={"build_ext": BuildExt, "build_py": BuildPy},
)
