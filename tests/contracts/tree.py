"""The repository as text: what the contracts read. Nothing here imports the code it judges."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "lowtide"


def python_modules() -> dict[str, Path]:
    """Map dotted names below `lowtide` ("profile.model"; a package by its own name) to files; without the facade."""
    modules = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            modules[name] = path
    return modules


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute dotted name) of every import in a file, those inside functions and for types included."""
    module = path.relative_to(PACKAGE.parent).with_suffix("").parts
    package = module[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                if origin == PACKAGE.name and not (PACKAGE / f"{alias.name}.pyi").exists():
                    yield node.lineno, origin  # the facade, whatever is taken from it but an extension
                    continue
                # `from lowtide.x import y` names a module only where y is one; elsewhere the whole name tells more.
                below = PACKAGE.parent / Path(*origin.split(".")) / alias.name
                is_module = below.with_suffix(".py").exists() or below.with_suffix(".pyi").exists() or below.is_dir()
                is_ours = origin.split(".")[0] == PACKAGE.name
                yield node.lineno, f"{origin}.{alias.name}" if is_module or not is_ours else origin


def c_files(folder: str = "csrc") -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.[ch]"))


@cache
def c_code(path: Path) -> str:
    """Return the text with comments, strings and attributes blanked, line numbers kept."""

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match.group())

    noise = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|__attribute__\s*\(\([^;{]*?\)\)'
    return re.sub(noise, blank, path.read_text(), flags=re.DOTALL)


def includes(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, what stands between the quotes or brackets) of every #include; system headers keep their <>."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+("([^"]+)"|<[^>]+>)', line)
        if match:
            yield number, match.group(2) or match.group(1)


class CFunction(NamedTuple):
    name: str
    line: int
    is_static: bool
    calls: frozenset[str]


@cache
def c_functions(path: Path) -> list[CFunction]:
    """List every function defined at the left margin, with the names its body calls."""
    code = c_code(path)
    static_words = {"static", *re.findall(r"^#define (\w+) static\b", code, re.MULTILINE)}
    heads = re.compile(r"^((?:[A-Za-z_]\w*[\s*]+)+)(\w+)\s*\(([^;{}]*)\)\s*\{", re.MULTILINE)
    functions = []
    for match in heads.finditer(code):
        depth, end = 1, match.end()
        while depth and end < len(code):
            depth += {"{": 1, "}": -1}.get(code[end], 0)
            end += 1
        calls = frozenset(re.findall(r"\b([A-Za-z_]\w*)\s*\(", code[match.end() : end]))
        line = code.count("\n", 0, match.start(2)) + 1
        functions.append(CFunction(match.group(2), line, bool(static_words & set(match.group(1).split())), calls))
    return functions


def committed_files() -> list[Path]:
    """List what git tracks; without git (a source archive), every file of the folders that hold sources."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    folders = ("src", "csrc", "tests", "tools", "examples", "benchmarks", "docs", "memory-and-gc")
    return [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]


def shown(path: Path, line: int | None = None) -> str:
    """Return a path as messages show it: relative, with its line."""
    return f"{path.relative_to(ROOT)}:{line}" if line else str(path.relative_to(ROOT))
