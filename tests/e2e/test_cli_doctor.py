"""`lowtide doctor` says what works here, what is armed, and why not."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.programs import environment, lowtide, python

pytest.importorskip("lowtide._core", reason="the extension is not built")


def report(*flags: str, **variables: str) -> dict[str, dict[str, Any]]:
    done = python(*flags, "-m", "lowtide", "doctor", "--format", "json", env=environment(**variables))
    record = json.loads(done.stdout)
    assert record["schema"] == 1
    found = {row["check"]: row for row in record["rows"]}
    assert done.returncode == (1 if "problem" in {row["state"] for row in record["rows"]} else 0)
    return found


def test_a_sound_installation_has_no_problem() -> None:
    done = lowtide("doctor")

    assert (done.returncode, done.stderr) == (0, "")
    assert all(line.startswith(("ok ", "note ")) for line in done.stdout.splitlines())


def test_what_is_not_armed_has_a_reason() -> None:
    assert report()["heap profiler"]["detail"].startswith("not armed: LOWTIDE_HEAP is not set")


def test_what_is_armed_says_since_when_and_from_which_settings(tmp_path: Path) -> None:
    found = report(LOWTIDE_HEAP=f"interval=1KiB,out={tmp_path}")

    assert found["heap profiler"]["detail"].startswith("armed: ")
    assert "interval 1 KiB (environment)" in found["LOWTIDE_HEAP"]["detail"]
    assert "every 1 min (default)" in found["LOWTIDE_HEAP"]["detail"]
    assert found["profiles"]["detail"] == f"0 in {tmp_path}"


@pytest.mark.parametrize("every", ["1min", "100ms"], ids=["before the first", "after it"])
def test_asking_leaves_no_profile_of_the_question(tmp_path: Path, every: str) -> None:
    report(LOWTIDE_HEAP=f"interval=1,out={tmp_path},every={every}")

    assert list(tmp_path.iterdir()) == []


def test_a_malformed_variable_is_a_problem() -> None:
    assert report(LOWTIDE_HEAP="yes")["LOWTIDE_HEAP"]["state"] == "problem"


def test_a_knob_of_a_pacer_that_nobody_starts_is_noted() -> None:
    assert report(LOWTIDE_MEMORY_LIMIT="900MiB")["LOWTIDE_MEMORY_LIMIT"]["state"] == "note"
    assert report(LOWTIDE_MEMORY_LIMIT="900MiB", LOWTIDE_PACER="act")["LOWTIDE_MEMORY_LIMIT"]["state"] == "ok"
    assert report(LOWTIDE_MEMORY_LIMIT="900 apples")["LOWTIDE_MEMORY_LIMIT"]["state"] == "problem"


def test_where_a_trace_goes_is_checked(tmp_path: Path) -> None:
    found = {text: report(LOWTIDE_GCTRACE=text)["LOWTIDE_GCTRACE"] for text in ("yes", "/nowhere/gc.log", "stderr")}

    assert [found[text]["state"] for text in found] == ["problem", "problem", "ok"]
    assert report(LOWTIDE_GCTRACE=f"{tmp_path}/gc.log")["LOWTIDE_GCTRACE"]["detail"].endswith("write gc.log.<pid>")


def test_an_interpreter_that_skips_start_up_files_is_a_problem(tmp_path: Path) -> None:
    paths = ":".join(json.loads(python("-c", "import json, sys; print(json.dumps(sys.path))").stdout))
    found = report("-S", LOWTIDE_HEAP=f"out={tmp_path}", PYTHONPATH=paths)

    assert found["heap profiler"]["state"] == "problem"
    assert "python -S" in found["heap profiler"]["detail"]


@pytest.mark.parametrize(
    ("flags", "variables", "check", "detail"),
    [
        ([], {"PYTHONMALLOC": "malloc"}, "PYTHONMALLOC", "malloc (environment)"),
        (["-X", "dev"], {}, "PYTHONMALLOC", "debug (-X dev or PYTHONDEVMODE)"),
        ([], {"PYTHONTRACEMALLOC": "1"}, "tracemalloc", "on (PYTHONTRACEMALLOC, environment)"),
        (["-X", "tracemalloc"], {}, "tracemalloc", "on (-X tracemalloc)"),
    ],
)
def test_what_changes_the_allocators_is_named_with_its_origin(
    flags: list[str], variables: dict[str, str], check: str, detail: str
) -> None:
    found = report(*flags, **variables)

    assert found[check]["state"] == "note"
    assert found[check]["detail"].startswith(detail)
