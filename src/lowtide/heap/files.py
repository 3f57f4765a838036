"""Whole files or none: what a reader finds under a profile's name is always complete.

`profile.files` does the same for profiles in memory; its imports would be felt in the program that is watched.
"""

import os
import zlib
from _thread import get_native_id
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

CHUNK_BYTES = 64 * 1024
GZIP_HEADER = 16  # added to zlib's window bits; the header then carries no time, so equal profiles are equal bytes


def compress(message: BinaryIO, file: BinaryIO) -> None:
    """Copy `message` to `file`, gzipped.

    *Threads:* the GIL is free. *Cost:* about 10 ms for 1 MiB (level 1, as Go does).
    """
    gzip = zlib.compressobj(level=1, wbits=zlib.MAX_WBITS + GZIP_HEADER)
    while chunk := message.read(CHUNK_BYTES):
        file.write(gzip.compress(chunk))
    file.write(gzip.flush())


@contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """Give a file to write that takes the place of `path` when the block ends; on failure the old one stands.

    Raises: OSError.
    """
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        # /dev/stdout, a named pipe: nothing to replace.
        with open(path, "wb") as file:
            yield file
        return
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name[:200]}.{os.getpid()}.{get_native_id()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
