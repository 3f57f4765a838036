"""What the collector costs a program that is only watched, and what acting would have saved of it."""

from typing import NamedTuple

from lowtide.pacer.record import Collection
from lowtide.units import format_count, format_duration


class Advice(NamedTuple):
    """Automatic full collections since watching began: those that the pacer keeps out of requests when it acts.

    Args:
        full: how many there were.
        seconds: how long they stopped the program.
        longest_seconds: the longest of them.
        full_in_requests: how many of them a request waited for.
        saved_seconds: how long requests waited for them; acting would have saved this.
    """

    full: int = 0
    seconds: float = 0.0
    longest_seconds: float = 0.0
    full_in_requests: int = 0
    saved_seconds: float = 0.0

    def plus(self, collection: Collection) -> "Advice":
        """Return the advice with one more collection taken into account."""
        if collection.cause != "full":
            return self
        seconds = collection.pause_ns / 1e9
        return Advice(
            self.full + 1,
            self.seconds + seconds,
            max(self.longest_seconds, seconds),
            self.full_in_requests + collection.in_request,
            self.saved_seconds + seconds * collection.in_request,
        )

    def __str__(self) -> str:
        full = (
            "1 automatic full collection" if self.full == 1 else f"{format_count(self.full)} automatic full collections"
        )
        if not self.full:
            return "no automatic full collection: there is nothing to save"
        text = f"{full} took {format_duration(self.seconds)}, the longest {format_duration(self.longest_seconds)}"
        if self.full_in_requests:
            return (
                f"{text}; {format_count(self.full_in_requests)} of them in requests,"
                f" where acting would have saved {format_duration(self.saved_seconds)}"
            )
        return text
