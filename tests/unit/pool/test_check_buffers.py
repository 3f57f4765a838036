"""BufferPool in check mode, and what LOWTIDE_POOL_CHECK may say."""

import subprocess
import sys

import pytest

from lowtide import Buffer, BufferPool
from lowtide.errors import PoolMisuseError, PoolMisuseWarning, SettingsError
from lowtide.pool import check
from lowtide.pool.check.settings import Settings, parse


@pytest.fixture(autouse=True)
def _certain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check.settings, "drop", False)


@pytest.fixture
def pool() -> BufferPool:
    return BufferPool(name="responses", check=True)


def test_a_pool_that_is_used_well_works_as_ever(pool: BufferPool) -> None:
    with pool.lease(5000) as buffer:
        buffer.write(b"text")
        assert buffer.getvalue() == b"text"
    pool.put(pool.get(100))

    stats = pool.stats()
    assert (stats.gets, stats.puts, stats.idle_items, stats.idle_bytes) == (2, 2, 2, 8192 + 4096)
    pool.clear()
    assert (pool.stats().idle_items, pool.stats().drops_cleared) == (0, 2)


@pytest.mark.parametrize("quarantine", [0, 64])
def test_a_second_put_raises_with_all_stacks(
    pool: BufferPool, quarantine: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check.settings, "quarantine", quarantine)
    buffer = pool.get(100)
    pool.put(buffer)

    with pytest.raises(PoolMisuseError, match=r"pool 'responses'.*put twice") as caught:
        pool.put(buffer)

    assert all(title in str(caught.value) for title in ("got at:", "put at:", "put again at:", "what to do:"))
    assert pool.stats().idle_items == 1


@pytest.mark.parametrize("quarantine", [0, 64])
def test_a_use_after_the_put_raises_with_all_stacks(
    pool: BufferPool, quarantine: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check.settings, "quarantine", quarantine)
    buffer = pool.get(100)
    pool.put(buffer)

    with pytest.raises(PoolMisuseError, match=r"pool 'responses'.*used after it was put") as caught:
        buffer.getvalue()

    assert isinstance(caught.value, ValueError)
    assert all(title in str(caught.value) for title in ("got at:", "put at:", "used at:", "what to do:"))


def test_a_buffer_comes_back_empty_and_its_memory_is_poison(pool: BufferPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check.settings, "quarantine", 0)
    buffer = pool.get(100)
    buffer.write(b"secret")
    pool.put(buffer)

    again = pool.get(100)

    assert again is buffer
    assert len(again) == 0
    with again.reserve(6) as view:
        assert bytes(view) == b"\xdb" * 6
    pool.put(again)


def test_with_live_views_it_stays_with_its_user(pool: BufferPool) -> None:
    buffer = pool.get(100)
    buffer.write(b"text")

    with buffer.view(), pytest.raises(BufferError):
        pool.put(buffer)

    assert buffer.getvalue() == b"text"
    pool.put(buffer)
    assert pool.stats().puts == 1


def test_what_is_no_buffer_is_refused_as_in_production(pool: BufferPool) -> None:
    with pytest.raises(TypeError, match=r"buffer must be a lowtide\.Buffer, got bytearray"):
        pool.put(bytearray(5))  # type: ignore[arg-type]  # the error is the point


def test_a_buffer_that_ends_unreturned_is_told(pool: BufferPool) -> None:
    with pytest.warns(PoolMisuseWarning, match=r"pool 'responses'.*never put back"):
        pool.get(100)


def test_what_refers_to_a_buffer_that_is_put_is_named(pool: BufferPool) -> None:
    kept = [pool.get(100)]

    with pytest.warns(PoolMisuseWarning, match="a list still refers to it"):
        pool.put(kept[0])


def test_quarantine_holds_no_more_bytes_than_the_pool() -> None:
    pool = BufferPool(4096, 8192, 16_384, check=True)
    for _ in range(10):
        pool.put(Buffer(8192))

    assert pool.stats().idle_bytes <= 2 * 16_384


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "0", "1"])
def test_defaults_hold_where_the_variable_says_no_more(text: str) -> None:
    parsed = parse(text)

    assert parsed == Settings(is_default=text == "1", dirty=True, drop=True, quarantine=64, seed=parsed.seed)


def test_each_setting_can_be_given() -> None:
    expected = Settings(is_default=True, dirty=False, drop=False, quarantine=5, seed=7)

    assert parse("1,seed=7,quarantine=5,drop=0,dirty=0") == expected


@pytest.mark.parametrize("text", ["yes", "2", "1,", "1,seed", "1,seed=x", "1,quarantine=-1", "1,drop=2", "1,colour=1"])
def test_a_misspelt_variable_is_one_clear_error(text: str) -> None:
    with pytest.raises(SettingsError, match=r"LOWTIDE_POOL_CHECK must .*, got"):
        parse(text)


@pytest.mark.parametrize(
    ("value", "name"), [("1", "CheckedPool"), ("1,seed=3", "CheckedPool"), ("0", "Pool"), ("", "Pool")]
)
def test_the_variable_switches_check_mode(value: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWTIDE_POOL_CHECK", value)
    program = "import lowtide; print(type(lowtide.Pool(list)).__name__)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (done.stdout.strip(), done.stderr) == (name, "")


def test_under_a_misspelt_variable_the_program_runs_unchecked_with_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWTIDE_POOL_CHECK", "banana")
    program = "import lowtide; print(type(lowtide.Pool(list)).__name__)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, "Pool\n")
    assert done.stderr == "lowtide: LOWTIDE_POOL_CHECK must begin with 0 or 1, got 'banana'; pools are not checked\n"


def test_at_exit_what_is_lent_still_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWTIDE_POOL_CHECK", "1")
    program = "import lowtide; pool = lowtide.Pool(list, name='lists'); kept = pool.get()"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 0
    assert "PoolMisuseWarning: pool 'lists', builtins.list: an item was never put back" in done.stderr
