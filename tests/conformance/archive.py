"""The archive of official cases: where it is, unpacked once, and what its manifest promises.

It lies beside the project (`../shared/vectors/vectors.tar.xz`); METANODE_VECTORS names another archive or an unpacked directory. An archive is
unpacked below the user's cache under the digest of its bytes, so that every process, and every worktree, uses the same files.
"""

import hashlib
import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests import made_once

ROOT: Final = Path(__file__).resolve().parents[2]
MANIFEST: Final = "MANIFEST.json"
DIGEST_DIGITS: Final = 16
"""Of the SHA-256 in the name of the unpacked directory: enough to tell archives apart."""


class ArchiveAbsent(Exception):
    """There are no official cases where they were looked for; the text says what to do."""


class ArchiveDamaged(Exception):
    """A file is not the one that the manifest names."""


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One file of the archive."""

    path: str
    """Below the archive's root, with forward slashes."""
    cases: int
    """Test cases in it, as the archive counts them; 0 for material such as a genesis or the text of a standard."""
    sha256: str


@dataclass(frozen=True, slots=True)
class Archive:
    """An unpacked archive."""

    directory: Path
    files: tuple[ManifestFile, ...]

    def file(self, path: str) -> Path:
        """Where a file of the manifest lies."""
        return self.directory / path


def vectors_path() -> Path:
    """The archive or directory to use when nobody names one."""
    return Path(os.environ.get("METANODE_VECTORS") or ROOT.parent / "shared" / "vectors" / "vectors.tar.xz")


def cache_directory() -> Path:
    """Where archives are unpacked."""
    return made_once.cache_directory() / "vectors"


def open_archive(path: Path | None = None, *, cache: Path | None = None) -> Archive:
    """Read the manifest of a directory of the archive's layout, or of an archive, unpacked first if need be.

    Raises ArchiveAbsent, and ArchiveDamaged when the manifest is none, or an archive's content is not what it says.
    """
    path = vectors_path() if path is None else path
    if path.is_dir():
        return read_directory(path)
    if not path.is_file():
        raise ArchiveAbsent(
            f"the official vectors are absent: put vectors.tar.xz at {path}, or name it: make test METANODE_VECTORS=FILE"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:DIGEST_DIGITS]
    directory = (cache_directory() if cache is None else cache) / digest
    if not directory.is_dir():
        unpack(path, directory)
    return read_directory(directory)


def read_directory(directory: Path) -> Archive:
    """Find the manifest in a directory, or in the only one inside it."""
    inside = [child for child in sorted(directory.iterdir()) if child.is_dir()]
    for candidate in (directory, *inside):
        if (candidate / MANIFEST).is_file():
            return Archive(candidate, read_manifest(candidate / MANIFEST))
    raise ArchiveAbsent(f"{directory}: expected {MANIFEST} in it: make test METANODE_VECTORS=FILE")


def read_manifest(path: Path) -> tuple[ManifestFile, ...]:
    """The files that a manifest names; raises ArchiveDamaged for one that is none."""
    try:
        entries = json.loads(path.read_bytes())
        return tuple(ManifestFile(entry["file"], entry["cases"], entry["sha256"]) for entry in entries)
    except (ValueError, LookupError, TypeError) as error:
        raise ArchiveDamaged(
            f"{path}: expected a list of objects with file, cases and sha256, found {type(error).__name__}: {error}"
        ) from error


def unpack(archive: Path, directory: Path) -> None:
    """Unpack and check every file; the directory appears whole or not at all, whoever else does the same at the same time."""

    def fill(unfinished: Path) -> None:
        with tarfile.open(archive, "r:xz") as packed:
            packed.extractall(unfinished, filter="data")
        validate_files(read_directory(unfinished))

    made_once.make_once(directory, fill)


def validate_files(archive: Archive) -> None:
    """Compare every file with its digest in the manifest."""
    for file in archive.files:
        path = archive.file(file.path)
        if not path.is_file():
            raise ArchiveDamaged(f"{file.path}: in the manifest, but not in the archive")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != file.sha256:
            raise ArchiveDamaged(f"{file.path}: its digest is {found}, the manifest says {file.sha256}")
