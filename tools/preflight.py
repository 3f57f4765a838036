"""Say in one line why this Python cannot hold lowtide's environment; runs on old ones too."""

import sys


def obstacle() -> "str | None":
    """Tell what is missing, or None."""
    if sys.version_info < (3, 11):  # noqa: UP036 - older ones are exactly who reads this
        found = "{}.{}".format(*sys.version_info)
        return f"Python >= 3.11 is needed, {sys.executable} is {found}; name another one: make PYTHON=python3.12"
    try:
        import ensurepip  # noqa: F401 - is it there
        import venv  # noqa: F401 - is it there
    except ImportError as missing:
        return f"{sys.executable} has no module {missing.name}: install it, e.g. `apt install python3-venv`"
    return None


if __name__ == "__main__":
    reason = obstacle()
    sys.exit(reason and f"lowtide: {reason}")
