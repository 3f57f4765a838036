"""What a Buffer is: an io.BytesIO, and a few methods that io.BytesIO does not have."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import ReadableBuffer


class BufferModel(io.BytesIO):
    """Count what may be advanced over; all the rest is the standard library's own."""

    reserved = 0

    def write(self, data: "ReadableBuffer", /) -> int:
        written = super().write(data)
        self.reserved = 0 if written else self.reserved
        return written

    def write_str(self, text: str) -> int:
        return self.write(text.encode())

    def writelines(self, lines: "Iterable[ReadableBuffer]", /) -> None:
        super().writelines([])  # closed?
        for line in lines:
            self.write(line)

    def view(self) -> memoryview:
        return self.getbuffer()

    def reserve(self, n: int) -> None:
        self.write(b"")  # raises what a write would
        self.reserved = n

    def advance(self, data: bytes) -> None:
        """Append what was written into the reserve."""
        if len(data) > self.reserved:
            raise ValueError(f"only {self.reserved} bytes are reserved")
        self.seek(0, io.SEEK_END)
        self.reserved -= len(data)
        left = self.reserved
        self.write(data)
        self.reserved = left

    def truncate(self, size: int | None = None, /) -> int:
        if (self.tell() if size is None else size) < len(self.getvalue()):
            self.reserved = 0
        return super().truncate(size)

    def __len__(self) -> int:
        return len(self.getvalue())
