"""A profile's file is whole or absent."""

import gzip
import io
import os
import threading
from pathlib import Path

import pytest

from lowtide.heap.files import compress, replacing


def test_what_is_compressed_is_gzip_without_a_time() -> None:
    message = os.urandom(200_000)
    file = io.BytesIO()
    compress(io.BytesIO(message), file)

    assert gzip.decompress(file.getvalue()) == message
    assert file.getvalue()[4:8] == bytes(4)


def test_the_new_content_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "heap.pb.gz"
    path.write_bytes(b"old")

    with replacing(str(path)) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"

    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "heap.pb.gz"
    path.write_bytes(b"old")

    with pytest.raises(TypeError), replacing(str(path)) as file:
        file.writelines([b"half", None])  # type: ignore[list-item] # it has to fail

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(str(tmp_path / "gone" / "heap.pb.gz")):
        pass


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "latest.pb.gz").symlink_to(tmp_path / "heap.pb.gz")
    with replacing(str(tmp_path / "latest.pb.gz")) as file:
        file.write(b"new")

    assert (tmp_path / "latest.pb.gz").is_symlink()
    assert (tmp_path / "heap.pb.gz").read_bytes() == b"new"


def test_a_named_pipe_is_written_to_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    with replacing(str(pipe)) as file:
        file.write(b"new")
    reader.join()

    assert received == [b"new"]
    assert pipe.is_fifo()


def test_a_long_name_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    with replacing(str(path)) as file:
        file.write(b"new")

    assert path.read_bytes() == b"new"
