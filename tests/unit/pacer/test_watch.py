"""Those who want to hear of collections do, each of every one, once and in order."""

import gc
import os
import threading

import pytest

from lowtide.pacer import watch
from lowtide.pacer.record import Collection

core = pytest.importorskip("lowtide._core", reason="the extension is not built")
pytestmark = pytest.mark.usefixtures("own_collections")


class Listener:
    def __init__(self) -> None:
        self.numbers: list[int] = []

    def hear(self, collections: list[Collection]) -> None:
        self.numbers += [c.number for c in collections]


def test_the_collector_is_watched_while_anybody_listens() -> None:
    first, second = Listener(), Listener()
    watch.subscribe(first.hear)
    gc.collect(0)
    watch.subscribe(second.hear)
    gc.collect(0)
    watch.unsubscribe(first.hear)
    gc.collect(0)
    assert core.gc_is_watched()
    watch.unsubscribe(second.hear)
    gc.collect(0)

    assert first.numbers == [1, 2]
    assert second.numbers == [2, 3]
    watch.unsubscribe(second.hear)


def test_what_is_not_delivered_yet_is_among_the_records() -> None:
    listener = Listener()
    watch.subscribe(listener.hear)
    gc.collect(0)
    gc.collect(1)

    assert [(c.number, c.generation) for c in watch.records()] == [(1, 0), (2, 1)]
    assert watch.totals()[0] == (1, 1, 0)
    watch.unsubscribe(listener.hear)


def test_a_listener_that_raises_keeps_nothing_from_the_others() -> None:
    def fails(_: list[Collection]) -> None:
        raise ValueError("nobody's business")

    listener = Listener()
    watch.subscribe(fails)
    watch.subscribe(listener.hear)
    gc.collect(0)
    watch.unsubscribe(fails)
    watch.unsubscribe(listener.hear)

    assert listener.numbers == [1]


@pytest.mark.parametrize("collects_first", [False, True])
def test_a_listener_may_collect_and_all_hear_of_it_in_order(collects_first: bool) -> None:
    listener, collecting = Listener(), Listener()

    def collects(collections: list[Collection]) -> None:
        collecting.hear(collections)
        if len(collecting.numbers) < 5:
            gc.collect(0)
            watch.deliver()
            assert collecting.numbers[-1] >= 5, "it has not heard of its own yet"

    for each in (collects, listener.hear) if collects_first else (listener.hear, collects):
        watch.subscribe(each)
    gc.collect(0)
    watch.deliver()
    for each in (collects, listener.hear):
        watch.unsubscribe(each)

    assert listener.numbers == collecting.numbers == [1, 2, 3, 4, 5]


def test_finalizers_that_deliver_while_records_are_read_tell_nothing_twice() -> None:
    listener = Listener()
    watch.subscribe(listener.hear)
    before = gc.get_threshold()

    class Delivers:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            watch.deliver()

    gc.set_threshold(3, 2, 1000)
    gc.enable()
    for _ in range(300):
        Delivers()
        watch.deliver()
    gc.disable()
    gc.set_threshold(*before)
    watch.unsubscribe(listener.hear)

    assert len(listener.numbers) > 20
    assert listener.numbers == list(range(1, len(listener.numbers) + 1))


def test_threads_that_deliver_at_the_same_time_tell_nothing_twice() -> None:
    listener = Listener()
    watch.subscribe(listener.hear)

    def storm() -> None:
        for _ in range(200):
            gc.collect(0)
            watch.deliver()

    threads = [threading.Thread(target=storm) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    watch.unsubscribe(listener.hear)

    assert listener.numbers == list(range(1, len(listener.numbers) + 1))


def test_one_that_leaves_while_another_thread_delivers_hears_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PATIENCE_SECONDS", 10)  # the machine may be busy
    is_delivering, may_go_on = threading.Event(), threading.Event()

    def slow(_: list[Collection]) -> None:
        is_delivering.set()
        may_go_on.wait(10)

    listener = Listener()
    watch.subscribe(slow)
    watch.subscribe(listener.hear)
    core.gc_set_tick(None)  # else it may come here, in this thread
    gc.collect(0)
    thread = threading.Thread(target=watch.deliver)
    thread.start()
    is_delivering.wait(10)
    threading.Timer(0.05, may_go_on.set).start()

    watch.unsubscribe(listener.hear)

    thread.join()
    watch.unsubscribe(slow)
    assert listener.numbers == [1]


def test_a_forked_child_hears_of_its_own_collections_even_when_a_listener_has_forked() -> None:
    children: list[int] = []
    listener = Listener()

    def forks(_: list[Collection]) -> None:
        if not children:
            children.append(os.fork())

    watch.subscribe(forks)
    watch.subscribe(listener.hear)
    gc.collect(0)
    watch.deliver()
    if children == [0]:
        gc.collect(0)
        gc.collect(0)
        watch.deliver()
        os._exit(0 if listener.numbers[-2:] == [1, 2] else 1)
    code = os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1])
    watch.unsubscribe(forks)
    watch.unsubscribe(listener.hear)

    assert code == 0
    assert listener.numbers == [1]
