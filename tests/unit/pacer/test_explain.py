"""What is said of a trace: each line, what hurts, what to try; as text, as data and as a page."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from lowtide.pacer import record
from lowtide.pacer.explain import Explanation, explain
from lowtide.pacer.explain_page import render
from lowtide.pacer.explain_text import sections
from tests.unit.pacer import traces
from tests.unit.pacer.traces import collection, full, trace


def said(*collections: record.Collection) -> str:
    return text(explain(trace(*collections)))


def text(explanation: Explanation) -> str:
    return "\n".join(line for title, lines in sections(explanation) for line in (title, *lines))


def meaning(c: record.Collection) -> str:
    (entry,) = explain(trace(c)).entries
    return entry.meaning


def shows(*collections: record.Collection) -> str:
    return "\n".join(finding.text for finding in explain(trace(*collections)).findings)


@pytest.mark.parametrize(
    ("c", "clauses"),
    [
        (
            full(in_request=True, requests=1, scanned=412_000),
            [
                "automatic and full: 11 of the two younger generations since the last full one, over 10",
                "in a request, which waited 22 ms for it",
                "scanned 412,000 objects and freed none: 22 ms for nothing",
                "live blocks 1,020,000 to 1,020,000, RSS 171 MiB",
                "freeze would have left most of it out, act would have kept it out of the request",
            ],
        ),
        (
            collection(in_request=True, pause_ns=5_000_000, freed=3),
            ["2,001 more allocated than freed since the last collection", "scanned at least 2,001 objects and freed 3"],
        ),
        (
            full(cause="explicit", caller="lib.py:7", in_request=True, requests=1),
            [
                "asked for by lib.py:7, of everything",
                "without that call, or with lowtide.pacer.start(guard_requests=True)",
            ],
        ),
        (
            full(cause="idle", requests=2, predicted_ns=20_000_000, goal_blocks=1_500_000, frozen=391_000),
            [
                "by the pacer, of everything, while the program waited, predicted 20 ms",
                "22 ms, outside of any request, 2 in flight",
                "goal 1,500,000",
                "391,000 frozen objects left out",
            ],
        ),
        (full(cause="shutdown", freed=9), ["the interpreter's own, at its end", "freed 9"]),
        (full(uncollectable=4), ["found 4 that cannot be freed"]),
    ],
    ids=["full", "young", "explicit", "pacer", "shutdown", "uncollectable"],
)
def test_a_line_is_put_into_words(c: record.Collection, clauses: list[str]) -> None:
    for clause in clauses:
        assert clause in meaning(c)


def test_from_315_on_what_a_young_collection_scanned_is_exact() -> None:
    exact = trace(collection(cause="explicit"))._replace(header=traces.HEADER._replace(python="3.15.2"))

    assert "scanned 2,001 objects" in explain(exact).entries[0].meaning


def test_a_pause_out_of_proportion_is_not_blamed_on_the_settings() -> None:
    usual = [collection(at / 10, in_request=True) for at in range(20)]
    delayed = collection(3, in_request=True, pause_ns=9_000_000)
    entry = explain(trace(*usual, delayed)).entries[-1]

    assert "far longer than others of its size" in entry.meaning
    assert "threshold" not in entry.meaning


def test_ordinary_lines_are_summed_up_and_all_others_stand_alone() -> None:
    found = explain(trace(*(collection(at, freed=5) for at in range(5)), full(6), collection(7)))

    assert [(entry.first, entry.last) for entry in found.entries] == [(1, 5), (6, 6), (7, 7)]
    assert "5 young collections: 500 µs in all" in found.entries[0].meaning
    assert found.entries[1].raw.startswith("gc 6 @6.000000s")


def test_pauses_that_hurt_requests_are_counted_and_named() -> None:
    told = shows(full(1, in_request=True), full(2), collection(3, in_request=True))

    assert "1 request waited 1 ms or longer for the collector, 22 ms in all, the longest 22 ms" in told
    assert "2 of 2 full collections freed less than 1% of what they scanned: 44 ms over 824,000 objects" in told


def test_a_trace_that_marks_no_request_says_so() -> None:
    assert "no request is marked in this trace" in shows(full())


def test_requests_that_never_waited_are_marked_all_the_same() -> None:
    told = "no request waited 1 ms for the collector"

    assert told in shows(collection(0, cause="safepoint"), full(1, cause="growth"))
    assert told in shows(full(cause="idle", requests=2))


def test_who_asks_for_collections_is_named() -> None:
    asked = [full(at, cause="explicit", caller="lib.py:7", in_request=at > 1) for at in range(4)]

    assert "lib.py:7 asked for a full collection 4 times, 2 of them in requests: 88 ms" in shows(*asked)
    assert "it can go" in shows(*asked)
    assert "it can go" not in shows(*(c._replace(freed=200_000) for c in asked))


def test_the_collection_before_a_freeze_is_no_waste() -> None:
    freezing = full(1, cause="explicit", caller="app.py:3")
    frozen = [full(at, frozen=412_000, scanned=10_000, freed=2_000) for at in (2, 3)]

    assert "app.py:3" not in shows(freezing, *frozen)


def test_a_heap_that_grows_and_lives_is_no_matter_of_settings() -> None:
    growing = [
        full(at, blocks_before=1_000_000 + 100_000 * at, blocks_after=1_000_000 + 100_000 * at) for at in range(8)
    ]

    assert "no setting of the collector helps" in shows(*growing)
    assert "no setting of the collector helps" not in shows(*(c._replace(freed=100_000) for c in growing))


def test_memory_that_the_c_library_keeps_is_told_from_memory_in_use() -> None:
    burst = [full(1), full(2, blocks_after=300_000), full(3, blocks_before=300_000, blocks_after=300_000)]

    assert "free memory that the C library keeps" in shows(*burst)
    assert "free memory" not in shows(*(c._replace(rss_bytes=2**20 * (171 - 50 * at)) for at, c in enumerate(burst)))


def test_settings_are_ranked_by_what_they_save() -> None:
    found = explain(traces.service())

    assert found.recorded is not None
    assert found.options[0].policy == "act"
    waits = [option.prediction.wait_seconds for option in found.options]
    assert waits == sorted(waits)
    assert waits[-1] < found.recorded.wait_seconds
    assert "1. lowtide run --pacer=act" in text(found)
    assert "recorded since its first request: GC" in text(found)


def test_what_ran_under_the_pacer_is_not_told_to_act() -> None:
    served = traces.service()
    paced = [c._replace(cause="growth") if c.generation == 2 else c for c in served.collections]

    assert "act" not in {option.policy for option in explain(trace(*paced)).options}


def test_thresholds_that_the_pacer_set_are_not_put_down_to_the_program() -> None:
    later = [collection(at, thresholds=(20_000, 10, 2**31 - 1)) for at in (1, 2)]

    assert explain(trace(collection(), *later)).since == "gc.set_threshold()"
    paced = trace(collection(), *(c._replace(cause="safepoint") for c in later))
    assert explain(paced).since == "the pacer's gc.set_threshold()"


def test_what_no_request_would_notice_is_left_as_it_is() -> None:
    served = traces.service()
    short = [c._replace(pause_ns=c.pause_ns // 100) for c in served.collections]

    assert explain(trace(*short)).options == ()
    assert "would make a difference to requests: leave it as it is" in text(explain(trace(*short)))


@pytest.mark.parametrize(
    ("fulls", "advice"),
    [
        ([], "too few full collections were recorded to say more"),
        (
            [full(1), full(2, freed=3_000)],
            "no full collection made the heap a tenth smaller; the best, gc 3, freed 0.7%",
        ),
        (
            [full(1), full(2, freed=90_000, blocks_after=800_000)],
            "percent=50 is worth a try where memory is short: gc 3",
        ),
    ],
)
def test_percent_is_left_alone_unless_a_line_says_otherwise(fulls: list[record.Collection], advice: str) -> None:
    guidance = explain(trace(collection(), *fulls)).guidance.text

    assert guidance.startswith("pin the memory limit")
    assert advice in guidance
    assert ("leave percent alone" in guidance) == ("percent=50" not in guidance)


def test_a_trace_of_nothing_is_explained_as_nothing() -> None:
    told = said()

    assert "no collection was recorded" in told
    assert "nothing can be predicted: expected a trace with collections" in told


def test_lines_that_were_lost_are_mentioned_and_not_counted() -> None:
    recorded = trace(*(collection(at) for at in range(10)))
    kept = recorded._replace(collections=recorded.collections[2:4] + recorded.collections[7:])
    told = text(explain(kept))

    assert "3 collections are missing in between" in told
    assert ": 5 collections in " in told
    assert "missing" not in text(explain(recorded))


def test_a_broken_last_line_is_mentioned() -> None:
    assert "the last line is broken off" in text(explain(trace(collection())._replace(is_cut=True)))


def test_the_data_hold_what_the_text_does() -> None:
    found: dict[str, Any] = json.loads(json.dumps(explain(traces.service()).as_json()))

    assert found["schema"] == 1
    assert found["header"]["python"] == "3.13.0"
    assert found["options"][0]["prediction"]["errors"]["gc_seconds"] is not None
    assert sum(line["last"] - line["first"] + 1 for line in found["lines"]) == 1200


class Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in ("br", "meta"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def values(self, tag: str, attribute: str) -> list[str]:
        return [value for t, name, value in self.attributes if (t, name) == (tag, attribute)]


@pytest.fixture
def page() -> str:
    served = traces.service()
    return render(explain(served), served, title="gc <1>.log")


def test_the_page_is_well_formed_and_needs_nothing_from_outside(page: str) -> None:
    elements = Elements(page)

    assert elements.open == []
    assert page.isascii()
    assert not re.search(r"https?:|<script|<link|@import|url\(|style=", page)
    assert "default-src 'none'; style-src 'sha256-" in page
    assert "gc &lt;1&gt;.log" in page


def test_every_mark_in_the_picture_is_a_link_with_words_to_a_line_that_is_there(page: str) -> None:
    elements = Elements(page)
    links = {link for link in elements.values("a", "href") if link.startswith("#")}

    assert len(elements.values("a", "aria-label")) >= 9
    assert links <= {f"#{anchor}" for anchor in elements.values("tr", "id")}


def test_what_a_file_name_hides_is_spelled_out() -> None:
    hostile = trace(full(cause="explicit", caller="a\u202e\x1b[1m<b>.py:1"))
    page = render(explain(hostile), hostile, title="x")

    assert "a\\u202e\\u001b[1m&lt;b&gt;.py:1" in page


@pytest.mark.parametrize("collections", [[], [full()], [collection()]], ids=["nothing", "one", "blocks not read"])
def test_a_picture_can_be_drawn_of_little(collections: list[record.Collection]) -> None:
    little = trace(*collections)

    Elements(render(explain(little), little, title="x"))
