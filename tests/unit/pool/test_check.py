"""Check mode: a misuse is reported with the pool, both stacks and what to do; what is no misuse is not."""

import gc
import io
import re
import threading
from array import array
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from lowtide import Buffer, Pool
from lowtide.errors import LowtideError, PoolMisuseError, PoolMisuseWarning, SettingsError
from lowtide.pool import check
from lowtide.pool.check import CheckedPool


class Item:
    def __init__(self) -> None:
        self.rows: list[object] = []
        self.owner: object = None

    def reset(self) -> None:
        self.rows.clear()
        self.owner = None

    def work(self) -> str:
        return "done"

    def __len__(self) -> int:
        return len(self.rows)


class Slotted:
    __slots__ = ("value",)


@pytest.fixture(autouse=True)
def _certain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drop nothing at random, so that each test tells one thing."""
    monkeypatch.setattr(check.settings, "drop", False)


@pytest.fixture
def no_quarantine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check.settings, "quarantine", 0)


@pytest.fixture
def pool() -> Pool[Item]:
    return Pool(Item, reset="reset", name="items", check=True)


def get_here(pool: Pool[Any]) -> Any:
    return pool.get()


def put_here(pool: Pool[Any], item: Any) -> None:
    pool.put(item)


def used_after_put(pool: Pool[Any]) -> Any:
    item = get_here(pool)
    put_here(pool, item)
    return item


def round_trip(pool: Pool[Any]) -> None:
    with pool.lease():
        pass
    item = pool.get()
    pool.put(item)


def assert_tells_all(error: BaseException, what: str) -> None:
    """Look for what every report has: pool, misuse, the stacks of get and put in this file, and advice."""
    text = str(error)
    first, *rest = text.splitlines()
    assert first.startswith("pool 'items', ")
    assert what in text
    got, put = text.index("got at:"), text.index("put at:")
    assert re.search(rf'File "{re.escape(__file__)}", line \d+, in get_here', text[got:put])
    assert re.search(rf'File "{re.escape(__file__)}", line \d+, in put_here', text[put:])
    assert "what to do: " in text
    assert rest[-1] == f"under: LOWTIDE_POOL_CHECK=1,seed={check.settings.seed}"


# -- which pools check -------------------------------------------------------------------------------------------------


def test_check_mode_is_another_class_and_production_has_no_trace_of_it() -> None:
    assert type(Pool(Item, check=True)) is CheckedPool
    assert type(Pool(Item, check=False)) is Pool
    assert type(Pool(Item)) is Pool


def test_a_pool_that_is_used_well_works_as_ever(pool: Pool[Item]) -> None:
    item = pool.get()
    item.rows.append(1)
    assert (item.work(), len(item)) == ("done", 1)
    pool.put(item)
    with pool.lease() as leased:
        leased.owner = "me"

    stats = pool.stats()
    assert (stats.gets, stats.puts, stats.idle_items) == (2, 2, 2)
    pool.clear()
    assert pool.stats().idle_items == 0
    assert pool.stats().drops_cleared == 2


def test_arguments_are_judged_as_in_production() -> None:
    with pytest.raises(SettingsError, match="max_items must be >= 0, got -1"):
        Pool(Item, max_items=-1, check=True)
    with pytest.raises(TypeError, match="reset must be callable"):
        Pool(Item, reset=5, check=True)  # type: ignore[call-overload] # wrong on purpose
    assert issubclass(PoolMisuseError, (LowtideError, RuntimeError))


def test_none_is_no_item() -> None:
    pool: Pool[Any] = Pool(check=True)
    pool.put(None)

    assert pool.get() is None
    assert pool.stats().puts == 0


@pytest.mark.usefixtures("no_quarantine")
def test_bounds_hold() -> None:
    pool = Pool(lambda: bytearray(100), max_items=2, max_bytes=250, sizeof=len, check=True)
    items = [pool.get() for _ in range(4)]
    while items:
        pool.put(items.pop())

    stats = pool.stats()
    assert (stats.idle_items, stats.idle_bytes, stats.drops_full) == (2, 200, 2)


@pytest.mark.parametrize(("answer", "error"), [(lambda _: -1, SettingsError), (lambda _: "x", TypeError)])
def test_a_sizeof_that_lies_is_told_at_the_put(answer: Callable[[object], Any], error: type[Exception]) -> None:
    pool = Pool(Item, sizeof=answer, check=True)

    with pytest.raises(error, match="sizeof must return"):
        pool.put(pool.get())
    assert pool.stats().drops_bytes == 1


# -- double put --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("new", [Item, Slotted, list, dict, set, bytearray, io.BytesIO, Buffer])
def test_a_second_put_raises_with_all_stacks(new: Callable[[], Any]) -> None:
    pool = Pool(new, name="items", check=True)
    item = used_after_put(pool)

    with pytest.raises(PoolMisuseError) as caught:
        pool.put(item)

    assert_tells_all(caught.value, "put twice")
    assert "put again at:" in str(caught.value)
    assert pool.stats().idle_items == 1


@pytest.mark.usefixtures("no_quarantine")
def test_a_second_put_is_found_when_the_first_lies_in_the_pool_already(pool: Pool[Item]) -> None:
    item = used_after_put(pool)

    with pytest.raises(PoolMisuseError, match="put twice"):
        pool.put(item)


def test_a_put_to_a_second_pool_is_a_second_put(pool: Pool[Item]) -> None:
    other = Pool(Item, name="others", check=True)
    item = used_after_put(pool)

    with pytest.raises(PoolMisuseError, match=r"pool 'items'.*put twice"):
        other.put(item)


def test_an_item_made_elsewhere_may_be_put_and_one_of_another_pool(pool: Pool[Item]) -> None:
    pool.put(Item())
    other = Pool(Item, check=True)
    pool.put(other.get())

    assert pool.stats().idle_items == 2


@pytest.mark.usefixtures("no_quarantine")
def test_the_same_item_may_go_round_for_ever(pool: Pool[Item]) -> None:
    assert len({id(used_after_put(pool)) for _ in range(10)}) == 1


def test_of_threads_that_put_the_same_item_one_succeeds(pool: Pool[Item]) -> None:
    item = pool.get()
    barrier = threading.Barrier(4)
    failed: list[Exception] = []

    def put() -> None:
        barrier.wait()
        try:
            pool.put(item)
        except PoolMisuseError as error:
            failed.append(error)

    threads = [threading.Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(failed) == 3
    assert pool.stats().idle_items == 1


# -- use after put -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda item: item.rows,
        lambda item: item.work(),
        lambda item: setattr(item, "owner", "me"),
        len,
        lambda item: item == 1,
        hash,
        vars,
    ],
    ids=["read", "call", "write", "len", "eq", "hash", "vars"],
)
def test_every_use_of_an_object_that_was_put_raises_with_all_stacks(
    pool: Pool[Item], use: Callable[[Item], object]
) -> None:
    item = used_after_put(pool)

    with pytest.raises(PoolMisuseError) as caught:
        use(item)

    assert_tells_all(caught.value, "used after it was put")
    assert "used at:" in str(caught.value)


def test_an_object_that_was_put_can_still_be_shown_and_is_what_it_was(pool: Pool[Item]) -> None:
    item = used_after_put(pool)

    assert repr(item) == "<Item that was put back to pool 'items'>"
    assert isinstance(item, Item)


@pytest.mark.usefixtures("no_quarantine")
@pytest.mark.parametrize("new", [Item, Slotted])
def test_the_next_user_gets_an_object_of_the_class_it_was(new: type) -> None:
    pool = Pool(new, check=True)
    item = used_after_put(pool)

    with pool.lease() as again:
        assert again is item
        assert type(item) is new


@pytest.mark.usefixtures("no_quarantine")
def test_an_object_that_is_dropped_ends_as_its_class_says() -> None:
    ended = []

    class Ending:
        name = "me"

        def __del__(self) -> None:
            ended.append(self.name)

    pool = Pool(Ending, check=True)
    pool.put(pool.get())
    pool.clear()
    gc.collect()

    assert ended == ["me"]


@pytest.mark.usefixtures("no_quarantine")
def test_an_object_that_ends_after_its_pool_may_collect_while_it_ends() -> None:
    """Nothing but the object keeps its tombstone then, and its dealloc still needs one."""
    ended = []

    class Ending:
        def __del__(self) -> None:
            gc.collect()
            ended.append(1)

    for _ in range(20):
        pool = Pool(Ending, check=True)
        pool.put(pool.get())
        del pool

    assert len(ended) == 20


def test_an_object_that_brings_itself_back_is_what_it_was() -> None:
    saved: list[object] = []

    class Phoenix:
        def __del__(self) -> None:
            saved.append(self)

    pool = Pool(Phoenix, check=True)
    pool.put(pool.get())
    pool.clear()

    assert [type(item) for item in saved] == [Phoenix]


def test_a_class_that_registers_its_subclasses_sees_none_of_check_mode() -> None:
    class Registering:
        known: ClassVar[list[type]] = []

        def __init_subclass__(cls) -> None:
            cls.known.append(cls)

    pool = Pool(Registering, check=True)
    pool.put(pool.get())

    assert Registering.known == []


def test_a_buffer_that_was_put_refuses_use_with_all_stacks() -> None:
    pool = Pool(Buffer, reset="reset", name="items", check=True)
    buffer = used_after_put(pool)

    with pytest.raises(ValueError) as caught:
        buffer.write(b"late")

    assert isinstance(caught.value, PoolMisuseError)
    assert_tells_all(caught.value, "used after it was put")


@pytest.mark.parametrize("new", [lambda: bytearray(8), lambda: array("b", bytes(8))], ids=["bytearray", "array"])
def test_memory_that_was_put_reads_as_poison_and_cannot_grow(new: Callable[[], Any]) -> None:
    pool = Pool(new, check=True)
    item = used_after_put(pool)

    assert bytes(item) == b"\xdb" * 8
    with pytest.raises(BufferError):
        item.append(1)


def test_a_file_in_memory_that_was_put_reads_as_poison() -> None:
    pool = Pool(lambda: io.BytesIO(bytes(8)), check=True)

    assert used_after_put(pool).getvalue() == b"\xdb" * 8


@pytest.mark.usefixtures("no_quarantine")
def test_the_next_user_gets_the_memory_as_it_was_put() -> None:
    pool = Pool(lambda: bytearray(b"template"), check=True)
    item = used_after_put(pool)

    with pool.lease() as again:
        assert again is item
        assert item == b"template"


@pytest.mark.usefixtures("no_quarantine")
@pytest.mark.parametrize(
    ("new", "change", "difference"),
    [
        (list, lambda item: item.append("late"), r"item\[0\]: nothing, then 'late'"),
        (dict, lambda item: item.update(key="late"), r"item\['key'\]: nothing, then 'late'"),
        (set, lambda item: item.add("late"), "item: set of 0"),
        (lambda: bytearray(4), lambda item: item.__setitem__(0, 1), r"then bytearray of b'.x01.xdb"),
        (io.BytesIO, lambda item: item.write(b"late"), "BytesIO of b'', 0, then BytesIO of b'late', 4"),
    ],
    ids=["list", "dict", "set", "bytearray", "BytesIO"],
)
def test_what_is_written_late_is_found_at_the_next_get(
    new: Callable[[], Any], change: Callable[[Any], object], difference: str
) -> None:
    pool = Pool(new, name="items", check=True)
    item = used_after_put(pool)
    change(item)

    with pytest.raises(PoolMisuseError) as caught:
        pool.get()

    assert_tells_all(caught.value, "changed after it was put")
    assert re.search(difference, str(caught.value))
    with pool.lease() as later:
        assert later is not item


@pytest.mark.usefixtures("no_quarantine")
def test_a_part_of_an_object_that_is_changed_late_is_found(pool: Pool[Item]) -> None:
    item = pool.get()
    rows = item.rows
    pool.put(item)
    rows.append("late")

    with pytest.raises(PoolMisuseError, match=r"item\.rows\[0\]: nothing, then 'late'"):
        pool.get()


# -- dirty put ---------------------------------------------------------------------------------------------------------


def test_what_reset_forgets_is_told_with_what_differs() -> None:
    pool = Pool(Item, reset=lambda item: item.rows.clear(), name="items", check=True)
    item = get_here(pool)
    item.rows.append(1)
    item.owner = "customer 7"

    with pytest.raises(PoolMisuseError) as caught:
        put_here(pool, item)

    assert_tells_all(caught.value, "item.owner: None, then 'customer 7'")
    assert "rows" not in str(caught.value).splitlines()[1]
    assert pool.stats().idle_items == 0


def test_a_pool_without_reset_is_told_of_once_when_an_item_comes_back_changed() -> None:
    pool = Pool(Item, name="items", check=True)

    def serve(*owners: str) -> None:
        for owner in owners:
            item = get_here(pool)
            item.owner = owner
            put_here(pool, item)

    with pytest.warns(PoolMisuseWarning, match="the pool has no reset") as caught:
        serve("customer 7", "customer 8")

    assert len(caught) == 1
    assert "item.owner: None, then 'customer 7'" in str(caught[0].message)


@pytest.mark.parametrize("new", [lambda: bytearray(8), lambda: array("q", [0])], ids=["bytearray", "array"])
def test_bare_memory_may_change_without_a_reset(new: Callable[[], Any], recwarn: pytest.WarningsRecorder) -> None:
    pool = Pool(new, check=True)
    item = pool.get()
    item[0] = 7

    pool.put(item)

    assert recwarn.list == []


def test_the_reference_is_what_reset_makes_of_a_new_item() -> None:
    class Lazy:
        buffer: bytearray | None = None

        def reset(self) -> None:
            self.buffer = bytearray()

    pool = Pool(Lazy, reset="reset", check=True)

    pool.put(pool.get())


def test_state_of_a_part_counts_but_not_that_of_what_others_share() -> None:
    class Application:
        requests = 0

    application = Application()

    class Handler:
        def __init__(self) -> None:
            self.application = application
            self.item = Item()

        def reset(self) -> None:
            pass

    pool = Pool(Handler, reset="reset", check=True)
    handler = pool.get()
    handler.application.requests = 5
    pool.put(handler)

    handler = pool.get()
    handler.item.owner = "customer 7"
    with pytest.raises(PoolMisuseError, match=r"item\.item\.owner: None, then 'customer 7'"):
        pool.put(handler)


def test_nothing_of_an_item_is_called_to_look_at_it() -> None:
    class Touchy:
        def __init__(self) -> None:
            self.parts = [1]

        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"asked for {name}")

        def __eq__(self, other: object) -> bool:
            raise AssertionError("compared")

        def __hash__(self) -> int:
            raise AssertionError("hashed")

        def __repr__(self) -> str:
            raise AssertionError("shown")

        @property
        def cost(self) -> int:
            raise AssertionError("computed")

    pool = Pool(Touchy, reset=lambda _: None, check=True)
    item = pool.get()
    object.__setattr__(item, "more", 1)

    with pytest.raises(PoolMisuseError, match=r"item\.more"):
        pool.put(item)


def test_looking_for_dirt_can_be_switched_off_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check.settings, "dirty", False)
    pool = Pool(Item, reset=lambda _: None, check=True)
    item = pool.get()
    item.owner = "customer 7"
    pool.put(item)

    with pytest.raises(PoolMisuseError, match="put twice"):
        pool.put(item)


def test_a_reset_that_raises_surfaces_and_drops_the_item() -> None:
    calls = iter([None, ZeroDivisionError()])

    def reset(_: Item) -> None:
        error = next(calls)
        if error:
            raise error

    pool = Pool(Item, reset=reset, check=True)

    with pytest.raises(ZeroDivisionError):
        pool.put(pool.get())
    assert (pool.stats().drops_reset, pool.stats().idle_items) == (1, 0)


@pytest.mark.parametrize("reset", ["reset", None])
def test_an_item_whose_put_failed_may_be_put_again(reset: str | None) -> None:
    pool = Pool(Buffer, reset=reset, check=True)
    buffer = pool.get()
    with buffer.view(), pytest.raises(BufferError) as kept:
        pool.put(buffer)

    pool.put(buffer)

    assert pool.stats().idle_items == 1
    del kept  # it held the traceback, and with it all that the first put knew


# -- not worth pooling -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, 1.5, "text", b"bytes", True, ()])
def test_a_value_that_is_not_worth_pooling_is_refused(value: object) -> None:
    pool: Pool[object] = Pool(name="values", check=True)

    with pytest.raises(PoolMisuseError, match=r"pool 'values'.*is not worth pooling(.|\n)*what to do: "):
        pool.put(value)
    assert pool.stats().idle_items == 0


def test_a_tuple_with_something_in_it_is_worth_pooling() -> None:
    pool: Pool[tuple[int, ...]] = Pool(check=True)
    pool.put((1, 2))


# -- quarantine and random drops ---------------------------------------------------------------------------------------


def test_an_item_waits_for_64_puts_first_in_first_out() -> None:
    pool: Pool[list[int]] = Pool(check=True)
    for number in range(64):
        pool.put([number])
    assert pool.stats().idle_items == 64
    assert pool.get() is None

    pool.put([64])
    pool.put([65])

    assert [pool.get(), pool.get(), pool.get()] == [[1], [0], None]


@pytest.mark.usefixtures("no_quarantine")
def test_one_put_in_four_is_dropped_and_the_seed_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check.settings, "drop", True)

    def dropped(seed: int) -> list[int]:
        monkeypatch.setattr(check.settings, "seed", seed)
        pool: Pool[Item] = Pool(name="items", check=True)
        result = []
        for number in range(400):
            before = pool.stats().idle_items
            pool.put(Item())
            if pool.stats().idle_items == before:
                result.append(number)
        return result

    assert 60 < len(dropped(1)) < 140
    assert dropped(1) == dropped(1)
    assert dropped(1) != dropped(2)
