"""An archive is unpacked once, whole and checked."""

import hashlib
import io
import json
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.conformance import archive
from tests.conformance.archive import ArchiveAbsent, ArchiveDamaged, open_archive


def packed(path: Path, files: dict[str, bytes], promised: dict[str, bytes] | None = None) -> Path:
    """An archive with a manifest for `promised`, or for what is in it."""
    entries = [
        {"file": name, "cases": 1, "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in (promised or files).items()
    ]
    with tarfile.open(path, "w:xz") as out:
        for name, content in {**files, "MANIFEST.json": json.dumps(entries).encode()}.items():
            member = tarfile.TarInfo(f"dev/{name}")
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    return path


def test_an_archive_is_unpacked_once_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(tmp_path / "vectors.tar.xz", {"a/one.json": b"{}"})
    first = open_archive(path, cache=tmp_path / "cache")
    monkeypatch.setattr(archive, "unpack", None)
    assert open_archive(path, cache=tmp_path / "cache") == first
    assert first.file("a/one.json").read_bytes() == b"{}"
    assert [file.cases for file in first.files] == [1]


def test_another_archive_at_the_same_place_is_another_directory(tmp_path: Path) -> None:
    path = tmp_path / "vectors.tar.xz"
    before = open_archive(packed(path, {"one.json": b"{}"}), cache=tmp_path / "cache")
    after = open_archive(packed(path, {"one.json": b"[]"}), cache=tmp_path / "cache")
    assert (before.file("one.json").read_bytes(), after.file("one.json").read_bytes()) == (b"{}", b"[]")


def test_many_that_unpack_at_the_same_time_get_the_same_whole_directory(tmp_path: Path) -> None:
    path = packed(tmp_path / "vectors.tar.xz", {f"{n}.json": bytes(1000) for n in range(50)})
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: open_archive(path, cache=tmp_path / "cache"), range(16)))
    assert len(set(found)) == 1
    archive.validate_files(found[0])
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == [found[0].directory.parent.name]


def test_a_file_that_is_not_the_promised_one_is_refused_by_name(tmp_path: Path) -> None:
    path = packed(tmp_path / "vectors.tar.xz", {"one.json": b"{}"}, promised={"one.json": b"[]"})
    with pytest.raises(ArchiveDamaged, match=r"one\.json: its digest"):
        open_archive(path, cache=tmp_path / "cache")
    absent = packed(tmp_path / "absent.tar.xz", {"one.json": b"{}"}, promised={"two.json": b"[]"})
    with pytest.raises(ArchiveDamaged, match=r"two\.json: in the manifest"):
        open_archive(absent, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_unpacked_directory_is_used_where_it_lies(tmp_path: Path) -> None:
    unpacked = open_archive(packed(tmp_path / "v.tar.xz", {"one.json": b"{}"}), cache=tmp_path / "cache")
    assert open_archive(unpacked.directory) == unpacked
    assert open_archive(unpacked.directory.parent) == unpacked


def test_what_is_not_there_says_where_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(ArchiveAbsent, match="METANODE_VECTORS"):
        open_archive(tmp_path / "absent.tar.xz")
    with pytest.raises(ArchiveAbsent, match=r"MANIFEST\.json"):
        open_archive(tmp_path)
