"""Every kind of statement that allocates, each as a function `case` whose lines are marked.

A line that ends in `#!` allocates, one that ends in `#?` may (an iterator that newer interpreters keep in a free list),
and no other does. The lines before and after allocate nothing, so that an instruction's neighbour would be found out.
`case` is called many times over, so that the interpreter specialises it, with arguments that are costly to copy: `n` is
an integer too large for any cache, `s` a string, `b` bytes, `l` a list of integers like `n`.
"""

STATEMENTS = {
    "function with default arguments": """
def case(n, s, b, l):
    k = None

    def inner(  #!
        x=n + n,  #!
        *,
        y=s + s,  #!
    ):
        pass

    k = inner
""",
    "lambda": """
def case(n, s, b, l):
    k = None
    r = lambda x: (  #!
        None,
        x + n,  #!
    )
    k = r
    k = r(n)
""",
    "decorator": """
def wrap(function):
    r = None
    r = [function] * 300  #!
    return r


def case(n, s, b, l):
    k = None

    @wrap
    def inner():  #?
        pass

    k = inner
""",
    "class body": """
def case(n, s, b, l):
    k = None

    class Inner:  #!
        pass
        x = [None] * 300  #!
        pass
        y = "ab" * len(x)  #!

        def method(self):  #!
            pass

    k = Inner
""",
    "class with slots and property": """
def case(n, s, b, l):
    k = None

    class Inner:  #!
        __slots__ = ("a", "b")

        @property  #?
        def c(self):  #!
            pass
            return [self] * 300  #!

    k = Inner()  #!
    r = None
    r = k.c
    k.a = r
""",
    "instance attribute": """
class Thing:
    def __init__(self, n):
        self.a = None
        self.b = n + n  #!
        self.c = None


def case(n, s, b, l):
    k = None
    k = Thing(  #?
        n
    )
    k.d = n + 1  #!
    k = None
""",
    "with": """
class Manager:
    def __enter__(self):
        pass
        return [None] * 300  #!

    def __exit__(self, *exc):  #?
        pass
        self = [None] * 301  #!


def case(n, s, b, l):
    k = None
    m = Manager()  #!
    with m as k:  #?
        pass
        r = n + n  #!
    k = r
""",
    "try, except, finally": """
def case(n, s, b, l):
    k = None
    try:
        pass
        raise ValueError(s + s)  #!
    except ValueError as error:  #?
        pass
        k = n + n  #!
    finally:
        pass
        k = n + n  #!
    k = None
""",
    "exception group": """
def case(n, s, b, l):
    k = None
    try:
        raise ExceptionGroup(  #!
            "group",
            [ValueError(n + n), KeyError(n)],  #!
        )
    except* ValueError:  #?
        k = n + n  #!
    except* KeyError:  #?
        k = n * n  #!
    k = None
""",
    "assert": """
def case(n, s, b, l):
    k = None
    try:
        assert k, s + s  #!
    except AssertionError:  #?
        k = None
    k = None
""",
    "generator": """
def numbers(n, l):  #?
    for i in l:  #?
        pass
        k = i + n  #!
        yield k


def case(n, s, b, l):
    k = None
    r = numbers(n, l)  #!
    k = r
    for i in k:  #?
        r = i
    k = None
""",
    "yield from": """
def numbers(n, l):
    for i in l:  #?
        pass
        k = i + n  #!
        yield k


def outer(n, l):
    k = None
    yield from numbers(n, l)  #!
    k = n + n  #!


def case(n, s, b, l):
    k = None
    k = outer(n, l)  #!
    for i in k:  #?
        r = i
    k = None
""",
    "coroutine": """
async def item(n):
    k = None
    k = n + n  #!
    return k


async def items(n):
    k = None
    k = await item(n)  #!
    k = k + n  #!
    return k


def case(n, s, b, l):
    k = None
    k = items(n)  #!
    try:
        k.send(None)  #?
    except StopIteration:  #?
        k = None
    k = None
""",
    "async for": """
async def numbers(n, l):
    for i in l:  #?
        pass
        k = i + n  #!
        yield k  #?


async def all_of(n, l):
    k = None
    async for i in numbers(n, l):  #!
        k = i * n  #!
    k = [i * n async for i in numbers(n, l)]  #!
    return k  #?


def case(n, s, b, l):
    k = None
    k = all_of(n, l)  #!
    try:
        k.send(None)  #?
    except StopIteration:  #?
        k = None
    k = None
""",
    "async with": """
class Manager:
    async def __aenter__(self):
        pass
        return [None] * 300  #!

    async def __aexit__(self, *exc):  #?
        pass
        self = [None] * 301  #!


async def block(n):
    k = None
    m = Manager()  #!
    async with m as k:  #!
        pass
        k = n + n  #!
    return k  #?


def case(n, s, b, l):
    k = None
    k = block(n)  #!
    try:
        k.send(None)  #?
    except StopIteration:  #?
        k = None
    k = None
""",
    "match": """
def case(n, s, b, l):
    k = {"a": n, "b": s}  #?
    match k:
        case {"z": x}:  #!
            k = 1
        case {"a": x, **rest}:  #!
            k = None
            k = x + n  #!
    match l:
        case [first, *others]:  #!
            k = first
""",
    "deletion that runs a finalizer": """
class Last:
    def __del__(self):
        k = None
        k = [None] * 300  #!


def case(n, s, b, l):
    k = Last()  #!
    r = None
    del k
    r = None
""",
    "import": """
import sys


def case(n, s, b, l):
    k = None
    sys.modules.pop("colorsys", None)  #?
    k = None
    import colorsys  #!
    k = colorsys
    from colorsys import rgb_to_hls as name  #?
""",
    "exec and eval": """
def case(n, s, b, l):
    k = {"n": n}  #?
    exec("\\n\\nm = n + n", k)  #!
    r = None
    r = eval("n * n", k)  #!
""",
    "global and nonlocal": """
def case(n, s, b, l):  #?
    k = None

    def inner():  #!
        nonlocal k
        k = None
        k = n + n  #!

    inner()  #?
    globals()["g"] = n + n  #!
""",
    "callback of sorted": """
def key(x):
    pass
    return -x  #!


def case(n, s, b, l):
    k = None
    k = sorted(  #!
        l,
        key=key,
    )
""",
    "callbacks of map and reduce": """
import functools


def double(x):
    pass
    return x + x  #!


def both(x, y):
    pass
    return x * y  #!


def case(n, s, b, l):
    k = None
    k = list(  #!
        map(double, l)  #!
    )
    k = functools.reduce(both, l)  #?
    k = None
""",
    "callback of re.sub": """
import re

pattern = re.compile("a")


def replacement(match):
    pass
    return match.group() * 300  #!


def case(n, s, b, l):
    k = None
    k = pattern.sub(replacement, s)  #!
    k = None
""",
    "iteration": """
class Countdown:
    def __init__(self):
        self.n = 3

    def __iter__(self):
        return self

    def __next__(self):
        self.n -= 1
        if not self.n:
            raise StopIteration  #!
        return [None] * 300  #!


def case(n, s, b, l):
    k = Countdown()  #!
    for i in k:  #?
        r = n + n  #!
    for i, j in enumerate(l):  #!
        k = i
    for i, j in zip(l, l):  #!
        k = i
""",
    "several statements on a line": """
def case(n, s, b, l):
    k = None
    r = None; k = n + n; r = None  #!
    k = r
""",
    "a very long function": "\ndef case(n, s, b, l):\n    k = None\n"
    + "".join(f"    k = {i}\n\n" for i in range(700))
    + "    r = n + n  #!\n    k = None\n"
    + "\n" * 3000
    + "    r = s + s  #!\n    k = None\n",
}
