"""Loops that wait: told when nothing is ready and never before, and left as they were found."""

import asyncio
import gc
import random
import select
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.pacer import boundaries, idle
from lowtide.pacer.boundaries import request
from lowtide.pacer.reading import Moment
from tests.e2e.programs import python

pytest.importorskip("lowtide._core", reason="the extension is not built")


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Give the idle seconds that a listener was told of; more than `wanted` is nobody's business."""
    waits: list[float] = []
    boundaries.listen(lambda moment, seconds: waits.append(seconds) if moment is Moment.IDLE else None)
    monkeypatch.setattr(idle, "wanted", True)
    yield waits
    boundaries.listen(None)
    idle.release_all()


def _selector() -> Any:
    return asyncio.get_running_loop()._selector  # type: ignore[attr-defined] # what the hook is about


async def adopt_and_compare(sleep: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Adopt the running loop, sleep, and see that the selector was asked what the loop asked and nothing else."""
    kind, asked, wanted = type(_selector()), [], []
    ask = kind.select

    def select(selector: Any, timeout: float | None) -> Any:
        asked.append(timeout)
        return ask(selector, timeout)

    monkeypatch.setattr(kind, "select", select)
    idle.adopt_running_loop()
    hook = _selector().select

    def want(timeout: float | None) -> Any:
        wanted.append(timeout)
        return hook(timeout)

    _selector().select = want
    await sleep()
    assert asked == wanted != []


async def sleep_until(is_enough: Callable[[], object]) -> None:
    """Sleep again and again: on a busy machine a sleep may be over before the loop comes to wait."""
    for _ in range(200):
        await asyncio.sleep(0.05)
        if is_enough():
            break


def run(main: Callable[[], Any], **options: Any) -> None:
    """Run a coroutine function in a loop that is adopted."""

    async def adopted() -> None:
        idle.adopt_running_loop()
        await main()

    asyncio.run(adopted(), **options)


def test_a_loop_that_waits_is_told_of(told: list[float]) -> None:
    run(lambda: sleep_until(lambda: told))
    assert told
    assert max(told) < 0.05, "the next timer ends the wait"


def test_a_loop_that_never_waits_is_not(told: list[float]) -> None:
    async def busy() -> None:
        for _ in range(100):
            await asyncio.sleep(0)
        assert told == []

    run(busy)


@pytest.mark.parametrize("debug", [False, True])
def test_idle_is_never_told_while_an_event_is_ready(*, debug: bool) -> None:
    """Everything becomes ready in the loop's own thread, so what is ready at a call was so before the poll."""
    pairs = [socket.socketpair() for _ in range(8)]
    wrong: list[object] = []
    calls = 0

    def check(moment: Moment, seconds: float) -> None:
        nonlocal calls
        if moment is Moment.IDLE:
            calls += 1
            wrong.extend(select.select([reader for reader, _ in pairs], [], [], 0)[0])
            wrong.extend(asyncio.get_running_loop()._ready)  # type: ignore[attr-defined] # the loop's queue

    boundaries.listen(check)
    dice = random.Random(1)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        finished = asyncio.Event()
        turns = 0

        def received(reader: socket.socket) -> None:
            nonlocal turns
            reader.recv(1)
            turns += 1
            if turns == 300:
                finished.set()
            kind = dice.randrange(4)
            if kind == 0:
                loop.call_later(0.001, send)
            elif kind == 1:
                loop.call_soon(send)
            else:
                send()

        def send() -> None:
            dice.choice(pairs)[1].send(b"x")

        for reader, _ in pairs:
            loop.add_reader(reader, received, reader)
        send()
        await finished.wait()
        for reader, _ in pairs:
            loop.remove_reader(reader)

    run(main, debug=debug)
    for pair in pairs:
        for end in pair:
            end.close()
    assert calls > 10
    assert wrong == []


def test_what_the_listener_schedules_is_run_at_once() -> None:
    """Finalizers do so: they think they run within a step of the loop."""

    async def main() -> None:
        done = asyncio.Event()

        def schedule(moment: Moment, seconds: float) -> None:
            boundaries.listen(None)
            asyncio.get_running_loop().call_soon(done.set)

        boundaries.listen(schedule)
        await done.wait()  # nothing else would ever wake the loop

    run(main)


def test_what_the_listener_raises_does_not_reach_the_loop() -> None:
    boundaries.listen(lambda *_: 1 / 0)
    run(lambda: asyncio.sleep(0.03))


def test_a_wait_that_goes_on_is_told_again_with_longer_hopes(
    told: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "FIRST_PAUSE_SECONDS", 0.001)

    async def wait() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def hear(moment: Moment, seconds: float) -> None:
            told.append(seconds)
            if len(told) > 2 and seconds > 0.3 / 9:  # it has waited for 0.3 s
                loop.call_soon(done.set)

        boundaries.listen(hear)
        await done.wait()

    run(wait)
    assert told == sorted(set(told))
    assert len(told) < 12, "the pauses in between double"


def test_a_timer_does_not_end_a_wait_but_its_hopes(told: list[float]) -> None:
    """A server's own clockwork runs ten times a second; what matters is that nobody asks it for anything."""

    async def tick() -> None:
        for _ in range(15):
            await asyncio.sleep(0.02)

    run(tick)
    assert max(told) > 0.02 / 9, "it has waited longer than from one timer to the next"
    assert max(told) <= 0.02


def test_where_nothing_is_wanted_the_selector_is_asked_once_a_turn(
    told: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "wanted", False)
    monkeypatch.setattr(idle, "HEARTBEAT_SECONDS", 3600)

    async def sleep() -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        for _ in range(10):
            await asyncio.sleep(0.002)
        assert loop.time() - before >= 0.02, "no timer fires early"

    asyncio.run(adopt_and_compare(sleep, monkeypatch))
    assert told == []


def test_a_long_wait_is_told_of_even_if_nothing_is_wanted(told: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "wanted", False)
    monkeypatch.setattr(idle, "HEARTBEAT_SECONDS", 0.02)
    run(lambda: sleep_until(lambda: len(told) >= 2))
    assert len(told) >= 2


def test_without_a_listener_a_loop_waits_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    boundaries.listen(None)
    monkeypatch.setattr(idle, "HEARTBEAT_SECONDS", 0.001)
    asyncio.run(adopt_and_compare(lambda: asyncio.sleep(0.02), monkeypatch))


def test_while_a_request_awaits_only_a_long_wait_counts(told: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """It may await a thread that executes it."""

    async def main() -> None:
        with request():
            monkeypatch.setattr(idle, "LONG_SECONDS", 60)
            await asyncio.sleep(0.05)
            assert told == []
            monkeypatch.setattr(idle, "LONG_SECONDS", 0.02)
            await sleep_until(lambda: told)
            assert told

    run(main)


def test_the_time_that_the_listener_takes_is_no_wait_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "INSTANT_SECONDS", 0.05)  # to poll what is ready takes longer on a busy machine
    reader, writer = socket.socketpair()
    calls = 0

    def collect(moment: Moment, seconds: float) -> None:
        nonlocal calls
        calls += 1
        writer.send(b"x")
        threading.Event().wait(0.1)

    async def main() -> None:
        readable = asyncio.Event()
        asyncio.get_running_loop().add_reader(reader, readable.set)
        boundaries.listen(collect)
        await readable.wait()
        asyncio.get_running_loop().remove_reader(reader)
        assert calls == 1
        assert not [gap for gap in _selector().lowtide_idle._gaps if gap > 0.1]

    run(main)
    reader.close()
    writer.close()


# Adopting and releasing


def test_adopting_again_changes_nothing() -> None:
    async def main() -> None:
        hook = _selector().select
        idle.adopt_running_loop()
        assert _selector().select == hook

    run(main)


def test_releasing_leaves_the_selector_as_it_was(told: list[float]) -> None:
    async def main() -> None:
        before = dict(vars(_selector()))
        idle.adopt_running_loop()
        assert vars(_selector()) != before
        idle.release_all()
        assert vars(_selector()) == before
        await asyncio.sleep(0.02)
        assert told == []
        idle.adopt_running_loop()
        await sleep_until(lambda: told)
        assert told

    asyncio.run(main())


def test_whoever_wrapped_select_before_is_still_asked(told: list[float]) -> None:
    async def main() -> None:
        selector, asked = _selector(), []
        theirs = selector.select

        def wrapper(timeout: float | None) -> Any:
            asked.append(timeout)
            return theirs(timeout)

        selector.select = wrapper
        idle.adopt_running_loop()
        await sleep_until(lambda: told)
        assert asked
        assert told
        idle.release_all()
        assert selector.select is wrapper

    asyncio.run(main())


def test_whoever_wraps_select_later_stays(told: list[float]) -> None:
    async def main() -> None:
        selector, asked = _selector(), []
        ours = selector.select

        def wrapper(timeout: float | None) -> Any:
            asked.append(timeout)
            return ours(timeout)

        selector.select = wrapper
        for _ in range(3):
            idle.release_all()
            assert selector.select is wrapper
            told.clear()
            await asyncio.sleep(0.02)
            assert told == []
            idle.adopt_running_loop()
            await sleep_until(lambda: told)
            assert selector.select is wrapper, "it is not wrapped once more"
            assert told
        assert asked

    run(main)


def test_a_selector_that_takes_no_attributes_is_left_alone() -> None:
    class Sealed:
        __slots__ = ()

        def select(self, _: float | None) -> list[object]:
            return []

    class Loop:
        _selector = Sealed()

    asyncio._set_running_loop(Loop())  # type: ignore[arg-type] # as far as a loop matters here
    try:
        idle.adopt_running_loop()
    finally:
        asyncio._set_running_loop(None)


def test_no_loop_is_kept_alive_and_no_selector_becomes_garbage() -> None:
    seen: list[weakref.ref[Any]] = []

    async def main() -> None:
        seen.extend([weakref.ref(asyncio.get_running_loop()), weakref.ref(_selector())])

    was_enabled = gc.isenabled()
    gc.disable()
    try:
        run(main)
        loop, selector = seen
        assert selector() is None
        gc.collect()
        assert loop() is None
    finally:
        if was_enabled:
            gc.enable()
    idle.release_all()


def test_loops_of_several_threads_are_told_of_apart() -> None:
    threads_told = set()
    boundaries.listen(lambda *_: threads_told.add(threading.get_ident()))

    async def wait() -> None:
        await sleep_until(lambda: threading.get_ident() in threads_told)

    threads = [threading.Thread(target=run, args=[wait]) for _ in range(3)]
    for thread in threads:
        thread.start()
    idents = {thread.ident for thread in threads}
    for thread in threads:
        thread.join()
    assert threads_told == idents


def test_where_no_loop_runs_nothing_happens_and_asyncio_is_not_imported() -> None:
    done = python(
        "-c",
        "from lowtide.pacer import idle\n"
        "idle.adopt_running_loop()\n"
        "idle.release_all()\n"
        "import sys; assert 'asyncio' not in sys.modules\n",
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_signal_interrupts_a_wait_as_ever() -> None:
    done = python(
        "-c",
        "import asyncio, os, signal, threading\n"
        "from lowtide.pacer import boundaries, idle\n"
        "boundaries.listen(lambda *_: None)\n"
        "idle.wanted = True\n"
        "async def main():\n"
        "    idle.adopt_running_loop()\n"
        "    threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()\n"
        "    await asyncio.sleep(60)\n"
        "try:\n"
        "    asyncio.run(main())\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


# Without a selector


def test_a_loop_without_a_selector_is_told_of_while_nothing_is_served(told: list[float]) -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")

    async def main() -> None:
        idle.adopt_running_loop()
        idle.adopt_running_loop()
        with request():
            await asyncio.sleep(0.2)
            assert told == []
        await sleep_until(lambda: told)
        assert told
        idle.release_all()
        await asyncio.sleep(0.1)
        told.clear()
        await asyncio.sleep(0.1)
        assert told == []

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_such_a_loop_is_not_kept_alive() -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    seen: list[weakref.ref[Any]] = []

    async def main() -> None:
        idle.adopt_running_loop()
        seen.append(weakref.ref(asyncio.get_running_loop()))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    del runner
    gc.collect()
    assert seen[0]() is None


# Predictions

seconds = st.floats(1e-4, 100)


@given(st.lists(seconds, min_size=10, max_size=64))
def test_nine_in_ten_waits_were_longer_than_predicted(gaps: list[float]) -> None:
    predicted = idle.predict(gaps, 0.0)
    assert sum(gap >= predicted for gap in gaps) >= 0.9 * len(gaps)


@given(st.lists(seconds, max_size=64), seconds)
def test_a_prediction_is_never_longer_than_most_gaps_went_on(gaps: list[float], waited: float) -> None:
    predicted = idle.predict(gaps, waited)
    longer = [gap for gap in gaps if gap > waited]
    assert predicted >= 0
    assert sum(gap - waited >= predicted for gap in longer) >= 0.9 * len(longer)


@given(seconds)
def test_a_wait_like_none_before_is_predicted_from_itself(waited: float) -> None:
    assert idle.predict([], waited) == waited / 9
