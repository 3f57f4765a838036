"""CPython's rules, against the interpreter that runs the tests and against its published source."""

import json
import sys
from typing import Any

import pytest

from lowtide.pacer.stock import Stock
from tests.e2e.programs import python

# What each collection was when it started, and how many objects the oldest generation held before and after it.
RECORDED = """
import gc, json, sys

records = []

def record(phase, info):
    old = len(gc.get_objects(2))
    if phase == "start":
        records.append([info["generation"], gc.get_count(), old])
    else:
        records[-1].append(old)

class Node:
    pass

def work(kept, requests, cycles):
    ring = [None] * 600
    for i in range(requests):
        request = [[] for _ in range(300)]
        for _ in range(cycles):
            node = Node()
            node.me = node
        ring[i % len(ring)] = request[:kept]

gc.collect()
gc.callbacks.append(record)
gc.collect()
{act}
work(kept={kept}, requests={requests}, cycles=20)
gc.callbacks.remove(record)
print(json.dumps([gc.get_threshold(), records]))
"""


def recorded(executable: str, act: str, kept: int, requests: int) -> tuple[tuple[int, int, int], list[Any]]:
    done = python("-c", RECORDED.format(act=act, kept=kept, requests=requests), executable=executable)
    assert done.returncode == 0, done.stderr
    thresholds, records = json.loads(done.stdout)
    return tuple(thresholds), records


@pytest.mark.parametrize(
    ("act", "kept", "requests"),
    [
        ("", 3, 3000),
        ("", 150, 1500),
        ("gc.freeze()", 3, 3000),
        ("gc.set_threshold(200, 3, 2)", 3, 2000),
        ("gc.set_threshold(300, 0, 5)", 20, 2000),
        ("gc.set_threshold(300, 5, 2**31 - 1)", 20, 2000),
    ],
    ids=["stock", "much is kept", "frozen", "low thresholds", "a middle threshold of 0", "full ones off"],
)
def test_the_model_picks_the_generations_that_the_interpreter_picks(act: str, kept: int, requests: int) -> None:
    if (3, 14) <= sys.version_info < (3, 14, 5):
        pytest.skip("3.14.0 to 3.14.4 have another collector")
    thresholds, records = recorded(sys.executable, act, kept, requests)

    (generation, _, _, left), *records = records
    assert generation == 2
    model = Stock(thresholds, long_lived=left)
    picked, expected = [], []
    for generation, counts, before, after in records:
        picked.append((model.allocate(counts[0] - model.counts[0]), *model.counts))
        expected.append((generation, *counts))
        model.collected(generation, after if generation == 2 else after - before)

    assert picked == expected
    assert len({generation for generation, *_ in records}) >= 2


def test_a_collection_is_due_with_the_allocation_past_the_threshold() -> None:
    model = Stock((700, 10, 10))

    assert model.room == 701
    assert model.allocate(700) is None
    assert model.allocate(1) == 0


def test_objects_freed_make_room_again_but_never_more_than_all_of_it() -> None:
    model = Stock((700, 10, 10), (600, 0, 0))

    assert model.allocate(-1000) is None
    assert model.counts == (0, 0, 0)


def test_a_first_threshold_of_0_turns_the_collector_off() -> None:
    model = Stock((0, 10, 10), (10_000, 50, 50))

    assert model.room is None
    assert model.allocate(10_000) is None


def test_a_full_collection_waits_for_a_quarter_of_the_old_ones() -> None:
    model = Stock((700, 10, 10), (701, 11, 11), long_lived=1003, pending=249)

    assert model.select() == 1
    model.pending = 250
    assert model.select() == 2


def test_every_eleventh_collection_is_of_the_next_generation() -> None:
    model = Stock((700, 10, 10))
    collected = []
    for _ in range(1464):
        generation = model.allocate(model.room or 0)
        assert generation is not None
        model.collected(generation, survivors=1)
        collected.append(generation)

    assert collected[:24] == [0] * 11 + [1] + [0] * 11 + [1]
    # Eleven of generation 1 make a full one due, and it is the very next collection.
    assert [n for n, generation in enumerate(collected, 1) if generation == 2] == list(range(133, 1464, 133))


def test_freezing_starts_the_counts_again_and_keeps_what_the_last_full_collection_left() -> None:
    model = Stock((700, 10, 10), (5, 6, 7), long_lived=1000, pending=10)

    model.frozen()

    assert (model.counts, model.long_lived, model.pending) == ((0, 0, 0), 1000, 10)
