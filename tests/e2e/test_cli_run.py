"""The round a user makes: run, look, compare; no command leaves more than was asked for."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lowtide.profile import Function, Line, Location, Profile, Sample, ValueType
from tests.e2e.programs import environment, lowtide, profiles, python, script, sites

pytest.importorskip("lowtide._core", reason="the extension is not built")

STYLE = re.compile("\033\\[[0-9;]*m")

CATALOGUE = """
    import sys
    def load(count):
        return [bytes(1000) for _ in range(count)]
    class Catalogue:
        def index(self):
            self.terms = {str(number): bytes(500) for number in range(1000)}
    held = load(int(sys.argv[1]))
    catalogue = Catalogue()
    catalogue.index()
"""


def test_run_then_top_then_diff_then_flame(tmp_path: Path) -> None:
    program = script(tmp_path, CATALOGUE)
    first = lowtide("run", "--heap-interval", "1", program, "1000", cwd=tmp_path)
    assert (first.returncode, first.stdout) == (0, "")
    (line,) = first.stderr.splitlines()
    assert line.startswith("lowtide: heap profile in lowtide-out/heap.")
    assert line.endswith("; see it with: lowtide top lowtide-out")
    assert (tmp_path / line.split()[4].rstrip(";")).exists()

    top = lowtide("top", "--by", "function", "lowtide-out", cwd=tmp_path).stdout
    assert "every block counted" in top
    assert f"__main__.load {program}:3" in top or f"__main__.load.<locals>.<listcomp> {program}:" in top

    lowtide("run", "--heap-interval", "1", "--out", "later", program, "3000", cwd=tmp_path)
    diff = lowtide("diff", "-n", "1", "lowtide-out", "later", cwd=tmp_path).stdout
    assert "__main__.load" in diff

    assert lowtide("flame", "later", cwd=tmp_path).stdout == "later.html\n"
    assert "__main__.load" in (tmp_path / "later.html").read_text()


def test_options_win_over_the_variable_and_the_variable_over_defaults(tmp_path: Path) -> None:
    program = script(tmp_path, "import os; print(os.environ['LOWTIDE_HEAP'])")
    env = environment(LOWTIDE_HEAP="frames=64,every=5s,interval=1KiB")

    done = lowtide("run", "--heap-interval", "2KiB", program, env=env, cwd=tmp_path)
    assert done.stdout == f"interval=2048,out={tmp_path}/lowtide-out,every=5,frames=64\n"


def test_the_start_up_folder_comes_before_the_users_own_paths(tmp_path: Path) -> None:
    program = script(tmp_path, "import os; print(os.environ['PYTHONPATH'])")
    once = lowtide("run", program, env=environment(PYTHONPATH=f"{tmp_path}:"), cwd=tmp_path).stdout.rstrip("\n")
    twice = lowtide("run", program, env=environment(PYTHONPATH=once), cwd=tmp_path).stdout.rstrip("\n")

    assert once.endswith(f"/_bootstrap:{tmp_path}:")
    assert twice == once


def test_looking_at_profiles_where_the_variable_is_set_adds_none(tmp_path: Path) -> None:
    env = environment(LOWTIDE_HEAP=f"interval=1,out={tmp_path}/out")
    assert python("-c", "held = bytes(1000)", env=env).returncode == 0
    assert lowtide("top", tmp_path / "out", env=env).returncode == 0

    assert len(profiles(tmp_path / "out")) == 1


def on_a_terminal(folder: Path, *args: str) -> str:
    """Run the command on a terminal of 60 columns; return what it was sent."""
    screen, terminal = pty.openpty()
    env = environment(COLUMNS="60", TERM="xterm")
    command = [sys.executable, "-m", "lowtide", *args]
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, cwd=folder, env=env):
        os.close(terminal)
        shown = b""
        try:
            while chunk := os.read(screen, 4096):
                shown += chunk
        except OSError:  # the terminal's other end was closed
            pass
        os.close(screen)

    return STYLE.sub("", shown.decode())


def test_a_terminal_gets_a_table_that_fits(tmp_path: Path) -> None:
    lowtide("run", "--heap-interval", "1", script(tmp_path, CATALOGUE), "10", cwd=tmp_path)

    table = on_a_terminal(tmp_path, "top", "lowtide-out").split("\r\n\r\n")[1].splitlines()
    assert max(map(len, table)) == 60
    assert any("__main__" in line for line in table)


@pytest.mark.parametrize("args", [["top", "hostile.pb.gz"], ["top", "--sample-type", "x", "hostile.pb.gz"]])
def test_a_hostile_profile_sends_a_terminal_no_command(args: list[str], tmp_path: Path) -> None:
    clear = "\x1b]0;\x07\x1b[2J"
    place = Location((Line(Function(f"app.{clear}", filename=f"/srv/{clear}.py"), 1),))
    kind = ValueType(f"space{clear}", f"blocks{clear}")
    Profile((kind,), (Sample((place,), (1,)),), comments=(f"note {clear}",)).write(tmp_path / "hostile.pb.gz")

    assert not {"\x1b", "\x07"} & set(on_a_terminal(tmp_path, *args))


@pytest.mark.parametrize("args", [["--help"], ["-h"], [], ["top", "--help"], ["run", "--help"], ["--version"]])
def test_help_goes_to_standard_output(args: list[str]) -> None:
    done = lowtide(*args)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_the_installed_command_is_the_module() -> None:
    command = Path(sys.executable).parent / "lowtide"
    if not command.exists():
        pytest.skip("lowtide is not installed with its command")

    done = subprocess.run([command, "--help"], capture_output=True, text=True, env=environment())
    assert done.stdout == lowtide("--help").stdout


def test_a_command_imports_what_it_needs_only() -> None:
    heavy = {"rich", "lowtide.profile.formats.flame"}
    source = f"import sys, lowtide.cli.app, lowtide.cli.run; print({heavy} & set(sys.modules))"

    assert python("-c", source).stdout == "set()\n"


def test_the_profile_of_a_module_names_its_functions(tmp_path: Path) -> None:
    script(tmp_path, "def load(): return [bytes(1000) for _ in range(100)]", "shop/catalogue.py")
    script(tmp_path, "from shop.catalogue import load; held = load()", "shop/__main__.py")
    done = lowtide("run", "--heap-interval", "1", "-m", "shop", cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    (path,) = (tmp_path / "lowtide-out").iterdir()
    names = sites(Profile.read(path), "inuse_space")
    assert any(name.startswith("shop.catalogue.load") for name in names), names
    assert "__main__.<module>" in names
