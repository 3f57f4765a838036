"""The pytest plugin as a project that installs lowtide has it: each test here runs a test run of its own."""

import os
import re

import pytest

pytest_plugins = ["pytester"]

ITEM = """
    import pytest
    from lowtide import Buffer, BufferPool, Pool, guard

    class Item:
        def __init__(self):
            self.owner = None

    def reset(item):
        item.owner = None
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Make an empty project whose environment says nothing of lowtide."""
    for name in [*os.environ]:
        if name.startswith(("LOWTIDE_", "PYTEST_", "COV_")):
            monkeypatch.delenv(name)
    return pytester


def run(project: pytest.Pytester, tests: str, *arguments: str) -> pytest.RunResult:
    project.makepyfile(ITEM + tests)
    return project.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


# -- check mode --------------------------------------------------------------------------------------------------------

MISUSE = """
    pool = Pool(Item, reset=reset, name="items")

    def test_double_put():
        item = pool.get()
        pool.put(item)
        pool.put(item)
"""


def test_pools_check_under_pytest(project: pytest.Pytester) -> None:
    result = run(project, MISUSE)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["lowtide: LOWTIDE_POOL_CHECK=1,seed=*", "*PoolMisuseError: pool 'items'*put twice"])


def test_a_report_shows_lines_of_the_test_alone(project: pytest.Pytester) -> None:
    tests = """
    def test_use_after_put():
        pool = Pool(Item, reset=reset)
        item = pool.get()
        pool.put(item)
        item.owner
    """

    result = run(project, MISUSE + tests)

    result.assert_outcomes(failed=2)
    result.stdout.no_fnmatch_line("*pool?check*.py*")


