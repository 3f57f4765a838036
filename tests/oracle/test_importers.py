"""Viewers that others wrote take our files for profiles: flameshow and speedscope, where their packages can be had."""

import base64
import json
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lowtide._core", reason="the extension is not built")

from lowtide.profile import Profile
from lowtide.profile.formats.folded import folded
from tests.e2e.programs import environment, lowtide, python, script

pytestmark = [pytest.mark.oracle, pytest.mark.slow, pytest.mark.xdist_group("importers")]

IMPORTERS = Path(__file__).resolve().parents[2] / "artifacts" / "importers"
FLAGS = "--headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run --disable-dev-shm-usage"

LOAD = "__main__.load"
PROGRAM = """
    def load():
        return [bytes(100_000) for _ in range(50)]
    held = load()
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a program leaves."""
    folder = tmp_path_factory.mktemp("written")
    done = lowtide("run", "--heap-interval", "1", script(folder, PROGRAM), cwd=folder)
    assert done.returncode == 0, done.stderr
    (path,) = (folder / "lowtide-out").iterdir()
    return path


# -- flameshow --------------------------------------------------------------------------------------------------------

READ = """
import json, sys
from flamegraph_textual.parsers import parse
profile = parse(open(sys.argv[1], "rb").read(), sys.argv[1])
names, stacks = set(), [profile.root_stack]
while stacks:
    stack = stacks.pop()
    names.add(stack.name)
    stacks += stack.children
types = [kind.sample_type for kind in profile.sample_types]
print(json.dumps([dict(zip(types, profile.root_stack.values)), sorted(names)]))
"""


@pytest.fixture(scope="module")
def flameshow() -> Path:
    """Install flameshow into a folder of its own: it wants older versions of what we use."""
    folder = IMPORTERS / f"flameshow-{sys.implementation.cache_tag}"
    command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), "flameshow"]
    if not folder.exists() and subprocess.run(command).returncode != 0:
        pytest.skip("flameshow cannot be installed for this Python")
    return folder


def test_flameshow_reads_our_columns_and_functions(flameshow: Path, written: Path) -> None:
    done = python("-c", READ, written, env=environment(PYTHONPATH=str(flameshow)))
    assert done.returncode == 0, done.stderr
    totals, names = json.loads(done.stdout)

    profile = Profile.read(written)
    assert totals == {kind.type: profile.total(kind.type) for kind in profile.sample_types}
    assert LOAD in names


# -- speedscope -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def speedscope() -> Path:
    """Fetch speedscope's offline page."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    IMPORTERS.mkdir(parents=True, exist_ok=True)
    page = IMPORTERS / "package" / "dist" / "release" / "index.html"
    if not page.exists():
        done = subprocess.run([npm, "pack", "--silent", "speedscope"], cwd=IMPORTERS, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip("speedscope cannot be had from npm")
        with tarfile.open(IMPORTERS / done.stdout.split()[-1]) as archive:
            archive.extractall(IMPORTERS, filter="data")
    return page


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("chromium and chromium-driver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.mark.parametrize("name", ["heap.pb.gz", "heap.folded"])
def test_speedscope_shows_our_functions(
    name: str, speedscope: Path, browser: Any, written: Path, tmp_path: Path
) -> None:
    content = written.read_bytes() if name == "heap.pb.gz" else folded(Profile.read(written)).encode()
    load = tmp_path / "load.js"
    load.write_text(f'speedscope.loadFileFromBase64("{name}", "{base64.b64encode(content).decode()}")')
    browser.get("about:blank")
    browser.get(f"{speedscope.as_uri()}#localProfilePath={load}")

    patience = time.monotonic() + 30
    shown = ""
    while LOAD not in shown and time.monotonic() < patience:
        time.sleep(0.1)
        # The one view that is text: functions, the heaviest first.
        browser.find_element("tag name", "body").send_keys("3")
        shown = browser.execute_script("return document.body.innerText")
    assert LOAD in shown
