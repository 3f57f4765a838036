"""A file has one subject; past these lengths it has two."""

from tests.contracts import tree

CEILING_LINES = {".py": 400, ".pyi": 400, ".c": 500, ".h": 500}
TEST_CEILING_LINES = 600


def test_no_file_outgrows_its_subject() -> None:
    wrong = []
    for path in tree.committed_files():
        if path.suffix in CEILING_LINES:
            is_test = path.relative_to(tree.ROOT).parts[0] == "tests"
            ceiling = TEST_CEILING_LINES if is_test else CEILING_LINES[path.suffix]
            lines = len(path.read_text().splitlines())
            if lines > ceiling:
                wrong.append(f"{tree.shown(path)}: {lines} lines, ceiling {ceiling}")
    assert wrong == []
