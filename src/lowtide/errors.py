"""Every exception that lowtide raises on purpose; each is also the builtin that a caller already catches."""


class LowtideError(Exception):
    """Base of all of lowtide's own errors; its text is one line for a person."""


class CoreUnavailableError(LowtideError, RuntimeError):
    """The native part is missing or refuses this interpreter; the text says why."""


class CountError(LowtideError, RuntimeError):
    """Allocations cannot be counted exactly now: something else watches, or counts."""


class NotStartedError(LowtideError, RuntimeError):
    """A collector was asked for something before it was started."""


class PoolMisuseError(LowtideError, RuntimeError):
    """A pooled item was used, or put back, as the pool's contract forbids."""


class PoolMisuseWarning(RuntimeWarning):
    """A pooled item may be misused: something still refers to what was put, or it was never put back."""


class ProfileFormatError(LowtideError, ValueError):
    """A profile cannot be read, written or combined as it is."""


class SettingsError(LowtideError, ValueError):
    """A setting or an argument is out of range or misspelt."""


class TraceFormatError(LowtideError, ValueError):
    """A gctrace cannot be read."""
