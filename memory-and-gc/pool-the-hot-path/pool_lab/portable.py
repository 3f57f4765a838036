"""Results that do not tell on which machine, and where on it, they were obtained."""

import dataclasses
import sysconfig

from lowtide.profile import Function, Location, Profile
from pool_lab import LAB, ROOT

# Folders, each before those that hold it.
_FOLDERS = {
    f"{LAB}/": "",
    f"{sysconfig.get_path('purelib')}/": "site-packages/",
    f"{sysconfig.get_path('stdlib')}/": "lib/",
    f"{ROOT}/": "",
}


def without_folders(text: str) -> str:
    """Shorten every file name in a text to what is the same on every machine."""
    for folder, replacement in _FOLDERS.items():
        text = text.replace(folder, replacement)
    return text


def without_machine(profile: Profile) -> Profile:
    """Return the profile with file names that do not tell where on this machine it was taken."""
    functions: dict[Function, Function] = {}
    locations: dict[Location, Location] = {}

    def rename(function: Function) -> Function:
        if function not in functions:
            functions[function] = dataclasses.replace(function, filename=without_folders(function.filename))
        return functions[function]

    def relocate(location: Location) -> Location:
        if location not in locations:
            lines = tuple(dataclasses.replace(line, function=rename(line.function)) for line in location.lines)
            locations[location] = dataclasses.replace(location, lines=lines, mapping=None)
        return locations[location]

    samples = [
        dataclasses.replace(sample, locations=tuple(map(relocate, sample.locations))) for sample in profile.samples
    ]
    return dataclasses.replace(profile, samples=tuple(samples), mappings=())
