"""Equal stacks under one number: hashing a deep stack is dear, so each object is hashed once."""

from lowtide.profile.model import Location


class StackInterner:
    """Numbers for stacks, equal ones alike; of one profile or of several. They must outlive it: it goes by `id()`."""

    def __init__(self) -> None:
        self.stacks: list[tuple[Location, ...]] = []
        self._numbers: dict[tuple[int, ...], int] = {}
        self._location_numbers: dict[Location, int] = {}
        self._seen_stacks: dict[int, int] = {}
        self._seen_locations: dict[int, int] = {}

    def number(self, stack: tuple[Location, ...]) -> int:
        """Return the index in `stacks` of the first stack that equals this one."""
        number = self._seen_stacks.get(id(stack))
        if number is None:
            number = self._numbers.setdefault(tuple(map(self._location, stack)), len(self.stacks))
            if number == len(self.stacks):
                self.stacks.append(stack)
            self._seen_stacks[id(stack)] = number
        return number

    def _location(self, location: Location) -> int:
        number = self._seen_locations.get(id(location))
        if number is None:
            number = self._location_numbers.setdefault(location, len(self._location_numbers))
            self._seen_locations[id(location)] = number
        return number
