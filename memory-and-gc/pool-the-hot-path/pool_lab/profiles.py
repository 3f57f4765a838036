"""Step (a): profile the service under load and name its sites; step (d): the same of both variants, and compare."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from examples.catalogue_load import make_products, scenario
from lowtide.profile import Profile
from pool_lab import PRODUCTS
from pool_lab.gopprof import go_pprof
from pool_lab.portable import without_machine
from pool_lab.service import LabError, load_generator_on_its_own_cpu, serving
from tools.openload import run

RATE, SECONDS = 60, 20  # a fifth of what the service can do
COLUMNS = ("alloc_objects", "alloc_space", "inuse_space")


def profile_variant(variant: str, target: Path) -> None:
    """Load a variant, with the same requests each time, and write its profile."""
    with serving(variant, target) as url, load_generator_on_its_own_cpu():
        report = run(url, scenario(make_products(PRODUCTS)), rate=RATE, duration_seconds=SECONDS)
    if report.errors or report.skipped:
        raise LabError(f"the service ({variant}) answered with errors under load: {report.errors or 'it was too slow'}")
    without_machine(Profile.read(target)).write(target)


def name_sites(profile: Path, target: Path) -> str:
    """Write what `go tool pprof -top` says of each column, and who has JSON made; return it."""
    commands: list[tuple[str, ...]] = [
        ("-top", "-nodecount=10", f"-sample_index={column}", *(["-unit=mb"] if column.endswith("_space") else []))
        for column in COLUMNS
    ]
    commands.append(("-peek", r"^json\.dumps$", "-sample_index=alloc_objects"))
    parts = []
    for command in commands:
        shown = " ".join(f"'{word}'" if "$" in word else word for word in command)
        parts.append(f"$ go tool pprof {shown} {profile.name}\n{go_pprof(*command, profile)}")
    target.write_text("\n".join(parts))
    return "\n".join(parts)


def advise(profile: Path, target: Path) -> str:
    """Write what `lowtide pool advise` says of the profile; return it."""
    command = ("pool", "advise", "-n", "6", profile.name)
    text = f"$ lowtide {' '.join(command)}\n{_lowtide(*command, folder=profile.parent)}"
    target.write_text(text)
    return text


def compare(out: Path, say: Callable[[str], None]) -> str:
    """Profile both variants into `out`, write their pages and their difference; return the difference by lines."""
    for variant in ("before", "after"):
        say(f"profiling {variant} under the same load for {SECONDS} s")
        profile_variant(variant, out / f"{variant}.pb.gz")
        _lowtide("flame", f"{variant}.pb.gz", "-o", f"flame-{variant}.html", folder=out)
    texts = []
    for column in COLUMNS[:2]:
        command = ("diff", "--sample-type", column, "before.pb.gz", "after.pb.gz")
        texts.append(f"$ lowtide {' '.join(command)}\n{_lowtide(*command, folder=out)}")
    (out / "diff.txt").write_text("\n".join(texts))
    return "\n".join(texts)


def _lowtide(*arguments: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "lowtide", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise LabError(f"lowtide {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout
