"""What the page holds before a browser opens it."""

import base64
import hashlib
import json
import re
from collections import defaultdict
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given

from lowtide.errors import SettingsError
from lowtide.profile import Function, Label, Line, Location, Mapping, Profile, Sample, ValueType
from lowtide.profile.formats import flame
from lowtide.profile.formats.flame_groups import HUE_SLOTS, Group, hues, origin
from tests import strategies

SAMPLES = ValueType("samples", "count")


class Elements(HTMLParser):
    """The elements of a page as a browser's parser delimits them, with the text of its scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: dict[str, list[str]] = defaultdict(list)
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        if self.tags:
            self.texts[self.tags[-1]].append(data)


def data_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*)</script>', page)
    data: dict[str, Any] = json.loads(text)
    return data


def costs_by_line(data: dict[str, Any], column: int) -> dict[tuple[str, str, int], list[int]]:
    """Read flat and cum of every line out of the page's tree, the obvious way: a path for each leaf."""
    strings, functions, frames = data["strings"], data["functions"], data["frames"]
    lines = [
        (strings[functions["name"][function]], strings[functions["file"][function]], line)
        for function, line in zip(frames["function"], frames["line"], strict=True)
    ]
    own, place = {}, 0
    for step, value in zip(data["leaves"]["node"], data["leaves"]["values"][column], strict=True):
        place += step
        own[place] = value
    costs: dict[tuple[str, str, int], list[int]] = defaultdict(lambda: [0, 0])
    path: list[int] = []
    for node, (frame, depth) in enumerate(zip(data["nodes"]["frame"], data["nodes"]["depth"], strict=True)):
        path[depth:] = [frame]
        if node in own and depth > 0:
            costs[lines[frame]][0] += own[node]
            for ancestor in {lines[frame] for frame in path[1:]}:
                costs[ancestor][1] += own[node]
    return costs


def profile_of(*stacks: tuple[str, int], **fields: Any) -> Profile:
    """Build a profile from stacks such as ("main;work", 3), root first."""
    samples = tuple(
        Sample(
            tuple(Location((Line(Function(name, filename="/srv/app.py"), 1),)) for name in reversed(stack.split(";"))),
            (n,),
        )
        for stack, n in stacks
    )
    return Profile(**{"sample_types": (SAMPLES,), "samples": samples, **fields})


@given(strategies.heap_profiles())
def test_every_line_costs_in_the_page_what_top_says(profile: Profile) -> None:
    data = data_of(flame.render(profile))
    for column, value_type in enumerate(profile.sample_types):
        rows = profile.top(10**6, value_type.type) if profile.samples else []
        shown = {site: cost for site, cost in costs_by_line(data, column).items() if any(cost)}
        assert shown == {(row.name, row.file, row.line): [row.flat, row.cum] for row in rows}


@given(strategies.any_profiles())
def test_any_profile_becomes_an_ascii_page_with_whole_data(profile: Profile) -> None:
    page = flame.render(profile)
    assert page.isascii()
    assert len(data_of(page)["types"]) == len(profile.sample_types)


def test_stacks_share_the_frames_they_begin_with() -> None:
    data = data_of(flame.render(profile_of(("main;a;x", 1), ("main;a;y", 2), ("main;b", 3), ("main;a;x", 4))))
    assert data["nodes"]["depth"] == [0, 1, 2, 3, 3, 2]
    assert data["leaves"]["values"] == [[5, 2, 3]]


def test_inlined_frames_stand_under_the_frame_they_were_inlined_into() -> None:
    inner, outer = Function("inner"), Function("outer")
    profile = Profile((SAMPLES,), (Sample((Location((Line(inner, 2), Line(outer, 9))),), (1,)),))
    data = data_of(flame.render(profile))
    assert [data["strings"][data["functions"]["name"][frame]] for frame in data["nodes"]["frame"][1:]] == [
        "outer",
        "inner",
    ]


def test_a_location_without_symbol_shows_its_address_and_binary() -> None:
    location = Location(address=0x7F21, mapping=Mapping(filename="/usr/lib/libz.so.1"))
    page = flame.render(Profile((SAMPLES,), (Sample((location,), (1,)),)))
    assert "0x7f21 [libz.so.1]" in data_of(page)["strings"]


def test_the_page_knows_the_variance_of_sampled_values_and_of_exact_ones_that_there_is_none() -> None:
    types = (ValueType("inuse_space", "bytes"),)
    line = Location((Line(Function("f"), 1),))
    sample = Sample((line,), (2**20,), (Label("bytes", num=1024, num_unit="bytes"),))
    for period, known in ((524288, True), (1, False)):
        profile = Profile(types, (sample,), ValueType("space", "bytes"), period)
        (variance,) = data_of(flame.render(profile))["leaves"]["variance"]
        (row,) = profile.top(1)
        assert row.stderr is not None
        assert (variance is not None) == known
        if known:
            assert variance[0] == pytest.approx(row.stderr**2, rel=0.01)


@pytest.mark.parametrize(
    ("default", "asked", "shown"),
    [("", None, 1), ("samples", None, 0), ("nonsense", None, 1), ("", "samples", 0), ("samples", "time", 1)],
)
def test_the_page_opens_with_the_type_asked_for_else_the_default_else_the_last(
    default: str, asked: str | None, shown: int
) -> None:
    profile = Profile((SAMPLES, ValueType("time", "nanoseconds")), default_sample_type=default)
    assert data_of(flame.render(profile, sample_type=asked))["default_type"] == shown


