"""Children are profiled too, however they come to life; other interpreters are left in peace."""

import subprocess
import sys
from pathlib import Path

import pytest

from lowtide.profile import merge
from tests.e2e.programs import BARE_PYTHON, comments, lowtide, profiles, python, script, sites, without_announcement

pytest.importorskip("lowtide._core", reason="the extension is not built")

# In one line, so that it fits into a program at any indentation.
WORK = "def work(): globals()['held'] = [bytes(1000) for _ in range(500)]"


def run(tmp_path: Path, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a program with every block recorded, profiles in `out`."""
    program = script(tmp_path, source)
    done = lowtide("run", "--heap-interval", "1", "--out", "out", *options, program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert without_announcement(done.stderr) == ""
    return done


def test_a_forked_child_tells_its_own_allocations_from_inherited_ones(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        f"""
        import os, sys
        {WORK}
        def before_the_fork():
            global kept
            kept = [bytes(1000) for _ in range(200)]
        before_the_fork()
        child = os.fork()
        if not child:
            work()
            sys.exit()
        os.waitpid(child, 0)
        print(os.getpid(), child)
        """,
    )
    parent, child = map(int, done.stdout.split())

    found = profiles(tmp_path / "out")
    assert set(found) == {parent, child}
    assert any("before_the_fork" in name for name in sites(found[child], "inuse_space"))
    assert not any("before_the_fork" in name for name in sites(found[child], "alloc_space"))
    assert any("work" in name for name in sites(found[child], "alloc_space"))
    assert comments(found[child], "ancestor") == comments(found[parent], "process")
    kept = merge(list(found.values())).focus("before_the_fork").top(1)[0]
    assert kept.cum == found[parent].focus("before_the_fork").top(1)[0].cum


def test_each_generation_is_named_among_the_ancestors(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
        import os, sys
        pids = [os.getpid()]
        for _ in range(3):
            child = os.fork()
            if child:
                os.waitpid(child, 0)
                os._exit(0)
            pids.append(os.getpid())
        print(*pids)
        """,
    )
    pids = done.stdout.split()

    last = profiles(tmp_path / "out")[int(pids[-1])]
    assert [name.partition(".")[0] for name in comments(last, "ancestor")] == pids[:-1]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_write_at_exit(method: str, tmp_path: Path) -> None:
    done = run(
        tmp_path,
        f"""
        import multiprocessing, os
        {WORK}
        if __name__ == "__main__":
            context = multiprocessing.get_context("{method}")
            children = [context.Process(target=work) for _ in range(2)]
            for child in children:
                child.start()
            for child in children:
                child.join()
            print(*[child.pid for child in children])
        """,
    )
    found = profiles(tmp_path / "out")

    for pid in map(int, done.stdout.split()):
        assert any(name.startswith("__main__.work") for name in sites(found[pid])), found.keys()


def test_a_pool_of_processes_writes_at_exit(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        f"""
        import concurrent.futures, os
        {WORK}
        def job(_):
            work()
            return os.getpid()
        if __name__ == "__main__":
            with concurrent.futures.ProcessPoolExecutor(2) as pool:
                print(*set(pool.map(job, range(8))))
        """,
    )

    assert set(map(int, done.stdout.split())) <= set(profiles(tmp_path / "out"))


def test_a_subprocess_is_profiled(tmp_path: Path) -> None:
    script(tmp_path, f"{WORK}\nwork()", "child.py")
    run(tmp_path, "import subprocess, sys; subprocess.run([sys.executable, 'child.py'], check=True)")

    assert [any("work" in name for name in sites(profile)) for profile in profiles(tmp_path / "out").values()].count(
        True
    ) == 1


def test_a_program_that_executes_another_hands_its_file_over(tmp_path: Path) -> None:
    script(tmp_path, f"{WORK}\nwork()", "child.py")
    run(tmp_path, "import os, sys; os.execv(sys.executable, [sys.executable, 'child.py'])")

    (profile,) = profiles(tmp_path / "out").values()
    assert any("work" in name for name in sites(profile))


@pytest.mark.parametrize("option", ["-E", "-I", "-S", "-s", "-P"])
def test_an_interpreter_with_options_is_left_in_peace(option: str, tmp_path: Path) -> None:
    source = f"import subprocess, sys; subprocess.run([sys.executable, '{option}', '-c', 'print(1)'], check=True)"

    assert run(tmp_path, source).stdout == "1\n"


def test_an_interpreter_without_lowtide_is_left_in_peace(tmp_path: Path) -> None:
    source = f"import subprocess; subprocess.run([{BARE_PYTHON!r}, '-c', 'import sys; print(sys.path)'], check=True)"
    expected = python("-c", "import sys; print(sys.path)", executable=BARE_PYTHON).stdout

    assert run(tmp_path, source).stdout == expected
    assert len(profiles(tmp_path / "out")) == 1


def test_a_forked_child_that_leaves_at_once_leaves_nothing_behind(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
        import os
        for _ in range(20):
            child = os.fork()
            if not child:
                os._exit(0)
            os.waitpid(child, 0)
        print(os.getpid())
        """,
    )

    assert [path.name.split(".")[1] for path in (tmp_path / "out").iterdir()] == [done.stdout.strip()]


def test_threads_that_fork_leave_a_parent_that_still_writes(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        f"""
        import os, threading, time, warnings
        warnings.simplefilter("ignore")
        {WORK}
        def fork():
            for _ in range(10):
                child = os.fork()
                if not child:
                    os._exit(0)
                os.waitpid(child, 0)
        threads = [threading.Thread(target=fork) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        work()
        print(os.getpid())
        """,
    )

    assert any("work" in name for name in sites(profiles(tmp_path / "out")[int(done.stdout)]))


def test_children_of_gevent_write_at_exit(tmp_path: Path) -> None:
    pytest.importorskip("gevent")
    done = run(
        tmp_path,
        f"""
        from gevent import monkey; monkey.patch_all()
        import os, sys, gevent
        {WORK}
        child = os.fork()
        if not child:
            gevent.joinall([gevent.spawn(work) for _ in range(3)])
            sys.exit()
        os.waitpid(child, 0)
        print(os.getpid(), child)
        """,
    )
    parent, child = map(int, done.stdout.split())

    found = profiles(tmp_path / "out")
    assert set(found) == {parent, child}
    assert any("work" in name for name in sites(found[child]))


def test_a_sub_interpreter_shares_the_profiler_of_its_process(tmp_path: Path) -> None:
    interpreters = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    run(
        tmp_path,
        f"""
        import {interpreters} as interpreters
        number = interpreters.create()
        interpreters.run_string(number, "held = [bytes(1000) for _ in range(500)]")
        interpreters.destroy(number)
        """,
    )

    assert len(profiles(tmp_path / "out")) == 1


def test_a_program_that_ends_with_a_fork_ends_in_peace(tmp_path: Path) -> None:
    """What the fork left to be done finds no frame to stand on."""
    run(tmp_path, "import os; os.fork()")
