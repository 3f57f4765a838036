"""csrc/base's module names against the model's, for file names of every kind."""

from hypothesis import given
from hypothesis import strategies as st

from tests.models import heap_tables
from tests.unit.base.library import Header, module_name

PARTS = st.sampled_from(
    ["site", "pkg", "mod.py", "__init__.py", "mod", ".py", "<string>", "<frozen ", ">", "größe", "", "a"]
)
PATHS = st.lists(PARTS, max_size=5).map("/".join)
FILES = st.one_of(PATHS, PARTS, PATHS.map(lambda path: f"<frozen {path}>"), st.text("abé🐍/.<>", max_size=300))
ROOTS = st.lists(st.one_of(PATHS, PATHS.map(lambda path: path + "/")), max_size=4)


@given(file=FILES, roots=ROOTS, script=PATHS)
def test_names_a_file_as_the_model_does(file: str, roots: list[str], script: str) -> None:
    expected = heap_tables.module_name(file, roots, script)
    assert module_name(file, Header(roots, script)).decode() == expected


@given(lead=st.integers(0, 8), text=st.text("aé€🐍/", min_size=300, max_size=600))
def test_cuts_what_is_too_long_between_two_characters(lead: int, text: str) -> None:
    file = "/site/" + "x" * lead + text
    assert module_name(file, Header(["/site"])).decode() == heap_tables.module_name(file, ["/site"], "")
