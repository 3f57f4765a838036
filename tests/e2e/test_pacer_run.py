"""The pacer as a user starts it: by a flag of `lowtide run`, or by variables alone."""

import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from lowtide.pacer import record
from tests.e2e.programs import environment, lowtide, python, script

pytest.importorskip("lowtide._core", reason="the extension is not built")
if (3, 14) <= sys.version_info < (3, 14, 5):
    pytest.skip("the incremental collector is only observed", allow_module_level=True)

SHOW = "import gc, json; print(json.dumps(gc.get_threshold()))"
# Requests that leave cycles, beside a heap that makes CPython's full collections long.
SERVE = """
from lowtide import pacer
held = [[] for _ in range(100_000)]
for n in range(1500):
    with pacer.request():
        for _ in range(200):
            cycle = []
            cycle.append(cycle)
        held.append([[] for _ in range(150)])
"""


def own_lines(stderr: str) -> list[str]:
    """Give what the pacer said, without the heap profiler's announcement."""
    lines = stderr.splitlines()
    return [line for line in lines if line.startswith("lowtide: ") and "heap profile in" not in line]


def full_while_it_acted(file: Path) -> list[record.Collection]:
    """Give the full collections that nobody asked for, up to the pacer's last act: at exit it hands back to CPython."""
    collections = record.parse(file.read_text()).collections
    end = max(c.number for c in collections if c.cause in record.OWN_CAUSES)
    return [c for c in collections if c.generation == 2 and c.cause != "explicit" and c.number <= end]


def test_acting_takes_full_collections_over(tmp_path: Path) -> None:
    done = lowtide("run", "--pacer=act", "-c", SHOW, cwd=tmp_path)

    assert json.loads(done.stdout)[2] == 2**31 - 1
    assert own_lines(done.stderr) == []


def test_the_bare_flag_changes_nothing_and_says_so(tmp_path: Path) -> None:
    done = lowtide("run", "--pacer", "-c", SHOW, cwd=tmp_path)

    assert done.stdout == python("-c", SHOW).stdout
    assert own_lines(done.stderr) == [
        "lowtide: pacer changes nothing, and tells after a minute and at exit what --pacer=act would save",
    ]


def test_advice_comes_at_the_end(tmp_path: Path) -> None:
    done = lowtide("run", "--pacer=advise", script(tmp_path, SERVE), cwd=tmp_path)

    expected = r"lowtide: pacer: \d+ automatic full collections? took .*; \d+ of them in requests, where acting would"
    assert re.match(expected, own_lines(done.stderr)[-1])


def test_advice_comes_on_the_way_to_a_service_that_a_signal_ends(tmp_path: Path) -> None:
    hurried = "from lowtide.pacer import autostart; autostart.FIRST_ADVICE_SECONDS = 0"
    told = "import gc, time; time.sleep(0.2); gc.collect(0); time.sleep(0)"
    killed = f"{told}; import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    done = lowtide("run", "--pacer", script(tmp_path, f"{hurried}\n{SERVE}\n{killed}"), cwd=tmp_path)

    assert done.returncode == -signal.SIGTERM
    assert "automatic full collection" in own_lines(done.stderr)[-1]


def test_advice_without_requests_says_what_is_missing(tmp_path: Path) -> None:
    program = script(tmp_path, "held = [[n] for n in range(300_000)]")

    assert "no request is marked" in own_lines(lowtide("run", "--pacer", program, cwd=tmp_path).stderr)[-1]


def test_acting_leaves_no_automatic_full_collection(tmp_path: Path) -> None:
    file = tmp_path / "gc.log"
    env = environment(XDG_RUNTIME_DIR=str(tmp_path))
    done = lowtide("run", "--pacer=act", f"--gctrace={file}", script(tmp_path, SERVE), cwd=tmp_path, env=env)

    assert (done.returncode, own_lines(done.stderr)) == (0, [])
    full = full_while_it_acted(file)
    assert full
    assert {c.cause for c in full} <= {*record.OWN_CAUSES}
    assert not any(c.in_request for c in full)


def test_the_trace_goes_to_stderr_or_to_a_file_as_lines_or_as_json(tmp_path: Path) -> None:
    program = script(tmp_path, "import gc; gc.collect()")

    (trace,) = [record.parse(lowtide("run", "--gctrace", program, cwd=tmp_path).stderr)]
    assert [c.caller for c in trace.collections if c.cause == "explicit"] == [f"{program}:1"]

    lowtide("run", "--gctrace=json:gc.jsonl", program, cwd=tmp_path)
    lines = (tmp_path / "gc.jsonl").read_text().splitlines()
    assert all(json.loads(line) for line in lines)
    assert len(lines) >= 2


