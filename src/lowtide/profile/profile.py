"""`Profile`: the data and what one does with it."""

import os
from typing import BinaryIO

from lowtide.errors import ProfileFormatError
from lowtide.profile import files, ops
from lowtide.profile.formats import pprof
from lowtide.profile.model import ProfileData, Row


class Profile(ProfileData):
    """A profile in pprof's terms: samples of stacks, one value for each sample type. Immutable.

    *Threads:* safe to share.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        # Of a service it would be megabytes, in a debugger or in the report of a failed test.
        columns, count = ", ".join(kind.type for kind in self.sample_types), len(self.samples)
        return f"<Profile of {columns or 'nothing'}: {count:,} sample{'s' * (count != 1)}>"

    @classmethod
    def read(cls, file: str | os.PathLike[str] | BinaryIO, *, max_bytes: int = pprof.MAX_BYTES) -> "Profile":
        """Read a pprof file, gzipped or not: lowtide's, Go's or another tool's.

        Args:
            file: a path or a binary file.
            max_bytes: size beyond which it is refused, in the file and inflated, bytes.

        Raises: ProfileFormatError where it is malformed or too large; OSError where it cannot be read.
        *Cost:* ten to forty times the inflated size in memory; a second for one or two million frames.
        """
        data = files.read_bytes(file, max_bytes)
        try:
            return pprof.decode(data, cls, max_bytes)
        except ProfileFormatError as error:
            name = file if isinstance(file, (str, os.PathLike)) else getattr(file, "name", "profile")
            raise ProfileFormatError(f"{name}: {error}") from None

    def write(self, file: str | os.PathLike[str] | BinaryIO) -> None:
        """Write a gzipped pprof file; equal profiles give equal bytes.

        Args:
            file: a path, which is replaced in one step and left alone on failure, or a binary file.

        Raises: OSError where it cannot be written; ProfileFormatError where a value does not fit the format.
        """
        files.write_bytes(file, pprof.encode(self))

    def top(self, n: int = 10, sample_type: str | None = "inuse_space", by: ops.By = "line") -> list[Row]:
        """Rank places in the code by what they themselves account for, largest first.

        Args:
            n: rows at most, >= 1.
            sample_type: the column; None for the profile's own default.
            by: what a place is: a `line`, a `function` or a `file`.

        Returns: rows by falling `flat`; a row that only called others has `flat` 0.
        Raises: SettingsError for an unknown sample type (those known are listed) or another argument out of range.
        """
        return ops.top(self, n, sample_type, by)

    def total(self, sample_type: str | None = "inuse_space") -> int:
        """Add up a column: what the percentages of `top` relate to. In a difference, shrinking counts as growth does.

        Raises: SettingsError for an unknown sample type.
        """
        return ops.total(self, sample_type)

    def focus(self, regex: str) -> "Profile":
        """Keep the samples with at least one frame whose function or file name matches.

        Raises: SettingsError for a malformed regular expression.
        """
        return ops.focus(self, regex)

    def ignore(self, regex: str) -> "Profile":
        """Drop the samples with at least one frame whose function or file name matches.

        Raises: SettingsError for a malformed regular expression.
        """
        return ops.ignore(self, regex)
