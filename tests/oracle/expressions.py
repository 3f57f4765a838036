"""Every kind of expression that allocates, marked as `statements.py` says."""

EXPRESSIONS = {
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
    k = None
    r = (n, s, b, l, n, s, b, l, n, s, b, l, n, s, b, l, n, s, b, l, n, s)  #!
    k = r
    r = (*l, *b)  #!
    k = r
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
}
