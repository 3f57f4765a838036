"""Step (a): profile the service under load and name its sites; step (d): the same of the variant, and the difference."""

import dataclasses
import subprocess
import sys
import sysconfig
from pathlib import Path

from examples.catalogue_load import make_products, scenario
from lowtide.profile import Function, Location, Profile, Sample
from tools.openload import run

from pool_lab import LAB, PRODUCTS, ROOT
from pool_lab.gopprof import go_pprof
from pool_lab.service import LabError, load_generator_on_its_own_cpu, serving

RATE = 60  # a fifth of what the service can do
COLUMNS = ("alloc_objects", "alloc_space", "inuse_space")
_PREFIXES = {  # of file names, longest first: what remains is the same on every machine
    f"{LAB}/": "",
    f"{ROOT}/": "",
    f"{sysconfig.get_path('purelib')}/": "site-packages/",
    f"{sysconfig.get_path('stdlib')}/": "lib/",
}


def profile_variant(variant: str, target: Path, seconds: float) -> Profile:
    """Load a variant with requests that depend on nothing but their number, and write its profile."""
    with serving(variant, target) as url, load_generator_on_its_own_cpu():
        report = run(url, scenario(make_products(PRODUCTS)), rate=RATE, duration_seconds=seconds)
    if report.errors or report.skipped:
        raise LabError(f"the service ({variant}) answered with errors under load: {report.errors or 'it was too slow'}")
    profile = without_machine(Profile.read(target))
    profile.write(target)
    return profile


def name_sites(profile: Path, target: Path) -> str:
    """Write what `go tool pprof -top` says of each column, and who has JSON made; return it."""
    commands = [("-top", "-nodecount=10", f"-sample_index={column}") for column in COLUMNS]
    commands.append(("-peek", r"^json\.dumps$", "-sample_index=alloc_objects"))
    parts = []
    for command in commands:
        shown = " ".join(f"'{word}'" if "$" in word else word for word in command)
        parts.append(f"$ go tool pprof {shown} {profile.name}\n{go_pprof(*command, profile)}")
    target.write_text("\n".join(parts))
    return "\n".join(parts)


def compare(before: Path, after: Path, out: Path) -> str:
    """Write the pages and the difference of two profiles; return the difference by lines."""
    for profile in (before, after):
        _lowtide("flame", profile.name, "-o", f"flame-{profile.name.partition('.')[0]}.html", folder=out)
    texts = []
    for column in COLUMNS[:2]:
        texts.append(f"$ lowtide diff --sample-type {column} {before.name} {after.name}")
        texts.append(_lowtide("diff", "--sample-type", column, before.name, after.name, folder=out))
    (out / "diff.txt").write_text("\n".join(texts))
    return "\n".join(texts)


def without_machine(profile: Profile) -> Profile:
    """Return the profile with file names that do not tell where on this machine it was taken."""
    functions: dict[Function, Function] = {}
    locations: dict[Location, Location] = {}

    def rename(function: Function) -> Function:
        if function not in functions:
            functions[function] = dataclasses.replace(function, filename=_shortened(function.filename))
        return functions[function]

    def relocate(location: Location) -> Location:
        if location not in locations:
            lines = tuple(dataclasses.replace(line, function=rename(line.function)) for line in location.lines)
            locations[location] = dataclasses.replace(location, lines=lines, mapping=None)
        return locations[location]

    samples: list[Sample] = [
        dataclasses.replace(sample, locations=tuple(map(relocate, sample.locations))) for sample in profile.samples
    ]
    return dataclasses.replace(profile, samples=tuple(samples), mappings=())


def _shortened(filename: str) -> str:
    for prefix, replacement in _PREFIXES.items():
        if filename.startswith(prefix):
            return replacement + filename.removeprefix(prefix)
    return filename


def _lowtide(*arguments: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "lowtide", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise LabError(f"lowtide {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout
