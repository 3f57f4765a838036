"""`Profile.read` and `Profile.write`: paths and files, whole files or none."""

import io
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lowtide.errors import ProfileFormatError, SettingsError
from lowtide.profile import Profile, Sample
from tests.strategies import HEAP_TYPES, SPACE

PROFILE = Profile(HEAP_TYPES, (Sample((), (1, 48, 1, 48)),), period_type=SPACE, period=1)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_written_and_read(tmp_path: Path, kind: type[str] | type[Path]) -> None:
    path = kind(tmp_path / "heap.pb.gz")
    PROFILE.write(path)

    assert Profile.read(path) == PROFILE


def test_a_binary_file_is_written_and_read() -> None:
    stream = io.BytesIO()
    PROFILE.write(stream)
    stream.seek(0)

    assert Profile.read(stream) == PROFILE


def test_a_path_and_a_file_get_the_same_bytes(tmp_path: Path) -> None:
    stream = io.BytesIO()
    PROFILE.write(stream)
    PROFILE.write(tmp_path / "heap.pb.gz")

    assert (tmp_path / "heap.pb.gz").read_bytes() == stream.getvalue()


def test_a_new_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    PROFILE.write(tmp_path / "heap.pb.gz")
    (tmp_path / "other").touch()

    assert (tmp_path / "heap.pb.gz").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_writing_through_a_link_keeps_the_link(tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to("heap.pb.gz")
    PROFILE.write(tmp_path / "latest")

    assert (tmp_path / "latest").is_symlink()
    assert Profile.read(tmp_path / "heap.pb.gz") == PROFILE


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "heap.pb.gz"
    path.write_bytes(b"old")

    with file_size_limit(20), pytest.raises(OSError, match="File too large"):
        PROFILE.write(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as failure:
        PROFILE.write(tmp_path / "missing" / "heap.pb.gz")
    assert failure.value.filename == str(tmp_path / "missing" / "heap.pb.gz")
    assert str(failure.value) == f"[Errno 2] No such file or directory: '{tmp_path}/missing/heap.pb.gz'"


def test_a_profile_that_does_not_fit_the_format_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "heap.pb.gz"
    path.write_bytes(b"old")

    with pytest.raises(ProfileFormatError):
        Profile(HEAP_TYPES, (Sample((), (1,)),)).write(path)
    assert path.read_bytes() == b"old"


def test_writing_to_a_pipe_replaces_nothing() -> None:
    program = (
        "from lowtide.profile import Profile, ValueType\nProfile((ValueType('samples', 'count'),)).write('/dev/stdout')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert Profile.read(io.BytesIO(done.stdout)).sample_types[0].type == "samples"


def test_an_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a profile")

    with pytest.raises(ProfileFormatError, match=r"notes\.txt: not a pprof profile"):
        Profile.read(path)
    with path.open("rb") as stream, pytest.raises(ProfileFormatError, match=r"notes\.txt: not a pprof profile"):
        Profile.read(stream)


def test_a_missing_file_and_a_folder_are_the_usual_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Profile.read(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        Profile.read(tmp_path)
    with pytest.raises(IsADirectoryError):
        PROFILE.write(tmp_path)
    with pytest.raises(FileNotFoundError):
        PROFILE.write(tmp_path / "missing" / "heap.pb.gz")


def test_an_endless_file_is_refused_at_the_cap() -> None:
    with pytest.raises(ProfileFormatError, match="larger than 3 MiB"):
        Profile.read("/dev/zero", max_bytes=3 * 2**20)


def test_a_text_file_is_refused_with_what_to_do() -> None:
    with pytest.raises(SettingsError, match="expected a file opened in binary mode, got str"):
        Profile.read(io.StringIO("text"))  # type: ignore[arg-type]  # what the test is about


@contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """Let the kernel refuse longer files, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
