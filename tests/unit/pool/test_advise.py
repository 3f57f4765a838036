"""What is worth pooling, judged with made-up costs."""

from collections.abc import Mapping
from typing import Any

import pytest

from lowtide.pool.advise import Advice, Blocks, advise
from lowtide.pool.constructors import CONSTRUCTORS, Constructor, known_by_source
from lowtide.pool.measure import Costs, MakeCost, figures, measure, size_class

MANY = 100_000
BLOCK_NS: Mapping[int, float] = {2**power: 2.0**power / 16 for power in range(12, 24)}


def costs(**constructors: MakeCost) -> Costs:
    return Costs(50.0, 80.0, {"{}": 40.0}, {"{}": 60.0}, BLOCK_NS, constructors)


def blocks(size_bytes: int, allocs: int = MANY, **changed: Any) -> Blocks:
    values: dict[str, Any] = {
        "place": ("app.render", "/srv/app.py", 10),
        "source": "",
        "known": None,
        "is_import": False,
        "domain": "obj",
        "held": 0,
        "variance": 0.0,
        **changed,
    }
    return Blocks(size_bytes=size_bytes, allocs=allocs, **values)


def one(*given: Blocks, **constructors: MakeCost) -> Advice:
    (advice,) = advise(given, costs(**constructors))
    return advice


def known(name: str) -> Constructor:
    return next(constructor for constructor in CONSTRUCTORS if constructor.name == name)


def test_large_blocks_that_come_and_go_are_worth_a_pool() -> None:
    advice = one(blocks(65536))

    assert (advice.verdict, advice.makes) == ("pool", MANY)
    assert advice.saved_ns == MANY * (65536 / 16 - 80)


def test_the_largest_saving_comes_first_whatever_the_count() -> None:
    places = [("a", "a.py", 1), ("b", "b.py", 1), ("c", "c.py", 1)]
    given = [
        blocks(8192, 200_000, place=places[0]),
        blocks(1 << 20, 10_000, place=places[1]),
        blocks(64, place=places[2]),
    ]

    assert [advice.name for advice in advise(given, costs())] == ["b", "a", "c"]
    assert advise(given, costs()) == advise(reversed(given), costs())


def test_what_lives_is_no_churn() -> None:
    advice = one(blocks(65536, held=MANY // 2))

    assert (advice.verdict, advice.saved_ns) == ("leave", 0)
    assert "50% lives" in advice.text


@pytest.mark.parametrize("size_bytes", [32, 4095])
def test_small_blocks_are_left_to_cpython(size_bytes: int) -> None:
    assert "free lists" in one(blocks(size_bytes)).text


def test_few_large_blocks_do_not_make_a_place_of_small_ones_worth_pooling() -> None:
    assert one(blocks(64, 10 * MANY), blocks(8192, 1000)).verdict == "leave"


@pytest.mark.parametrize("given", [blocks(65536, 99), blocks(65536, 1000, variance=600.0**2)])
def test_what_was_hardly_seen_is_not_judged(given: Blocks) -> None:
    assert "too seldom" in one(given).text


def test_a_profile_without_a_standard_error_is_judged_by_its_counts() -> None:
    advice = one(blocks(65536, variance=None))

    assert (advice.verdict, advice.stderr) == ("pool", None)


def test_the_error_of_the_count_comes_with_it() -> None:
    assert one(blocks(65536, 10_000, variance=500.0**2)).stderr == pytest.approx(500)


def test_imports_run_once() -> None:
    assert one(blocks(65536, is_import=True)).text == "imports run once"


def test_a_growing_list_gives_its_memory_back_when_cleared() -> None:
    sizes = [4160, 4736, 5376, 6080, 6880]

    assert "grows" in one(*(blocks(size, domain="mem") for size in sizes)).text
    assert "clear()" in one(blocks(80_000, domain="mem")).text


@pytest.mark.parametrize("domain", ["obj", "mem"])
@pytest.mark.parametrize("sizes", [[6512, 12992, 25968, 51904], [18448, 36888]], ids=["of texts", "of anything"])
def test_the_table_of_a_dict_is_no_buffer_whatever_the_domain(sizes: list[int], domain: str) -> None:
    advice = one(*(blocks(size, domain=domain) for size in sizes))

    assert (advice.verdict, "clear()" in advice.text) == ("leave", True)


def test_a_bytearray_is_told_from_a_list_by_its_odd_size_or_by_the_line_of_code() -> None:
    assert one(blocks(65537, domain="mem")).verdict == "pool"
    assert one(blocks(65536, domain="mem", source="scratch = bytearray(size)")).verdict == "pool"


def test_a_growing_buffer_is_worth_one_that_keeps_its_size() -> None:
    advice = one(*(blocks(size) for size in [4426, 4989, 5664, 6451]))

    assert (advice.verdict, advice.what) == ("pool", "growing buffer")
    assert "Buffer" in advice.text


def test_what_costs_no_more_than_reuse_is_left() -> None:
    cheap = Costs(50.0, 80.0, {}, {}, {65536: 80.0}, {})
    (advice,) = advise([blocks(65536)], cheap)

    assert (advice.verdict, advice.saved_ns) == ("leave", 0)


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("scratch = bytearray(size)", "lease"),
        ("body = b''.join(parts)", "writelines"),
        ("data = sock.recv(65536)", "recv_into"),
        ("body = json.dumps(document)", "text"),
        ("work = np.zeros(1000)", "arrays"),
    ],
)
def test_the_line_of_code_decides_what_to_write_instead(source: str, word: str) -> None:
    assert word in one(blocks(65536, source=source)).text


