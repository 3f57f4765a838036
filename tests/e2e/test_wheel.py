"""What `pip install lowtide` brings: the wheel, built from the source archive, in an environment of its own."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the extension is for Linux"),
    pytest.mark.xdist_group("wheel"),  # built once
]


def build(what: str, source: Path, into: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    into.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", f"from setuptools import build_meta; build_meta.build_{what}({str(into)!r})"],
        cwd=source,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean copy: building in the clone would leave files in it."""
    clone = tmp_path_factory.mktemp("clone")
    leave_out = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info")
    for folder in ("src", "csrc"):
        shutil.copytree(ROOT / folder, clone / folder, ignore=leave_out)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    done = build("sdist", clone, clone / "dist")
    assert done.returncode == 0, done.stderr
    (archive,) = (clone / "dist").glob("*.tar.gz")
    into = tmp_path_factory.mktemp("source")
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data")
    (unpacked,) = into.iterdir()
    return unpacked


@pytest.fixture(scope="module")
def wheel(source: Path) -> Path:
    done = build("wheel", source, source / "dist")
    assert done.returncode == 0, done.stderr
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture
def python(wheel: Path, tmp_path: Path) -> Path:
    """A fresh environment with the wheel; the dependencies are lent by ours, without its editable lowtide."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    pip(python, "install", "--no-deps", "--no-index", str(wheel))
    (site_packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site_packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def pip(python: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "-q", "--python", str(python), *arguments], check=True)


def run(python: Path, program: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LOWTIDE", "PYTHONPATH"))}
    return subprocess.run(
        [python, "-c", program], cwd=folder, env={**clean, **environment}, capture_output=True, text=True
    )


def test_the_wheel_holds_the_package_its_extensions_and_the_start_up_file(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())

    sources = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src" / "lowtide").rglob("*") if path.is_file()}
    expected = {name for name in sources if "__pycache__" not in name and not name.endswith(".so")}
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    built = {"lowtide.pth", f"lowtide/_core{suffix}", f"lowtide/_pool{suffix}"}
    assert {name for name in names if ".dist-info/" not in name} == expected | built


def test_the_command_works_from_the_wheel(python: Path, tmp_path: Path) -> None:
    done = subprocess.run([python.with_name("lowtide"), "--help"], cwd=tmp_path, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: lowtide" in done.stdout


def test_the_variable_alone_starts_the_profiler(python: Path, tmp_path: Path) -> None:
    done = run(python, "print(sum(map(len, map(str, range(9999)))))", tmp_path, LOWTIDE_HEAP="interval=1024,out=out")

    assert (done.returncode, done.stdout, done.stderr) == (0, "38886\n", "")
    assert len(list((tmp_path / "out").glob("heap.*.pb.gz"))) == 1


def test_nothing_starts_without_the_variable(python: Path, tmp_path: Path) -> None:
    done = run(python, "import sys; print([m for m in sys.modules if 'lowtide' in m])", tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


def test_a_broken_installation_leaves_the_program_alone(python: Path, tmp_path: Path) -> None:
    (package,) = (tmp_path / "venv" / "lib").glob("python*/site-packages/lowtide")
    (package / "heap" / "__init__.py").write_text("raise RuntimeError('broken')")

    done = run(python, "print('alive')", tmp_path, LOWTIDE_HEAP="interval=1024,out=out")

    assert (done.returncode, done.stdout, done.stderr) == (0, "alive\n", "")


def test_uninstalling_leaves_nothing(python: Path, tmp_path: Path) -> None:
    pip(python, "uninstall", "--yes", "lowtide")

    assert [path for path in (tmp_path / "venv").rglob("*") if "lowtide" in path.name] == []


def test_without_a_compiler_one_line_says_what_to_install(source: Path, tmp_path: Path) -> None:
    done = build("wheel", source, tmp_path, CC="no-such-compiler")

    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("lowtide: ")] == [
        "lowtide: no C compiler (no-such-compiler): install gcc, e.g. `apt install gcc libc6-dev`"
    ]
    assert "Traceback" not in done.stderr
