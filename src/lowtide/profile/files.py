"""Bounded reads and atomic writes: all that `profile` has to do with a file system."""

import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from lowtide.errors import SettingsError

_CHUNK_BYTES = 1 << 20


def read_bytes(file: str | os.PathLike[str] | BinaryIO, max_bytes: int) -> bytes:
    """Read a file; stop soon after `max_bytes`, however long it is.

    Raises: OSError where the file cannot be read.
    """
    if isinstance(file, (str, os.PathLike)):
        with Path(file).open("rb") as stream:
            return read_bytes(stream, max_bytes)
    chunks, size = [], 0
    while size <= max_bytes and (chunk := file.read(_CHUNK_BYTES)):
        if not isinstance(chunk, bytes):
            raise SettingsError(f"expected a file opened in binary mode, got {type(chunk).__name__} from {file!r}")
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)


def write_bytes(file: str | os.PathLike[str] | BinaryIO, data: bytes) -> None:
    """Write a file in one step: a reader sees the old content or the new, and a failure leaves nothing behind.

    Raises: OSError where the file cannot be written.
    """
    if not isinstance(file, (str, os.PathLike)):
        file.write(data)
        return
    path = Path(file)
    if path.exists() and not path.is_file():
        # /dev/stdout or a named pipe: there is nothing to replace.
        with path.open("wb") as stream:
            stream.write(data)
        return
    path = path.resolve()
    temporary = path.with_name(f".{path.name[:200]}.{token_hex(4)}.tmp")
    try:
        # Not tempfile: its files are private to the user, and a profile has the mode that any new file gets.
        with temporary.open("xb") as stream:
            stream.write(data)
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            error.filename = os.fspath(file)  # nobody asked for the temporary one
        raise
