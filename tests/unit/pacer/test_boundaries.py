"""Where requests begin and end: who is in one, how many are in flight, and what the listener hears."""

import asyncio
import contextlib
import contextvars
import gc
import os
import sys
import threading
from typing import Any

import pytest

from lowtide.pacer import boundaries
from lowtide.pacer.boundaries import Request, in_flight, in_request, request, step
from lowtide.pacer.reading import Moment
from tests.e2e.programs import python

_core = pytest.importorskip("lowtide._core", reason="the extension is not built")
pytestmark = pytest.mark.usefixtures("heard")


def test_the_end_of_the_only_request_is_a_safe_point(heard: list[Moment]) -> None:
    with request():
        assert (in_request(), in_flight(), heard) == (True, 1, [])
    assert (in_request(), in_flight(), heard) == (False, 0, [Moment.SAFE])


def test_while_another_is_in_flight_it_is_not(heard: list[Moment]) -> None:
    with request():
        thread = threading.Thread(target=_serve)
        thread.start()
        thread.join()
        assert heard == [Moment.BUSY]
    assert heard == [Moment.BUSY, Moment.SAFE]


def _serve() -> None:
    assert not in_request(), "it is another thread's"
    with request():
        assert in_flight() == 2


def test_a_request_within_another_is_a_part_of_it(heard: list[Moment]) -> None:
    with request():
        with request():
            assert in_flight() == 1
        assert (in_request(), heard) == (True, [])
    assert (in_flight(), heard) == (0, [Moment.SAFE])


def test_a_request_that_fails_ends(heard: list[Moment]) -> None:
    with pytest.raises(ZeroDivisionError), request():
        raise ZeroDivisionError
    assert (in_request(), in_flight(), heard) == (False, 0, [Moment.SAFE])


def test_what_the_listener_raises_is_dropped() -> None:
    boundaries.listen(lambda *_: 1 / 0)
    with request():
        pass
    step()


def test_ending_twice_counts_once(heard: list[Moment]) -> None:
    served = Request()
    served.begin()
    served.end()
    served.end()
    assert (in_flight(), heard) == (0, [Moment.SAFE])


def test_beginning_twice_counts_once() -> None:
    shared = request()
    threads = [threading.Thread(target=shared.begin) for _ in range(3)]
    for thread in threads:
        thread.start()
        thread.join()
    assert in_flight() == 1
    shared.end()
    assert in_flight() == 0


def test_a_request_that_ends_with_its_thread_only_is_in_flight_no_more(heard: list[Moment]) -> None:
    thread = threading.Thread(target=lambda: request().begin())
    thread.start()
    thread.join()
    del thread  # from 3.14 on it holds its context

    assert (in_flight(), heard) == (0, [])  # it may go anywhere: nobody is told


def test_a_request_may_end_in_a_context_that_serves_another(heard: list[Moment]) -> None:
    mine, other = Request(), Request()
    mine.begin()

    def serve_other_and_end_mine() -> None:
        other.begin()
        mine.end()
        assert in_request()
        other.end()

    contextvars.Context().run(serve_other_and_end_mine)
    assert not in_request(), "it has ended, wherever that was"
    assert heard == [Moment.BUSY, Moment.SAFE]


def test_a_listener_may_come_and_go_during_a_request(heard: list[Moment]) -> None:
    boundaries.listen(None)
    with request():
        boundaries.listen(lambda moment, _: heard.append(moment))
    assert heard == [Moment.SAFE]
    with request():
        boundaries.listen(None)
    assert heard == [Moment.SAFE]


def test_nothing_is_kept_of_requests() -> None:
    async def serve() -> None:
        with request():
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*[serve() for _ in range(100)])

    gc.collect()  # what other tests have left is not the matter here
    for _ in range(100):
        with request():
            pass
    asyncio.run(main())
    assert not [found for found in gc.get_objects() if isinstance(found, Request)]


# Steps


def test_a_step_is_a_safe_point(heard: list[Moment]) -> None:
    before = boundaries.ended()
    step()
    step()
    assert heard == [Moment.SAFE, Moment.SAFE]
    assert boundaries.ended() == before + 2


def test_a_step_within_a_request_is_none(heard: list[Moment]) -> None:
    with request():
        step()
        assert heard == []


def test_a_step_beside_a_request_is_told_as_such(heard: list[Moment]) -> None:
    with request():
        contextvars.Context().run(step)
    assert heard == [Moment.BUSY, Moment.SAFE]


# Tasks


def test_a_task_that_awaits_is_not_in_its_request() -> None:
    async def main() -> None:
        begun, done = asyncio.Event(), asyncio.Event()

        async def serve() -> None:
            with request():
                begun.set()
                await done.wait()
                assert in_request()

        async def other() -> None:
            await begun.wait()
            assert (in_request(), in_flight()) == (False, 1)
            done.set()

        await asyncio.gather(serve(), other())

    asyncio.run(main())