def test_the_variable_switches_it_off(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWTIDE_POOL_CHECK", "0")

    result = run(project, MISUSE)

    result.assert_outcomes(passed=1)


def test_a_misspelt_variable_stops_the_session_with_one_line(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOWTIDE_POOL_CHECK", "banana")

    result = run(project, MISUSE)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: LOWTIDE_POOL_CHECK must begin with 0 or 1, got 'banana'"])


def test_pools_of_a_conftest_check_too(project: pytest.Pytester) -> None:
    project.makeconftest("from lowtide import Pool\npool = Pool(list)")

    result = run(
        project, "    from conftest import pool\n\n    def test(): assert type(pool).__name__ == 'CheckedPool'"
    )

    result.assert_outcomes(passed=1)


def test_a_failure_comes_again_under_its_seed(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    tests = """
    def test_dropped():
        pool = Pool(name="items")
        for _ in range(200):
            pool.put(Item())
        print("kept", pool.stats().idle_items)
    """

    first = run(project, tests, "-s").stdout.str()
    seed = re.search(r"LOWTIDE_POOL_CHECK=(1,seed=\d+)", first)
    assert seed is not None
    monkeypatch.setenv("LOWTIDE_POOL_CHECK", seed[1])
    again = run(project, tests, "-s").stdout.str()

    assert re.findall(r"kept \d+", first) == re.findall(r"kept \d+", again) != []


def test_workers_share_the_seed(project: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    tests = """
    import os

    @pytest.mark.parametrize("n", range(4))
    def test_seed(n):
        assert False, os.environ["LOWTIDE_POOL_CHECK"]
    """

    result = run(project, tests, "-n", "2")

    assert len(set(re.findall(r"1,seed=\d+", result.stdout.str()))) == 1


def test_what_is_lent_when_the_session_ends_is_in_the_summary(project: pytest.Pytester) -> None:
    tests = """
    pool = Pool(Item, name="items")

    def test_lent():
        global kept
        kept = pool.get()
    """

    result = run(project, tests)

    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*PoolMisuseWarning: pool 'items'*never put back"])
    result = run(project, tests, "-W", "error")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["lowtide: pool 'items'*never put back"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


# -- max_allocs --------------------------------------------------------------------------------------------------------


def test_a_test_within_its_bound_passes(project: pytest.Pytester) -> None:
    tests = """
    @pytest.fixture
    def buffer():
        return Buffer(1000)

    @pytest.mark.max_allocs(0)
    def test_nothing(buffer):
        buffer.reset()
        buffer.write(b"text")

    @pytest.mark.max_allocs(n=1)
    @pytest.mark.parametrize("size", [100, 1000])
    def test_one(size):
        bytes(size)

    class TestMethods:
        @pytest.mark.max_allocs(0)
        def test_method(self, buffer):
            buffer.reset()
    """

    run(project, tests, "--strict-markers").assert_outcomes(passed=4)


HOT_PATH = """
    pool, buffers, buffer = Pool(Item, reset=reset), BufferPool(), Buffer(4096)

    @pytest.mark.max_allocs(0)
    def test_pool():
        item = pool.get()
        {pool}
        pool.put(item)

    @pytest.mark.max_allocs(0)
    def test_buffer_pool():
        buffers.put(buffers.get(65_536))

    @pytest.mark.max_allocs(0)
    def test_buffer():
        buffer.reset()
        buffer.write(b"piece of a response")
        {buffer}
"""


def test_the_hot_path_of_the_pools_allocates_nothing_and_one_allocation_turns_it_red(project: pytest.Pytester) -> None:
    run(project, HOT_PATH.format(pool="pass", buffer="pass")).assert_outcomes(passed=3)

    result = run(project, HOT_PATH.format(pool="item.owner = bytes(1000)", buffer="buffer.getvalue()"))

    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "test_pool allocates 1 block (1033 bytes) a run, max_allocs allows 0 (mean of 10 runs)",
            "  blocks      bytes  site",
            "       1       1033  *test_pool */test_*.py:*",
            "test_buffer allocates 1 block *",
        ]
    )


def test_pools_are_as_in_production_in_a_guarded_test_only(project: pytest.Pytester) -> None:
    tests = """
    pool = Pool(Item, reset=reset, name="items")

    @pytest.mark.max_allocs(0)
    def test_guarded():
        item = pool.get()
        pool.put(item)
        again = pool.get()
        assert again is item
        pool.put(again)

    def test_checked():
        item = pool.get()
        pool.put(item)
        with pytest.raises(RuntimeError):
            pool.put(item)
    """

    run(project, tests, "-W", "error").assert_outcomes(passed=2)


def test_a_body_that_fails_fails_as_ever(project: pytest.Pytester) -> None:
    result = run(project, "\n    @pytest.mark.max_allocs(5)\n    def test_wrong(): assert 1 == 2")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*assert 1 == 2"])


def test_a_wrong_bound_is_one_clear_error(project: pytest.Pytester) -> None:
    wrong = ["", "-1", "1.5", "1, 2", "blocks=1", "'x'"]
    tests = [f"\n    @pytest.mark.max_allocs({bound})\n    def test_{n}(): pass\n" for n, bound in enumerate(wrong)]

    result = run(project, "".join(tests))

    result.assert_outcomes(failed=len(wrong))
    result.stdout.fnmatch_lines(
        [f"max_allocs must be given a number of blocks >= 0, got max_allocs({bound})" for bound in wrong]
    )


def test_where_pytest_does_not_call_the_test_the_marker_is_refused(project: pytest.Pytester) -> None:
    tests = """
    import unittest

    class TestOld(unittest.TestCase):
        @pytest.mark.max_allocs(0)
        def test_old(self): pass

    @pytest.mark.max_allocs(0)
    async def test_async(): pass
    """

    result = run(project, tests)

    assert result.parseoutcomes().get("passed") is None
    result.stdout.fnmatch_lines(
        ["max_allocs must mark a test function, got *", "max_allocs must mark a plain function*"]
    )


def test_under_a_tracer_it_is_skipped_with_the_reason(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        import sys, pytest

        @pytest.fixture(autouse=True)
        def traced():
            sys.settrace(lambda *_: None)
            yield
            sys.settrace(None)
        """
    )

    result = run(project, "\n    @pytest.mark.max_allocs(0)\n    def test(): pass", "-rs")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*cannot be counted under a trace function*"])


def test_where_the_core_is_missing_it_is_skipped_with_the_reason(project: pytest.Pytester) -> None:
    project.makeconftest("import sys\nsys.modules['lowtide._core'] = None")

    result = run(project, "\n    @pytest.mark.max_allocs(0)\n    def test(): pass", "-rs")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*counting allocations is not available: *"])


def test_it_works_in_workers_of_xdist(project: pytest.Pytester) -> None:
    pytest.importorskip("xdist")

    result = run(project, HOT_PATH.format(pool="item.owner = bytes(1000)", buffer="pass"), "-n", "2")

    result.assert_outcomes(passed=2, failed=1)
