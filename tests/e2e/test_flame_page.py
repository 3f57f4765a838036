"""The flame page in a real browser: what a reader can do with it, by mouse and by keyboard, and what it never does."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lowtide.profile import Function, Line, Location, Profile, Sample, ValueType
from lowtide.profile.formats import flame

pytestmark = pytest.mark.browser

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402 - after importorskip
from selenium.webdriver.common.by import By  # noqa: E402 - after importorskip
from selenium.webdriver.common.keys import Keys  # noqa: E402 - after importorskip

ROW = 21  # px, as chart.js draws
TYPES = (ValueType("inuse_objects", "count"), ValueType("inuse_space", "bytes"))
MIB = 2**20
# No animation, and none of a browser's own calls home.
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run --disable-component-update "
    "--disable-sync --disable-dev-shm-usage --force-prefers-reduced-motion --window-size=1280,900"
)


def profile_of(*stacks: tuple[str, int, int], **fields: Any) -> Profile:
    """Build a profile from stacks such as ("main;work", objects, bytes), root first."""
    names = {name for stack, _, _ in stacks for name in stack.split(";")}
    at = {name: Location((Line(Function(name, filename=f"/srv/{name.split('.')[0]}.py"), 7),)) for name in names}
    samples = tuple(
        Sample(tuple(at[name] for name in reversed(stack.split(";"))), (objects, size))
        for stack, objects, size in stacks
    )
    return Profile(**{"sample_types": TYPES, "samples": samples, **fields})


SERVICE = profile_of(
    ("app.main;app.handle;json.dumps", 10, 60 * MIB),
    ("app.main;app.handle;store.put", 900, 20 * MIB),
    ("app.main;store.load", 90, 20 * MIB),
    period_type=ValueType("space", "bytes"),
    period=524288,
    comments=("lowtide 0.0", "process 41.42"),
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("chromium and chromium-driver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


class Page:
    def __init__(self, browser: Any) -> None:
        self.browser = browser

    def __getitem__(self, name: str) -> Any:
        return self.browser.find_element(By.ID, name)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def settle(self) -> "Page":
        """Wait until what was asked for is drawn."""
        self.browser.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))"
        )
        return self

    def keys(self, *keys: str) -> "Page":
        """Type into whatever has the focus."""
        ActionChains(self.browser).send_keys(*keys).perform()
        return self.settle()

    def point(self, depth: int, part: float, *, click: bool = False) -> "Page":
        """Move to the frame at a depth and a part of the width."""
        width = self["canvas"].rect["width"]
        at = (round(width * (part - 0.5)), round(ROW * (depth + 0.5) - self["canvas"].rect["height"] / 2))
        actions = ActionChains(self.browser, duration=0).move_to_element_with_offset(self["canvas"], *at)
        (actions.click() if click else actions).perform()
        return self.settle()

    def colour(self, depth: int, part: float) -> list[int]:
        """Return red, green, blue and opacity near the lower edge of a frame, where no letter is."""
        script = """const canvas = document.getElementById("canvas"), ratio = canvas.width / canvas.clientWidth;
        const [x, y] = [canvas.clientWidth * arguments[0], arguments[1]].map((at) => Math.round(at * ratio));
        return [...canvas.getContext("2d").getImageData(x, y, 1, 1).data]"""
        colour: list[int] = self.run(script, part, ROW * (depth + 1) - 4)
        return colour

    @property
    def details(self) -> list[str]:
        return [" ".join(line.split()) for line in self["details"].text.split("\n")]

    @property
    def focused(self) -> str:
        """What a screen reader is told about the focused frame."""
        return str(self[self["chart"].get_attribute("aria-activedescendant")].get_attribute("textContent"))


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Callable[..., Page]:
    def show(profile: Profile, **options: Any) -> Page:
        path = tmp_path / "flame.html"
        path.write_text(flame.render(profile, **options), encoding="ascii")
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        browser.get(path.as_uri())
        return Page(browser).settle()

    return show


def test_the_header_says_what_is_shown_and_how_it_was_sampled(show: Callable[..., Page]) -> None:
    page = show(SERVICE, title="shop: heap")
    assert page.browser.title == page["types"].find_element(By.XPATH, "//h1").text == "shop: heap"
    assert page["types"].text.split("\n")[1:] == ["inuse_objects", "1,000", "inuse_space", "100 MiB"]
    assert page["note"].text == "one sample per 512 KiB allocated, on average · 3 stacks"
    page.browser.find_element(By.CSS_SELECTOR, "#about summary").click()
    assert page["comments"].text.split("\n") == ["lowtide 0.0", "process 41.42"]


def test_pointing_at_a_frame_tells_its_line_and_its_cost(show: Callable[..., Page]) -> None:
    assert show(SERVICE).point(2, 0.4).details == [
        "app.handle /srv/app.py:7",
        "cum 80 MiB 80 % of total flat 0 B 0 %",
    ]


def test_search_highlights_the_matches_and_tells_their_share(show: Callable[..., Page]) -> None:
    page = show(SERVICE)
    before = {place: page.colour(*place) for place in [(3, 0.3), (3, 0.7), (2, 0.9)]}
    page["search"].send_keys("^STORE\\.")
    page.settle()
    assert page["matches"].text == "2 lines, 40 MiB, 40 %"
    assert page.colour(3, 0.7) == page.colour(2, 0.9)
    assert page.colour(3, 0.7) not in before.values()
    assert page.colour(3, 0.3)[3] < before[3, 0.3][3], "what does not match fades"


def test_enter_in_the_search_steps_through_the_matches_widest_first(show: Callable[..., Page]) -> None:
    page = show(SERVICE)
    page["search"].send_keys("dumps|put", Keys.ENTER)
    assert page.settle().details[0].startswith("json.dumps")
    page.keys(Keys.ENTER)
    assert page.details[0].startswith("store.put")
    page.keys(Keys.SHIFT, Keys.ENTER)
    assert page["matches"].text.startswith("match 1 of 2")


def test_a_malformed_expression_is_named_and_harms_nothing(show: Callable[..., Page]) -> None:
    page = show(SERVICE)
    page["search"].send_keys("json(")
    page.settle()
    assert page["matches"].text == "not a valid regular expression"
    assert page["search"].get_attribute("aria-invalid") == "true"
    page.keys(Keys.BACKSPACE)
    assert page["matches"].text == "1 line, 60 MiB, 60 %"


def test_a_click_zooms_and_reset_shows_all_again(show: Callable[..., Page]) -> None:
    page = show(SERVICE).point(2, 0.9, click=True)
    assert page.point(2, 0.1).details[0].startswith("store.load")
    assert page.point(1, 0.1).details[0].startswith("app.main")
    page["reset"].click()
    assert page.settle().point(2, 0.1).details[0].startswith("app.handle")
    assert not page["reset"].is_displayed()


def test_a_click_on_a_caller_zooms_out_to_it(show: Callable[..., Page]) -> None:
    page = show(SERVICE).point(3, 0.3, click=True).point(1, 0.5, click=True)
    assert page.point(2, 0.9).details[0].startswith("store.load")


def test_the_keyboard_alone_reaches_zooms_and_resets(show: Callable[..., Page]) -> None:
    page = show(SERVICE)
    page.run("document.getElementById('chart').focus()")
    assert page.focused.startswith("all inuse_space, cum 100 MiB, 100 %")
    page.keys(Keys.DOWN, Keys.DOWN, Keys.RIGHT)
    assert page.focused == "store.load, /srv/store.py:7, cum 20 MiB, 20 %, flat 20 MiB"
    assert page["focused"].is_displayed()
    page.keys(Keys.ENTER)
    assert page["reset"].is_displayed()
    page.keys(Keys.ESCAPE)
    assert not page["reset"].is_displayed()
    assert page.focused.startswith("store.load")
    page.keys(Keys.LEFT, Keys.UP)
    assert page.focused.startswith("app.main")
    page.keys("/", "j")
    assert page["search"].get_attribute("value") == "j"
    page.keys(Keys.ESCAPE)
    assert page["search"].get_attribute("value") == ""


def test_every_control_has_a_name_for_a_screen_reader(show: Callable[..., Page]) -> None:
    page = show(SERVICE)
    nodes = page.browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    controls = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if any(fact["name"] == "focusable" for fact in node.get("properties", []))
    ]
    assert ("tree", "Flame graph of inuse_space") in controls
    assert ("radio", "inuse_objects 1,000") in controls
    assert [role for role, name in controls if not name and role != "RootWebArea"] == []


def test_switching_the_sample_type_redraws_by_its_costs(show: Callable[..., Page]) -> None:
    page = show(SERVICE)
    assert page.point(3, 0.05).details[0].startswith("json.dumps")
    page["types"].find_element(By.TAG_NAME, "label").click()
    assert page.settle().point(3, 0.05).details == [
        "store.put /srv/store.py:7",
        "cum 900 90 % of total flat 900 90 %",
    ]
    page["types"].find_element(By.CSS_SELECTOR, "input:checked").send_keys(Keys.RIGHT)
    assert page.settle().point(3, 0.05).details[0].startswith("json.dumps")


def rows_of(page: Page) -> list[list[str]]:
    script = (
        "return [...document.querySelectorAll('#rows tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    rows: list[list[str]] = page.run(script)
    return rows


def test_the_table_lists_what_top_lists(show: Callable[..., Page]) -> None:
    page = show(SERVICE)
    page["tab-table"].click()
    rows = rows_of(page)
    assert rows[0] == ["60 MiB", "60 %", "60 MiB", "60 %", "json.dumps", "/srv/json.py:7"]
    assert [row[4] for row in rows] == [row.name for row in SERVICE.top(10)]
    page["columns"].find_element(By.XPATH, ".//button[text()='Cum']").click()
    assert [row[4] for row in rows_of(page)][:2] == ["app.main", "app.handle"]
    page["search"].send_keys("put")
    assert [row[4] for row in rows_of(page)] == ["store.put"]


def test_a_function_of_the_table_is_shown_in_the_graph(show: Callable[..., Page]) -> None:
    page = show(SERVICE)
    page["tab-table"].click()
    page["rows"].find_element(By.XPATH, ".//button[text()='store.put']").click()
    assert page.settle()["chart"].is_displayed()
    assert page.focused.startswith("store.put")


def test_the_page_follows_the_system_into_the_dark_and_the_button_back(show: Callable[..., Page]) -> None:
    page = show(SERVICE)
    brightness = (
        "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
    )
    light_frame = page.colour(1, 0.5)
    assert page.run(brightness) > 600
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [dark]})
    page.settle()
    assert page.run(brightness) < 150
    assert page.colour(1, 0.5) != light_frame
    page["theme"].click()
    page.settle()
    assert page.run(brightness) > 600
    assert page.colour(1, 0.5) == light_frame


def test_a_difference_shows_growth_and_shrinkage_in_colours_of_their_own(show: Callable[..., Page]) -> None:
    page = show(profile_of(("app.main;app.grow", 3, 3 * MIB), ("app.main;app.shrink", -1, -MIB)))
    assert page["types"].text.split("\n")[-1] == "+2 MiB"
    assert page.point(2, 0.9).details == [
        "app.shrink /srv/app.py:7",
        "cum −1 MiB −25 % of all change flat −1 MiB −25 %",
    ]
    page.point(0, 0.5)
    red, _, blue, _ = page.colour(2, 0.4)
    assert red > blue
    red, _, blue, _ = page.colour(2, 0.9)
    assert blue > red


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (Profile(TYPES), "This profile is empty: it holds no samples."),
        (Profile(()), "This profile is empty: it holds no samples."),
        (profile_of(("main", 1, 0)), "Nothing was recorded for inuse_space."),
    ],
)
def test_where_there_is_nothing_to_draw_the_page_says_so(
    show: Callable[..., Page], profile: Profile, message: str
) -> None:
    page = show(profile)
    assert page["empty"].text == message
    page["search"].send_keys("x", Keys.ENTER, Keys.ESCAPE, Keys.ESCAPE)
    page["tab-table"].click()
    assert rows_of(page) == []


def test_hostile_names_are_text_and_nothing_else(show: Callable[..., Page]) -> None:
    names = [
        "</script><script>top.hacked=1</script>",
        "<img src=x onerror=top.hacked=1>",
        "\u202egnp",
        "a\udc80\x00b",
        "שלום",
    ]
    page = show(profile_of(*[(name, 1, MIB) for name in names]), title=names[0])
    page["tab-table"].click()
    shown = sorted(row[4] for row in rows_of(page))
    assert shown == sorted([*names[:2], "\\u202egnp", "a\\udc80\\u0000b", names[4]])
    assert page.browser.title == names[0]
    assert page.run("return [typeof top.hacked, document.images.length, document.scripts.length]") == [
        "undefined",
        0,
        2,
    ]


COUNT_FILLS = """
window.fills = 0;
for (const name of ["fill", "fillRect"]) {
  const original = CanvasRenderingContext2D.prototype[name];
  CanvasRenderingContext2D.prototype[name] = function (...all) {
    window.fills++;
    return original.apply(this, all);
  };
}"""


def test_ten_thousand_stacks_cost_a_redraw_no_more_than_fits_the_window(show: Callable[..., Page]) -> None:
    paths = (
        ";".join(
            f"app.f{stack // 10 ** max(0, 4 - depth // 8) if depth < 32 else stack * depth}" for depth in range(40)
        )
        for stack in range(10_000)
    )
    page = show(profile_of(*[(path, 1, 1024 + number) for number, path in enumerate(paths)]))
    page.run(COUNT_FILLS)
    page.point(1, 0.5, click=True)
    nodes = len(json.loads(page["data"].get_attribute("textContent"))["nodes"]["depth"])
    assert nodes > 80_000
    assert 0 < page.run("return window.fills") < nodes / 4


def test_the_page_reports_no_error_and_asks_no_network(show: Callable[..., Page], browser: Any) -> None:
    browser.get_log("browser"), browser.get_log("performance")
    page = show(SERVICE).point(2, 0.9, click=True)
    page["search"].send_keys("json", Keys.ENTER)
    page["theme"].click()
    page["tab-table"].click()
    page["types"].find_element(By.TAG_NAME, "label").click()
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert [url for url in requests if not re.match(r"data:|file:.*/flame\.html$", url)] == []
    assert any(url.startswith("file:") for url in requests)
    assert browser.get_log("browser") == []
