"""A library of somebody else's, which means well."""

import gc


def close_session() -> None:
    """Let go of a session, and of what it may have left."""
    gc.collect()
