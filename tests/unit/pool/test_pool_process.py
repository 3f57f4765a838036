"""Forks, sub-interpreters and the interpreter's exit, each in a process of its own under the debug allocator."""

import os
import subprocess
import sys

import pytest

from tests.contracts import tree

PATH = f"import sys; sys.path.insert(0, {str(tree.PACKAGE.parent)!r})\n"


def run(program: str) -> str:
    """Run a program that must end well and complain of nothing; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", PATH + program],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONMALLOC": "debug", "PYTHONWARNINGS": "ignore::DeprecationWarning"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


# -- fork ------------------------------------------------------------------------------------------------------------

FORK = """
import gc, os, threading
from lowtide.pool import Pool

class Item:
    pass

pool = Pool(Item, check=False)
item = Item()
pool.put(item)
lease = pool.lease()

def child():
    assert pool.get() is item
    with lease as leased:
        assert leased is not item
    pool.put(item)
    gc.collect()
    gc.collect()
    assert pool.stats().idle_items == 0
    Pool(check=False).put(3)

def fork():
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            child()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("where", ["fork()", "thread = threading.Thread(target=fork); thread.start(); thread.join()"])
def test_a_forked_child_has_a_copy_of_its_own(where: str) -> None:
    run(FORK + where + "\nassert pool.get() is item\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_within_the_calls_of_a_pool_leaves_both_whole() -> None:
    run(
        FORK
        + """
class Forks:
    def __del__(self):
        fork()

other = Pool(lambda: fork() or Item(), reset=lambda _: fork(), check=False)
other.put(other.get())
other.put(Forks())
other.clear()
assert other.stats().idle_items == 0
"""
    )


# -- exit ------------------------------------------------------------------------------------------------------------

STATES = {
    "idle items": "pool.put(Item())",
    "victims": "pool.put(Item()); gc.collect(); pool.put(Item())",
    "behind": "pool.put(Item()); thread(_pool.rotate); thread(_pool.rotate)",
    "a lease out": "lease = pool.lease(); item = lease.__enter__()",
    "a generator in a lease": """
def work():
    with pool.lease():
        yield
generator = work()
next(generator)
""",
    "a coroutine in a lease": """
import asyncio
async def work():
    async with pool.lease():
        await asyncio.sleep(3600)
loop = asyncio.new_event_loop()
task = loop.create_task(work())
loop.run_until_complete(asyncio.sleep(0))
task.cancel()
loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
loop.close()
""",
    "a cycle": "item = Item(); item.pool = pool; pool.put(item); pool.put(pool.lease()); del pool, item",
    "a pool in the collector's hands": "gc.callbacks.append(lambda *_: pool.put(Item()))",
    "a pool in a module of the interpreter": "sys.pool = pool; pool.put(pool); pool.put(Item()); del pool",
    "a thread at work": """
def work():
    while True:
        pool.put(pool.get())
threading.Thread(target=work, daemon=True).start()
""",
    "leases in store": "leases = [pool.lease() for _ in range(100)]; del leases",
    "a subclass": "class Sub(Pool): pass\nsub = Sub(Item, check=False); sub.put(Item()); sub.me = sub",
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("is_final", [False, True], ids=["plain items", "items with finalizers"])
def test_the_interpreter_ends_well(state: str, is_final: bool) -> None:
    final = "def __del__(self): kept.put(3); kept.get()" if is_final else "pass"
    run(
        f"""
import gc, sys, threading
from lowtide import _pool
from lowtide.pool import Pool
kept = Pool(check=False)

class Item:
    kept = kept
    {final.replace("kept.", "self.kept.")}

def thread(target):
    worker = threading.Thread(target=target)
    worker.start()
    worker.join()

pool = Pool(Item, check=False)
{STATES[state]}
"""
    )


def test_the_module_can_be_thrown_away_and_imported_again() -> None:
    run("""
import gc
from lowtide.pool import Pool
first = Pool(check=False)
first.put(3)
for name in [name for name in sys.modules if name.startswith("lowtide")]:
    del sys.modules[name]
from lowtide.pool import Pool as Again
assert Again is not Pool
second = Again(check=False)
second.put(4)
with second.lease() as item:
    assert item == 4
gc.collect(); gc.collect()
assert (first.get(), second.get()) == (None, None)
del first, Pool
gc.collect()
""")


# -- sub-interpreters ------------------------------------------------------------------------------------------------

INTERPRETERS = """
try:
    import _interpreters
except ImportError:
    import _xxsubinterpreters as _interpreters

def in_interpreter(program):
    interpreter = _interpreters.create()
    failure = _interpreters.run_string(interpreter, PATH + program)
    assert failure is None, failure
    return interpreter
"""
WORK = """
import gc
from lowtide.pool import Pool
class Item:
    def __del__(self):
        gone.append(1)
gone = []
pool = Pool(Item, check=False)
with pool.lease() as item:
    pass
del item
assert pool.stats().idle_items == 1
gc.collect()
assert not gone
gc.collect()
assert gone == [1], gone
pool.put(Item())
sys.pool = pool
"""


def test_each_interpreter_has_pools_of_its_own() -> None:
    """Without pending calls of its own, an interpreter visits its pools when a collection ends."""
    program = f"PATH, WORK = {PATH!r}, {WORK!r}\n" + INTERPRETERS
    run(
        program
        + """
import gc
exec(WORK)
first = in_interpreter(WORK)
second = in_interpreter(WORK)
gc.collect(); gc.collect()
_interpreters.run_string(first, "pool.put(Item()); assert pool.stats().idle_items == 2, pool.stats()")
_interpreters.destroy(first)
assert pool.stats().idle_items == 0
_interpreters.destroy(second)
"""
    )


def test_interpreters_work_side_by_side() -> None:
    """From 3.12 on each has a GIL of its own.

    They are made one after another: when interpreters import side by side under the debug allocator, CPython 3.12.1
    crashes of itself.
    """
    run(
        f"PATH, WORK = {PATH!r}, {WORK!r}\n"
        + INTERPRETERS
        + """
import threading
BUSY = "for _ in range(30_000):\\n    with pool.lease():\\n        pool.put(pool.get())\\ngc.collect()"
interpreters = [in_interpreter(WORK) for _ in range(4)]
failures = []
def work(interpreter):
    failures.append(_interpreters.run_string(interpreter, BUSY))
threads = [threading.Thread(target=work, args=(interpreter,)) for interpreter in interpreters]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert failures == [None] * 4, failures
for interpreter in interpreters:
    _interpreters.destroy(interpreter)
"""
    )


# -- check mode's place ----------------------------------------------------------------------------------------------


def test_a_registered_class_is_made_in_check_mode_and_nowhere_else() -> None:
    run("""
from lowtide import _pool
from lowtide._pool import Pool

class Checked(Pool):
    made = 0
    def __init__(self, *args, **kwargs):
        Checked.made += 1

class Own(Pool):
    pass

_pool._set_check(Checked, False)
kinds = [type(make) for make in (Pool(), Pool(check=None), Pool(check=False), Pool(list, check=True), Own(check=True))]
assert kinds == [Pool, Pool, Pool, Checked, Own], kinds
_pool._set_check(Checked, True)
kinds = [type(make) for make in (Pool(), Pool(check=None), Pool(check=False), Checked())]
assert kinds == [Checked, Checked, Pool, Checked], kinds
assert Checked.made == 4, Checked.made
for wrong in (Pool, int):
    try:
        _pool._set_check(wrong, True)
    except TypeError as error:
        assert "must be a subclass of a pool" in str(error), error
    else:
        raise AssertionError(wrong)
""")
