"""The engine in the image asks for no library that images of Python need not have."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import metanode._engine
from sdk.testnet.deployment.image.wheel import ENGINE, make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC: Final = b"\x7fELF\x02\x01"
"""Of 64 bits, least significant byte first: every Linux that the wheel is for."""
DYNAMIC, LOAD = 2, 1
"""Types of segments: what the loader reads, what it maps."""
END, NEEDED, STRINGS = 0, 1, 5
"""Entries of the former: the last, a library by its name's place, the place of all names."""
LIBC: Final = {
    "libc.so.6", "libm.so.6", "libgcc_s.so.1", "libpthread.so.0", "libdl.so.2", "librt.so.1",
    "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1",
}  # fmt: skip
"""What every glibc system has: the list of manylinux, as far as Rust needs it."""


def needed_libraries(content: bytes) -> set[str]:
    assert content.startswith(MAGIC)
    segments = list(_segments(content))
    entries = [
        entry for kind, start, _, size in segments if kind == DYNAMIC for entry in _entries(content, start, size)
    ]  # fmt: skip
    names = next(value for tag, value in entries if tag == STRINGS)
    start = next(
        names - address + offset
        for kind, offset, address, size in segments
        if kind == LOAD and address <= names < address + size
    )
    places = [start + value for tag, value in entries if tag == NEEDED]
    return {content[place : content.index(b"\0", place)].decode() for place in places}


def _segments(content: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Type, offset in the file, address in memory and size in the file of each."""
    (table,) = struct.unpack_from("<Q", content, 0x20)
    width, count = struct.unpack_from("<HH", content, 0x36)
    for number in range(count):
        kind, _, offset, address, _, size = struct.unpack_from("<IIQQQQ", content, table + number * width)
        yield kind, offset, address, size


def _entries(content: bytes, start: int, size: int) -> Iterator[tuple[int, int]]:
    for place in range(start, start + size, 16):
        tag, value = struct.unpack_from("<QQ", content, place)
        if tag == END:
            return
        yield tag, value


@pytest.fixture(scope="module")
def engine() -> bytes:
    """The engine that tests run on."""
    return Path(metanode._engine.__file__).read_bytes()


def test_the_engine_is_not_linked_to_this_machines_python(engine: bytes) -> None:
    """Linked by cargo alone it asks for libpython, and an image of Debian's Python has none: build it by maturin (`make setup`)."""
    assert needed_libraries(engine) <= LIBC


def test_the_image_gets_this_very_engine(engine: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(make_wheel())) as wheel:
        assert wheel.read(f"metanode/{ENGINE}") == engine


def test_a_library_of_python_would_be_seen(engine: bytes) -> None:
    """The same engine, one name of it replaced by another of the same length."""
    linked = engine.replace(b"\0libgcc_s.so.1\0", b"\0libpython3.so\0")

    assert needed_libraries(linked) - needed_libraries(engine) == {"libpython3.so"}