def test_a_constructor_is_counted_by_the_bytes_that_one_takes() -> None:
    connect = known("sqlite3.connect")
    given = [blocks(size, 3000, known=connect) for size in (100, 1000, 4900)]
    advice = one(*given, **{connect.name: MakeCost(20_000.0, 6000.0)})

    assert (advice.verdict, advice.what, advice.makes) == ("pool", "sqlite3.connect", 3000)
    assert advice.saved_ns == 3000 * (20_000 - 50)


def test_what_has_no_state_is_shared_and_not_pooled() -> None:
    advice = one(blocks(500, known=known("json.JSONEncoder")), **{"json.JSONEncoder": MakeCost(500.0, 500.0)})

    assert (advice.verdict, advice.reuse_ns, advice.saved_ns) == ("share", 0, MANY * 500)


def test_what_cannot_be_reset_is_left() -> None:
    advice = one(blocks(65536, known=known("zlib.compressobj")), **{"zlib.compressobj": MakeCost(2000.0, 65536.0)})

    assert advice.verdict == "leave"
    assert "cannot be reset" in advice.text


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("c = zlib.compressobj(6)", "zlib.compressobj"),
        ("return JSONEncoder(indent=1).encode(x)", "json.JSONEncoder"),
        ("pattern = re.compile(text)", "re.compile"),
        ("state = copy.deepcopy(TEMPLATE)", "copy.deepcopy"),
        ("compile(source, name, 'exec')", None),
    ],
)
def test_constructors_are_known_by_how_they_are_called(source: str, name: str | None) -> None:
    found = known_by_source(source)
    assert (found.name if found else None) == name


def test_measuring_gives_every_figure_and_tells_of_each() -> None:
    classes, constructors = {4096, 65536}, [known("json.JSONEncoder"), known("re.compile")]
    steps: list[None] = []
    found = measure(classes, constructors, lambda _known, _make: 123.0, lambda: steps.append(None))

    assert len(steps) == figures(classes, constructors)
    assert found.block_ns.keys() == classes
    assert found.constructors.keys() == {"json.JSONEncoder", "re.compile"}
    assert {cost.bytes for cost in found.constructors.values()} == {123.0}
    assert min(found.pool_ns, found.buffer_pool_ns, *found.block_ns.values(), *found.small_made_ns.values()) > 0


@pytest.mark.parametrize("constructor", CONSTRUCTORS, ids=lambda constructor: constructor.name)
def test_every_known_constructor_can_be_made_here(constructor: Constructor) -> None:
    pytest.importorskip(constructor.name.partition(".")[0])
    constructor.make()()


def test_a_block_costs_what_the_nearest_power_of_two_does_so_that_a_header_does_not_double_it() -> None:
    assert [size_class(size) for size in (4096, 4129, 65537, 90_000, 100_000)] == [4096, 4096, 65536, 65536, 131072]