def test_the_core_tells_interleaved_tasks_apart() -> None:
    async def main() -> None:
        begun, done = asyncio.Event(), asyncio.Event()

        async def serve() -> None:
            with request():
                begun.set()
                await done.wait()
                gc.collect()

        async def other() -> None:
            await begun.wait()
            gc.collect()
            done.set()

        await asyncio.gather(serve(), other())

    was_on = _core.gc_is_watched()
    _core.gc_watch(True)  # noqa: FBT003 - positional only
    try:
        seen = max((record[0] for record in _core.gc_records(0)), default=0)
        asyncio.run(main())
        fulls = [
            (record[18], record[19])  # requests, in_request
            for record in _core.gc_records(seen)
            if record[4] == "explicit" and record[20].startswith(__file__)
        ]
    finally:
        _core.gc_watch(was_on)
    assert fulls == [(1, False), (1, True)]


def test_a_task_that_outlives_its_request_is_not_in_it() -> None:
    async def main() -> None:
        ended = asyncio.Event()

        async def background() -> bool:
            inside = in_request()
            await ended.wait()
            assert inside
            return in_request()

        with request():
            task = asyncio.create_task(background())
            await asyncio.sleep(0)
        ended.set()
        assert await task is False

    asyncio.run(main())


def test_a_thread_that_works_for_a_request_is_in_it() -> None:
    async def main() -> bool:
        with request():
            return await asyncio.to_thread(in_request)

    assert asyncio.run(main())


def test_in_a_loop_the_listener_hears_after_the_running_step(heard: list[Moment]) -> None:
    async def main() -> None:
        with request():
            await asyncio.sleep(0)
        assert heard == [], "the response may have yet to be sent"
        await asyncio.sleep(0)
        assert heard == [Moment.SAFE]

    asyncio.run(main())


def test_a_loop_that_takes_no_callback_does_not_fail_the_request(heard: list[Moment]) -> None:
    class Loop(asyncio.SelectorEventLoop):
        def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:  # type: ignore[override]  # the rest is of no matter
            if callback is boundaries._pass:
                raise RuntimeError("not here")
            return super().call_soon(callback, *args, context=context)

    async def serve() -> str:
        with request():
            return "served"

    with contextlib.closing(Loop()) as loop:
        assert loop.run_until_complete(serve()) == "served"
    assert (in_flight(), heard) == (0, [])


def test_in_a_loop_the_listener_is_in_no_request() -> None:
    inside = []
    boundaries.listen(lambda *_: inside.append(in_request()))

    async def main() -> None:
        with request():
            pass
        with request():
            await asyncio.sleep(0)

    asyncio.run(main())
    assert inside
    assert not any(inside)


def test_a_cancelled_task_ends_its_request(heard: list[Moment]) -> None:
    async def serve() -> None:
        with request():
            await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(serve())
        await asyncio.sleep(0)
        assert in_flight() == 1
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)

    asyncio.run(main())
    assert (in_flight(), heard) == (0, [Moment.SAFE])


def test_threads_and_tasks_leave_no_request_in_flight() -> None:
    async def serve(n: int) -> None:
        with request():
            await asyncio.sleep(0.001 * (n % 3))

    async def main() -> None:
        await asyncio.gather(*[serve(n) for n in range(200)])

    def spin() -> None:
        for _ in range(500):
            with request():
                assert in_request()

    threads = [threading.Thread(target=spin) for _ in range(4)]
    for thread in threads:
        thread.start()
    asyncio.run(main())
    for thread in threads:
        thread.join()
    assert in_flight() == 0


# Processes


def test_a_forked_child_owes_nothing_for_its_parents_requests() -> None:
    read, write = os.pipe()
    with request():
        pid = os.fork()
        if not pid:
            report = [in_request(), in_flight()]
            with request():
                report += [in_request(), in_flight()]
            os.write(write, repr([*report, in_flight()]).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        assert in_flight() == 1
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read() == "[False, 0, True, 1, 0]"


def test_a_child_that_ends_the_request_it_was_forked_in_counts_none() -> None:
    read, write = os.pipe()
    pid = 0
    with request():
        pid = os.fork()
    if not pid:
        os.write(write, str(in_flight()).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read() == "0"


def test_where_nobody_watches_requests_and_steps_are_empty() -> None:
    done = python(
        "-c",
        "from lowtide.pacer import boundaries as b\n"
        "with b.request():\n"
        "    b.step()\n"
        "    assert not b.in_request() and not b.in_flight() and not b.ended()\n"
        "import sys; assert 'asyncio' not in sys.modules\n",
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_without_the_core_requests_and_steps_do_no_harm() -> None:
    done = python(
        "-c",
        "import sys; sys.modules['lowtide._core'] = None\n"
        "from lowtide.pacer import boundaries as b\n"
        "b.listen(lambda *_: None)\n"
        "with b.request():\n"
        "    b.step()\n"
        "assert b.in_flight() == 0\n",
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_asyncio_is_looked_for_only_where_it_is() -> None:
    assert boundaries.running_loop() is None
    module = sys.modules.pop("asyncio.events")
    try:
        assert boundaries.running_loop() is None
    finally:
        sys.modules["asyncio.events"] = module
