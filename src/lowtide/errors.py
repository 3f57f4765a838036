"""Every exception that lowtide raises on purpose; each is also the builtin that a caller already catches."""


class LowtideError(Exception):
    """Base of all of lowtide's own errors; its text is one line for a person."""


class CoreUnavailableError(LowtideError, RuntimeError):
    """The native part is missing or refuses this interpreter; the text says why."""


class NotStartedError(LowtideError, RuntimeError):
    """A collector was asked for something before it was started."""


class ProfileFormatError(LowtideError, ValueError):
    """A profile cannot be read, written or combined as it is."""


class SettingsError(LowtideError, ValueError):
    """A setting or an argument is out of range or misspelt."""
