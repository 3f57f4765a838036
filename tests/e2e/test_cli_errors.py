"""Bad input gets one line on stderr and exit code 2, whatever the command; a traceback never."""

import gzip
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.programs import PACKAGES, environment, lowtide, script


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "empty.pb.gz").touch()
    (tmp_path / "text.pb.gz").write_text("not a profile")
    (tmp_path / "cut.pb.gz").write_bytes(gzip.compress(bytes(1000))[:-9])
    (tmp_path / "bomb.pb.gz").write_bytes(gzip.compress(bytes(300 * 2**20), 1))
    (tmp_path / "no-profiles").mkdir()
    script(tmp_path, "print('ran')")
    return tmp_path


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["top"], "missing argument 'FILE...'"),
        (["tpo", "x"], "no such command 'tpo'"),
        (["top", "--speed", "x"], "--speed"),
        (["top", "--by", "day", "x"], "invalid value for '--by'"),
        (["top", "--max-bytes", "lots", "x"], "invalid value for '--max-bytes': expected a size"),
        (["top", "gone.pb.gz"], "gone.pb.gz: no such file or directory"),
        (["top", "/proc/self/mem"], "/proc/self/mem: input/output error"),
        (["top", "no-profiles"], "no profiles in no-profiles: expected heap.*.pb.gz"),
        (["top", "empty.pb.gz"], "empty.pb.gz: "),
        (["top", "text.pb.gz"], "text.pb.gz: "),
        (["flame", "cut.pb.gz"], "cut.pb.gz: "),
        (["merge", "bomb.pb.gz", "-o", "x"], "bomb.pb.gz: larger than 64 MiB"),
        (["merge", "text.pb.gz"], "missing option '-o'"),
        (["convert", "--to", "svg", "text.pb.gz"], "invalid value for '--to'"),
        (["run"], "missing argument"),
        (["run", "--bad", "program.py"], "--bad"),
        (["run", "gone.py"], "script 'gone.py' does not exist"),
        (["run", "--pacer", "act", "x.py"], "script 'act' does not exist; the pacer's mode is given with: --pacer=act"),
        (["run", "gunicorn"], "script 'gunicorn' does not exist; a module is run with: lowtide run -m gunicorn"),
        (["run", "-m"], "expected a module after -m, got nothing"),
        (["run", "--heap-interval", "0", "program.py"], "sample_interval must be >= 1 byte, got 0"),
        (["run", "--heap-interval", "often", "program.py"], "invalid value for '--heap-interval': expected a size"),
        (["run", "--out", "program.py", "program.py"], "--out must be a folder, got the file"),
        (["run", "--out", "program.py/x", "program.py"], "not a directory"),
        (["run", "--out", "a,b=c", "program.py"], "out: the folder must not contain"),
    ],
)
def test_bad_input_gets_one_line(args: list[str], complaint: str, folder: Path) -> None:
    done = lowtide(*args, cwd=folder)

    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("lowtide: ")
    assert complaint in line
    assert not line.endswith(".")


def test_a_malformed_variable_stops_run_before_the_program(folder: Path) -> None:
    done = lowtide("run", "program.py", cwd=folder, env=environment(LOWTIDE_HEAP="speed=3"))

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("lowtide: LOWTIDE_HEAP: expected one of the keys")


def test_without_the_extension_run_refuses_and_says_why(folder: Path) -> None:
    without = folder / "site"
    shutil.copytree(PACKAGES / "lowtide", without / "lowtide", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    env = environment(PYTHONPATH=str(without))

    run = lowtide("run", "program.py", cwd=folder, env=env)
    assert (run.returncode, run.stdout) == (2, "")
    (line,) = run.stderr.splitlines()
    assert line.startswith("lowtide: heap profiling is not available: ")

    doctor = lowtide("doctor", env=env)
    assert doctor.returncode == 1
    assert "problem  native core" in doctor.stdout


def test_a_reader_that_has_seen_enough_ends_the_command_silently(folder: Path) -> None:
    frames = "\n".join(f"def f{n}(): return bytes({n})" for n in range(1000))
    script(folder, f"{frames}\nheld = [globals()[f'f{{n}}']() for n in range(1000)]", "many.py")
    assert lowtide("run", "--heap-interval", "1", "many.py", cwd=folder).returncode == 0

    process = subprocess.Popen(
        f"{sys.executable} -m lowtide top -n 100000 lowtide-out | head -1",
        shell=True,
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    stdout, stderr = process.communicate()

    assert stdout.startswith("lowtide-out: inuse_space ")
    assert stderr == ""


def test_a_full_standard_output_is_an_error(folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lowtide", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            text=True,
        )

    assert done.returncode == 2
    assert done.stderr == "lowtide: no space left on device\n"
