"""What is committed is the project's own and works elsewhere: no folder of one machine, no host of a registry."""

import re

from tests.contracts import tree

# Spelled in pieces, so that this file does not hold what it looks for.
MACHINE_PATHS = [
    rf"(?<![\w.$}}~]){slash}"
    for slash in ("/" + "work/", "/" + "root/", "/" + r"home/\w", "/" + "tmp/lt", "/" + "farm/")
]
REGISTRY_HOSTS = [
    "pypi" + r"\.org",
    "python" + r"hosted\.org",
    r"registry\." + "npmjs",
    r"deb\." + r"debian\.org",
    "ghcr" + r"\.io",
]
LEFTOVERS = [
    r"\b" + "TO" + r"DO\b",
    r"\b" + "FIX" + r"ME\b",
    r"\b" + "XX" + r"X\b",
    "^" + "<" * 7 + " ",
    "^" + ">" * 7 + " ",
]
BINARY = {".png", ".gz", ".pb", ".ico", ".woff2"}


def lines_matching(patterns: list[str]) -> list[str]:
    wanted = re.compile("|".join(patterns))
    return [
        f"{tree.shown(path, number)}: {line.strip()[:120]}"
        for path in tree.committed_files()
        if path.suffix not in BINARY
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if wanted.search(line)
    ]


def test_no_committed_file_names_a_path_of_one_machine() -> None:
    assert lines_matching(MACHINE_PATHS) == []


def test_no_committed_file_names_a_registry() -> None:
    assert lines_matching(REGISTRY_HOSTS) == []


def test_no_committed_file_puts_work_off() -> None:
    assert lines_matching(LEFTOVERS) == []