def test_an_unknown_sample_type_is_refused_with_those_known() -> None:
    with pytest.raises(SettingsError, match="sample_type must be one of samples, got 'bytes'"):
        flame.render(profile_of(("main", 1)), sample_type="bytes")


@pytest.mark.parametrize("profile", [Profile(()), Profile((SAMPLES,)), profile_of(("main", 0))])
def test_a_profile_with_nothing_in_it_still_gives_a_page(profile: Profile) -> None:
    assert data_of(flame.render(profile))["stacks"] == 0


def test_equal_profiles_give_equal_pages() -> None:
    stacks = [("main;b", 2), ("main;a;b", 1), ("main;a", 5)]
    assert flame.render(profile_of(*stacks)) == flame.render(profile_of(*stacks))


HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]></style><img src=x onerror=alert(1)>",
    "{{data}}{{script}}",
    "\"'&lt;`${alert(1)}\\",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_a_profile_becomes_markup(text: str) -> None:
    function = Function(text, filename=text)
    profile = Profile((ValueType(text, text),), (Sample((Location((Line(function, 1),)),), (1,)),), comments=(text,))
    page = flame.render(profile, title=text)
    assert Elements(page).tags == Elements(flame.render(Profile(()))).tags
    assert text in data_of(page)["strings"]
    assert Elements(page).texts["h1"][0] == text


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("a\udc80b", "a\\udc80b"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("tab\there\x00", "tab\\u0009here\\u0000"),
        ("größe", "größe"),
    ],
)
def test_characters_that_deceive_are_spelled_out(text: str, visible: str) -> None:
    page = flame.render(profile_of((f"app.{text}", 1)), title=text)
    assert f"app.{visible}" in data_of(page)["strings"]
    assert Elements(page).texts["h1"][0] == visible


def test_a_name_of_a_million_characters_is_cut() -> None:
    assert len(flame.render(profile_of(("x" * 10**6, 1)))) < 200_000


def test_the_policy_allows_the_pages_own_script_and_style_and_nothing_else() -> None:
    page = flame.render(profile_of(("main", 1)))
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    (script,) = re.findall(r'<script type="module">(.*)</script>', page, re.DOTALL)
    (style,) = re.findall(r"<style>(.*)</style>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style)]
    assert policy.split("; ") == [
        "default-src 'none'",
        f"script-src 'sha256-{digests[0]}'",
        f"style-src 'sha256-{digests[1]}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_the_page_links_to_nothing() -> None:
    links = [value for name, value in Elements(flame.render(Profile(()))).attributes if name in {"src", "href"}]
    assert [link for link in links if not (link or "").startswith("data:")] == []


@pytest.mark.parametrize(
    ("name", "file", "group", "own_name"),
    [
        ("shop.index.Catalogue.search", "/srv/shop/index.py", Group("shop.index", "app"), "Catalogue.search"),
        ("shop.create", "/srv/shop/__init__.py", Group("shop", "app"), "create"),
        ("__main__.<module>", "/srv/run.py", Group("__main__", "app"), "<module>"),
        ("json.decoder.scan", "/usr/lib/python3.11/json/decoder.py", Group("json", "stdlib"), "scan"),
        ("importlib._bootstrap._load", "<frozen importlib._bootstrap>", Group("importlib", "stdlib"), "_load"),
        ("h11._util.f", "/v/lib/python3.12/site-packages/h11/_util.py", Group("h11", "package"), "f"),
        ("json.load", "C:\\Python313\\Lib\\json\\__init__.py", Group("json", "stdlib"), "load"),
        (
            "net/http.(*conn).serve",
            "/usr/local/go/src/net/http/server.go",
            Group("net/http", "stdlib"),
            "http.(*conn).serve",
        ),
        ("runtime.mallocgc", "/usr/lib/go-1.19/src/runtime/malloc.go", Group("runtime", "stdlib"), "runtime.mallocgc"),
        (
            "github.com/a/b.F[go.shape.x/y]",
            "/g/pkg/mod/github.com/a/b/f.go",
            Group("github.com/a/b", "package"),
            "b.F[go.shape.x/y]",
        ),
        ("0x7f21 [libz.so.1]", "", Group("[libz.so.1]", "app"), "0x7f21 [libz.so.1]"),
        ("compress2", "/src/zlib/compress.c", Group("compress.c", "app"), "compress2"),
        ("main", "", Group("<unknown>", "app"), "main"),
    ],
)
def test_a_function_belongs_to_its_module_or_package(name: str, file: str, group: Group, own_name: str) -> None:
    found = origin(name, file)
    assert found.group == group
    assert name[found.prefix :] == own_name


def test_the_largest_groups_have_colours_of_their_own() -> None:
    groups = [Group(f"package{number}", "package") for number in range(30)]
    slots = hues({group: 30 - number for number, group in enumerate(groups)})
    assert len({slots[group] for group in groups[:HUE_SLOTS]}) == HUE_SLOTS


def test_a_groups_colour_follows_from_its_name() -> None:
    group = Group("starlette", "package")
    others = {Group(f"other{number}", "package"): 1 for number in range(5)}
    assert hues({group: 9, **others})[group] == hues({group: 1})[group]
