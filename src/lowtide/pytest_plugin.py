"""The pytest plugin: pools are in check mode, and `@pytest.mark.max_allocs(n)` bounds what a test allocates.

Check mode is on unless LOWTIDE_POOL_CHECK says otherwise, in what the tests start as well: the variable is set, with a
seed that workers of pytest-xdist share.
"""

import inspect
import os
import sys
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from lowtide.errors import CoreUnavailableError, CountError, PoolMisuseWarning, SettingsError

if TYPE_CHECKING:
    from lowtide.guard import AllocResult

CHECK = "LOWTIDE_POOL_CHECK"
RUNS = 10  # of the body, a round
SHOWN_SITES = 10


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Switch check mode on, before the first pool is made."""
    if CHECK not in os.environ:
        os.environ[CHECK] = f"1,seed={int.from_bytes(os.urandom(4), 'big')}"
        return
    with suppress(CoreUnavailableError):
        from lowtide.pool.check.settings import parse

        try:
            parse(os.environ[CHECK])
        except SettingsError as error:
            raise pytest.UsageError(str(error)) from None


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "max_allocs(n): the test may allocate n blocks a run; its body runs 20 to 100 times (lowtide)"
    )


def pytest_report_header() -> str:
    return f"lowtide: {CHECK}={os.environ.get(CHECK, '0')}"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a marked test by the guard's rules in place of pytest's."""
    marker = pyfuncitem.get_closest_marker("max_allocs")
    if marker is None:
        return None
    bound = _bound(marker)
    if inspect.iscoroutinefunction(pyfuncitem.obj) or inspect.isasyncgenfunction(pyfuncitem.obj):
        pytest.fail(
            "max_allocs must mark a plain function, got an async one: count what it calls with allocs_per_run",
            pytrace=False,
        )
    from lowtide.guard import allocs_per_run

    arguments = [pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters]
    try:
        result = allocs_per_run(pyfuncitem.obj, *arguments, runs=RUNS)
    except (CoreUnavailableError, CountError) as reason:
        pytest.skip(str(reason))
    if result.blocks > bound:
        pytest.fail(_message(pyfuncitem.name, bound, result), pytrace=False)
    return True


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse the marker where pytest does not call the test itself."""
    if item.get_closest_marker("max_allocs") and (not isinstance(item, pytest.Function) or _is_unittest(item)):
        pytest.fail("max_allocs must mark a test function, got a method of unittest or no Python at all", pytrace=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Warn of what is lent still; a filter that makes errors of such warnings fails the session."""
    check = sys.modules.get("lowtide.pool.check")
    while check is not None:
        try:
            check.report_unreturned()
        except PoolMisuseWarning as error:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            reporter = session.config.pluginmanager.get_plugin("terminalreporter")
            if reporter is not None:
                reporter.write_line(f"\nlowtide: {error}", red=True)
        else:
            return


def _is_unittest(item: pytest.Function) -> bool:
    unittest = sys.modules.get("unittest")
    return unittest is not None and item.cls is not None and issubclass(item.cls, unittest.TestCase)


def _bound(marker: pytest.Mark) -> int:
    match marker.args, marker.kwargs:
        case ((int(n),), {}) | ((), {"n": int(n)}) if n >= 0 and len(marker.args) + len(marker.kwargs) == 1:
            return n
    given = ", ".join([*map(repr, marker.args), *(f"{name}={value!r}" for name, value in marker.kwargs.items())])
    pytest.fail(f"max_allocs must be given a number of blocks >= 0, got max_allocs({given})", pytrace=False)


def _message(test: str, bound: int, result: "AllocResult") -> str:
    settled = "" if result.settled else "; the count did not settle: does the test keep something?"
    lines = [
        f"{test} allocates {_decimal(result.blocks)} block{'s' * (result.blocks != 1)} "
        f"({_decimal(result.bytes)} bytes) a run, "
        f"max_allocs allows {bound} (mean of {RUNS} runs{settled})",
        f"{'blocks':>8} {'bytes':>10}  site",
        *(
            f"{_decimal(site.blocks):>8} {_decimal(site.bytes):>10}  {site.function} {site.file}:{site.line}"
            for site in result.by_site[:SHOWN_SITES]
        ),
    ]
    if len(result.by_site) > SHOWN_SITES:
        lines.append(f"{'':>19}  and {len(result.by_site) - SHOWN_SITES} more sites")
    return "\n".join(lines)


def _decimal(value: Fraction) -> str:
    return f"{float(value):g}" if value.denominator > 1 else f"{value.numerator}"
