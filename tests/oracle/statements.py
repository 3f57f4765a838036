"""Every kind of statement that allocates, each as a function `case` whose lines are marked.

A line that ends in `#!` allocates, one that ends in `#?` may (an iterator that newer interpreters keep in a free list),
and no other does. The lines before and after allocate nothing, so that an instruction's neighbour would be found out.
`case` is called many times over, so that the interpreter specialises it, with arguments that are costly to copy: `n` is
an integer too large for any cache, `s` a string, `b` bytes, `l` a list of integers like `n`.
"""

KINDS = {
    "string concatenation": """
def case(n, s, b, l):
    r = None
    r = s + s  #!
    return r
""",
    "string concatenation in place": """
def case(n, s, b, l):
    r = s
    r += s  #!
    return r
""",
    "string repetition": """
def case(n, s, b, l):
    k = 3
    r = s * k  #!
    k = r
    return k
""",
    "f-string": """
def case(n, s, b, l):
    k = None
    r = f"{s}-{n:>80}"  #!
    k = r
""",
    "percent formatting": """
def case(n, s, b, l):
    k = None
    r = "%s and %s" % (s, s)  #!
    k = r
""",
    "method call": """
def case(n, s, b, l):
    k = None
    r = s.upper()  #!
    k = r
""",
    "string slice": """
def case(n, s, b, l):
    k = None
    r = s[1:-1]  #!
    k = r
""",
    "bytes slice with names": """
def case(n, s, b, l):
    i = 1
    j = 9
    r = b[i:j]  #!
    k = r
""",
    "list slice": """
def case(n, s, b, l):
    k = None
    r = l[1:]  #!
    k = r
""",
    "slice assignment": """
def case(n, s, b, l):
    r = l
    r[1:2] = b  #!
    del r[1:]  #!
    k = r
    k.append(n)  #?
""",
    "integer addition": """
def case(n, s, b, l):
    k = None
    r = n + n  #!
    k = r
""",
    "integer subtraction and multiplication": """
def case(n, s, b, l):
    k = 3
    r = n - k  #!
    k = k
    r = n * n  #!
    k = r
""",
    "integer division and shifts": """
def case(n, s, b, l):
    k = 3
    r = n // k  #!
    k = 7
    r = n << k  #!
    k = 9 << 100
    r = n % k  #!
    k = r
""",
    "integer power": """
def case(n, s, b, l):
    k = 3
    r = n ** k  #!
    k = 9
    r = -n  #!
    k = 10
    r = ~n  #!
""",
    "augmented assignment in a loop": """
def case(n, s, b, l):
    r = n
    for i in l:  #?
        r += i  #!
        k = i
    return r
""",
    "list display": """
def case(n, s, b, l):
    k = None
    r = [n, s, b]  #!
    k = r
""",
    "list display with unpacking": """
def case(n, s, b, l):
    k = None
    r = [*l, *b]  #!
    k = r
""",
    "list display over lines": """
def case(n, s, b, l):
    k = None
    r = [  #!
        n,
        n + n,  #!
        s,
        s + s,  #!
    ]
    k = r
""",
    "tuple display": """
def case(n, s, b, l):
    k = [None, None, None]  #!
    k[0] = (n, s, b, k)  #!
    r = k
    k[1] = (*l, *b)  #!
""",
    "set display": """
def case(n, s, b, l):
    k = None
    r = {n, s, b}  #!
    k = r
""",
    "dict display": """
def case(n, s, b, l):
    k = None
    r = {1: n, 2: b, 3: s, 4: n, 5: n, 6: n}  #!
    k = r
    r = {**r, "more": l}  #!
    k = r
""",
    "dict item": """
def case(n, s, b, l):
    r = {1: n, 2: b, 3: s, 4: n, 5: n}  #?
    k = r
    r[s] = n  #!
    k = r
    r |= {i: n for i in b * 100}  #!
""",
    "list comprehension": """
def case(n, s, b, l):
    k = None
    r = [i + n for i in l]  #!
    k = r
""",
    "list comprehension over lines": """
def case(n, s, b, l):
    k = None
    r = [  #?
        i + n  #!
        for i in l  #?
        if i
    ]
    k = r
""",
    "set comprehension": """
def case(n, s, b, l):
    k = None
    r = {i + n for i in l}  #!
    k = r
""",
    "dict comprehension": """
def case(n, s, b, l):
    k = None
    r = {i: i * n for i in l}  #!
    k = r
""",
    "generator expression": """
def case(n, s, b, l):
    k = None
    r = (  #!
        i + n  #!
        for i in l  #?
    )
    k = r
    k = sum(r)  #!
""",
    "unpacking assignment": """
def case(n, s, b, l):
    k = l
    x, *y = k  #!
    k = y
""",
    "call": """
def case(n, s, b, l):
    k = None
    r = bytes(500)  #!
    k = r
    r = bytearray(b)  #!
    k = r
    r = str(n)  #!
    k = list(b)  #!
""",
    "call over lines": """
def case(n, s, b, l):
    k = None
    r = max(  #?
        n  #!
        + n,
        n,
    )
    k = r
""",
    "calls in calls over lines": """
def case(n, s, b, l):
    k = None
    r = bytes().join(  #!
        [  #!
            bytes(  #!
                len(b)
            ),
            b.replace(b"a", b"bcd"),  #!
        ]
    )
    k = r
""",
    "chained methods over lines": """
def case(n, s, b, l):
    k = None
    r = (
        s.upper()  #!
        .replace("A", "BB")  #!
        .center(3000)  #!
    )
    k = r
""",
    "star arguments": """
def callee(*args, **kwargs):
    return args


def case(n, s, b, l):
    k = {"x": 1}  #?
    r = callee(*l, **k)  #!
    k = r
""",
    "keyword arguments": """
def callee(x, **kwargs):
    return kwargs


def case(n, s, b, l):
    k = None
    r = callee(  #?
        x=n,
        y=n + 1,  #!
    )
    k = r
""",
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
    "walrus": """
def case(n, s, b, l):
    k = None
    if (r := n + n):  #!
        k = r
    while (r := r // 100000000) > n:  #!
        k = r
""",
    "conditional and boolean": """
def case(n, s, b, l):
    k = (
        None
        or n + n  #!
        if n
        else n * n
    )
    r = (
        n
        and s + s  #!
    )
""",
    "comparison chain": """
def case(n, s, b, l):
    k = None
    r = (
        n + n  #!
        < n * n  #!
        < n * n * n  #!
    )
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
    "operator methods": """
class Vector:
    def __init__(self, x):
        self.x = x  #?

    def __add__(self, other):
        pass
        return Vector(self.x + other.x)  #!

    def __getitem__(self, i):
        pass
        return [self] * 300  #!

    def __getattr__(self, name):
        pass
        return [self] * 400  #!


def case(n, s, b, l):
    k = None
    v = Vector(n)  #!
    k = v + v
    k = v[3]
    k = v.unknown  #?
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
