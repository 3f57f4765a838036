"""The libraries that write to files write to a Buffer, and read back what they wrote."""

import csv
import gzip
import io
import json
import logging
import pickle
import shutil
import socket
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Literal

import pytest

from lowtide import Buffer

DOCUMENT = {"name": "größe", "values": list(range(300)), "text": "€" * 100}


def test_pickle() -> None:
    buffer = Buffer()
    pickle.dump(DOCUMENT, buffer)
    pickle.dump([1], buffer)
    buffer.seek(0)

    assert pickle.load(buffer) == DOCUMENT
    assert pickle.load(buffer) == [1]


@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_json_through_the_text_face(ensure_ascii: bool) -> None:
    buffer = Buffer()
    json.dump(DOCUMENT, buffer.text, ensure_ascii=ensure_ascii)

    assert buffer.getvalue() == json.dumps(DOCUMENT, ensure_ascii=ensure_ascii).encode()
    buffer.seek(0)
    assert json.load(buffer.text) == DOCUMENT
    assert json.loads(buffer.getvalue()) == DOCUMENT


def test_csv_through_the_text_face() -> None:
    rows = [["a", "grün"], ["one\nline", 'quo"te'], ["", "€"]]
    buffer = Buffer()
    csv.writer(buffer.text).writerows(rows)
    buffer.seek(0)

    assert list(csv.reader(buffer.text)) == rows


def test_print_and_logging_through_the_text_face() -> None:
    buffer = Buffer()
    print("größe", 1, file=buffer.text, flush=True)
    handler = logging.StreamHandler(buffer.text)
    handler.emit(logging.LogRecord("x", logging.INFO, "x.py", 1, "a %s", ("record",), None))

    assert buffer.getvalue().decode() == "größe 1\na record\n"


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zipfile(compression: int) -> None:
    buffer = Buffer()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("a.txt", "one" * 1000)
        with archive.open("b.txt", "w") as member:
            member.write(b"two")
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("c.txt", "three")
    with zipfile.ZipFile(buffer) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a.txt", "b.txt", "c.txt"]
        assert archive.read("a.txt") == b"one" * 1000


def test_gzip() -> None:
    buffer = Buffer()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as file:
        file.write(b"line\n" * 1000)
    buffer.seek(0)

    assert gzip.decompress(buffer.view()) == b"line\n" * 1000
    with gzip.open(buffer) as file:
        assert len(file.readlines()) == 1000


@pytest.mark.parametrize("mode", ["w", "w:gz", "w|"])
def test_tarfile(mode: Literal["w", "w:gz", "w|"]) -> None:
    buffer = Buffer()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        member = tarfile.TarInfo("a.bin")
        member.size = 1000
        archive.addfile(member, io.BytesIO(bytes(1000)))
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as archive:
        extracted = archive.extractfile("a.bin")

        assert extracted is not None
        assert extracted.read() == bytes(1000)


def test_copyfileobj_both_ways(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"0123456789" * 50_000)
    buffer = Buffer()
    with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("wb") as target:
        shutil.copyfileobj(source, buffer)
        buffer.seek(0)
        shutil.copyfileobj(buffer, target)

    assert (tmp_path / "target").read_bytes() == (tmp_path / "source").read_bytes()


def test_a_file_reads_into_the_reserve_and_writes_from_the_buffer(tmp_path: Path) -> None:
    buffer = Buffer()
    (tmp_path / "source").write_bytes(b"content")
    with (tmp_path / "source").open("rb", buffering=0) as source:
        buffer.advance(source.readinto(buffer.reserve(100)))
    (tmp_path / "target").write_bytes(buffer)

    assert (tmp_path / "target").read_bytes() == buffer.getvalue() == b"content"


def test_sockets_send_the_buffer_and_receive_into_its_reserve() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        request, received = Buffer(), Buffer()
        request.write(b"GET / HTTP/1.1\r\n\r\n" * 100)
        ours.sendall(request)
        ours.shutdown(socket.SHUT_WR)
        while n := theirs.recv_into(received.reserve(256)):
            received.advance(n)

    assert received.getvalue() == request.getvalue()


def test_struct_packs_into_the_reserve() -> None:
    buffer = Buffer()
    buffer.write(b"head")
    with buffer.reserve(8) as view:
        struct.pack_into("<II", view, 0, 1, 2)
    buffer.advance(8)

    assert struct.unpack_from("<4sII", buffer) == (b"head", 1, 2)


def test_text_io_wrapper_reads_and_writes() -> None:
    buffer = Buffer()
    # Its stub asks for a name and a descriptor, which it does without.
    wrapper = io.TextIOWrapper(buffer, encoding="latin-1", newline="\n")  # type: ignore[type-var] # see above
    wrapper.write("größe\nzwei\n")
    wrapper.seek(0)

    assert wrapper.readline() == "größe\n"
    assert wrapper.read() == "zwei\n"
    assert buffer.getvalue() == "größe\nzwei\n".encode("latin-1")
    assert wrapper.detach() is buffer


def test_a_wrapper_that_dies_closes_the_buffer_and_leaves_its_memory() -> None:
    buffer = Buffer(capacity=5000)
    io.TextIOWrapper(buffer, encoding="utf-8").write("unheard")  # type: ignore[type-var] # as above

    assert buffer.closed
    buffer.reset()
    assert buffer.capacity == 5000


def test_a_text_face_that_dies_closes_nothing() -> None:
    buffer = Buffer()
    buffer.text.write("a")
    face = buffer.text
    buffer.text.write("é")

    assert face.buffer is buffer
    assert (face.encoding, face.closed, face.writable(), face.readable()) == ("utf-8", False, True, True)
    assert buffer.getvalue() == "aé".encode()


def test_the_text_face_counts_and_reads_characters() -> None:
    buffer = Buffer()

    assert buffer.text.write("aé€😀\nzwei") == 9
    buffer.seek(0)
    assert buffer.text.read(0) == ""
    assert buffer.text.read(2) == "aé"
    assert buffer.tell() == 3
    assert buffer.text.readline(1) == "€"
    assert buffer.text.readline() == "😀\n"
    assert buffer.text.read() == "zwei"
    assert buffer.text.read() == ""
    buffer.seek(0)
    assert list(buffer.text) == ["aé€😀\n", "zwei"]


def test_text_lines_are_written_from_any_iterable() -> None:
    buffer = Buffer()
    buffer.text.writelines(f"{n}\n" for n in range(3))

    assert buffer.getvalue() == b"0\n1\n2\n"
    buffer.seek(0)
    assert list(buffer) == [b"0\n", b"1\n", b"2\n"]


def test_content_that_is_no_utf_8_raises_and_stays_to_be_read_as_bytes() -> None:
    buffer = Buffer()
    buffer.write(b"ok\xff\xfe")
    buffer.seek(0)
    with pytest.raises(UnicodeDecodeError):
        buffer.text.read()

    assert buffer.read() == b"ok\xff\xfe"
