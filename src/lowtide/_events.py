"""What crosses from one noun to others without an import between them."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Event:
    """Something that happens in one noun and that others want to hear of.

    *Threads:* subscribers run in the thread that publishes, in the order in which they subscribed.
    """

    def __init__(self) -> None:
        self._subscribers: list[Callable[[], object]] = []

    def subscribe(self, callback: "Callable[[], object]") -> None:
        """Call `callback`, which must not raise, whenever the event happens."""
        self._subscribers.append(callback)

    def publish(self) -> None:
        """Tell every subscriber."""
        for callback in tuple(self._subscribers):
            callback()


memory_pressure = Event()

# Exact counts of allocations are about the program as it runs in production: what only checks it keeps out meanwhile.
counting_begins = Event()
counting_ends = Event()
