"""The data directory of a node that is not whole: an import of a snapshot has begun and not ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from metanode.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

IMPORT_MARKER: Final = "IMPORTING"
"""Stands in the directory from before the first file of an import until after the last one."""


def check_no_import(data: Path) -> None:
    """Raise InvalidInput for a directory that an import of a snapshot has left half-filled."""
    if (data / IMPORT_MARKER).exists():
        raise InvalidInput(
            f"{data}: an import of a snapshot was interrupted here; run `metanode snapshot import` again, which begins anew, or remove "
            f"{IMPORT_MARKER}, node.db and engine/ to sync from the first block"
        )