@pytest.mark.parametrize(
    ("flag", "complaint"),
    [
        ("--pacer=both", "'both' is not one of 'act', 'advise'"),
        ("--gctrace=", "--gctrace must be a file, json:FILE or stderr, got ''"),
        ("--gctrace=true", "--gctrace must be a file, json:FILE or stderr, got 'true'"),
        ("--gctrace=-", "--gctrace must be a file, json:FILE or stderr, got '-'"),
        ("--gctrace=.", "--gctrace must be a file, got the folder '.'"),
        ("--gctrace=missing/gc.log", "--gctrace must be a file that this user may write, got 'missing/gc.log'"),
    ],
)
def test_a_wrong_value_is_one_line(flag: str, complaint: str, tmp_path: Path) -> None:
    done = lowtide("run", flag, "-c", "pass", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert complaint in done.stderr


def test_a_value_without_its_equals_sign_is_pointed_out(tmp_path: Path) -> None:
    done = lowtide("run", "--gctrace", "gc.log", "-m", "app", cwd=tmp_path)

    assert done.returncode == 2
    assert done.stderr == "lowtide: script 'gc.log' does not exist; the trace's file is given with: --gctrace=gc.log\n"


def test_a_trace_can_be_switched_off_where_the_environment_asks_for_one(tmp_path: Path) -> None:
    env = environment(LOWTIDE_GCTRACE=str(tmp_path / "gc.log"))

    lowtide("run", "--gctrace=off", "--out=profiles", "-c", "pass", cwd=tmp_path, env=env)
    assert [path.name for path in tmp_path.iterdir()] == ["profiles"]


def test_the_variables_alone_will_do(tmp_path: Path) -> None:
    file = tmp_path / "gc.log"
    done = python("-c", SHOW, env=environment(LOWTIDE_PACER="act", LOWTIDE_GCTRACE=str(file)))

    assert json.loads(done.stdout)[2] == 2**31 - 1
    assert done.stderr == ""
    assert record.parse(file.read_text()).header.pid > 0


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"LOWTIDE_PACER": "yes"}, "LOWTIDE_PACER: mode must be 'act' or 'advise', got 'yes'; it is ignored"),
        ({"LOWTIDE_PACER": "act", "LOWTIDE_GC_PERCENT": "0"}, "LOWTIDE_GC_PERCENT: percent must be 1 to 1000000"),
        ({"LOWTIDE_PACER": "act", "LOWTIDE_MEMORY_LIMIT": "x"}, "LOWTIDE_MEMORY_LIMIT: expected a memory limit such"),
        ({"LOWTIDE_GCTRACE": "json:"}, "LOWTIDE_GCTRACE: expected 1 (stderr), a file or json:FILE"),
        ({"LOWTIDE_GCTRACE": "/nowhere/gc.log"}, "LOWTIDE_GCTRACE: [Errno 2] No such file or directory"),
    ],
)
def test_a_malformed_variable_is_one_line_and_the_program_runs(variables: dict[str, str], said: str) -> None:
    done = python("-c", "print('ran')", env=environment(**variables))

    assert (done.returncode, done.stdout) == (0, "ran\n")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"lowtide: {said}")


def test_children_pace_themselves(tmp_path: Path) -> None:
    program = script(
        tmp_path,
        """
        import gc, multiprocessing, subprocess, sys
        def upper():
            print(gc.get_threshold()[2], flush=True)
        if __name__ == "__main__":
            for method in ("fork", "spawn", "forkserver"):
                child = multiprocessing.get_context(method).Process(target=upper)
                child.start()
                child.join()
            subprocess.run([sys.executable, "-c", "import gc; print(gc.get_threshold()[2])"])
        """,
    )
    done = lowtide("run", "--pacer=act", program, cwd=tmp_path)

    assert done.stdout.split() == [str(2**31 - 1)] * 4


def test_lowtides_own_commands_leave_a_services_trace_alone(tmp_path: Path) -> None:
    file = tmp_path / "gc.log"
    done = lowtide("doctor", env=environment(LOWTIDE_GCTRACE=str(file), LOWTIDE_PACER="act"))

    assert done.returncode == 0
    assert not file.exists()


def test_doctor_tells_each_knob_with_its_origin() -> None:
    env = environment(LOWTIDE_PACER="act", LOWTIDE_MEMORY_LIMIT="900MiB", LOWTIDE_GC_PERCENT="none")
    done = lowtide("doctor", "--format", "json", env=env)
    found = {row["check"]: row for row in json.loads(done.stdout)["rows"]}

    assert found["LOWTIDE_PACER"]["detail"] == "act (environment)"
    assert found["LOWTIDE_MEMORY_LIMIT"]["detail"].startswith("900 MiB: ")
    assert found["LOWTIDE_MEMORY_LIMIT"]["detail"].endswith(" (environment)")
    assert found["LOWTIDE_GCTRACE"]["detail"] == "off (default)"
    assert (done.returncode, found["LOWTIDE_GC_PERCENT"]["state"]) == (1, "problem")
    assert "got 'none'" in found["LOWTIDE_GC_PERCENT"]["detail"]


APP = """
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from lowtide import pacer

held = [[] for _ in range(100_000)]

async def cycles(request):
    for _ in range(200):
        cycle = []
        cycle.append(cycle)
    held.append([[] for _ in range(150)])
    return PlainTextResponse("done")

app = Starlette(routes=[Route("/", cycles)], middleware=[Middleware(pacer.asgi)] * MARKED)
"""


@contextmanager
def served(folder: Path, source: str) -> Iterator[http.client.HTTPConnection]:
    pytest.importorskip("uvicorn")
    script(folder, source, "app.py")
    command = ["-m", "lowtide", "run", "--pacer=act", "--gctrace=gc.log"]
    server = ["-m", "uvicorn", "app:app", "--port", "0", "--no-access-log", "--loop", "asyncio"]
    process = subprocess.Popen(
        [sys.executable, *command, *server],
        cwd=folder,
        env=environment(XDG_RUNTIME_DIR=str(folder)),  # others may collect at the same time: nobody shares the lease
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if match := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                with closing(http.client.HTTPConnection("127.0.0.1", int(match[1]), timeout=30)) as connection:
                    yield connection
                break
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


@pytest.mark.parametrize("is_marked", [True, False], ids=["with the middleware", "as it is"])
def test_a_service_has_no_automatic_full_collection(tmp_path: Path, *, is_marked: bool) -> None:
    with served(tmp_path, APP.replace("MARKED", str(int(is_marked)))) as connection:
        for n in range(600):
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"done"
            time.sleep(0.02 if n % 100 == 0 else 0.001)

    full = full_while_it_acted(tmp_path / "gc.log")
    assert full
    assert {c.cause for c in full} <= {*record.OWN_CAUSES}
    assert not any(c.in_request for c in full)
