"""What a node that ends says about its disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from metanode.errors import StorageDamaged, StorageFailed
from metanode.node.app import _explained
from metanode.node.config import NodeConfig
from metanode.node.disk_fault import explain_disk_fault

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("x/signer.log: No space left on device", ("is full: ", " free (", "storage.directory", "Make room")),
        ("node.db: database or disk is full; look at the disk", ("is full: ", "Make room")),
        ("close: storage: write of the key-value store: Disk quota exceeded", ("is full: ", "Make room")),
        ("x/signer.log: Read-only file system", ("mounted read-only", "`dmesg`")),
        ("node.db: attempt to write a readonly database", ("mounted read-only", "for writing")),
        ("node.db: disk I/O error", ("does not read or write any more", "copy signer.log")),
        (
            "open: storage: Input/output error (block log)",
            ("does not read or write any more", "copy signer.log"),
        ),
    ],
)
def test_a_disk_that_refuses_is_named_with_its_state_and_the_action(
    tmp_path: Path, said: str, told: tuple[str, ...]
) -> None:
    sentence = str(explain_disk_fault(StorageFailed(said), tmp_path))

    for part in (str(tmp_path), f"({said})", "The node has stopped", *told):
        assert part in sentence


def test_another_failure_and_a_directory_that_is_gone_are_told_as_they_are(tmp_path: Path) -> None:
    permission = StorageFailed("x/signer.log: Permission denied")
    full = StorageFailed("x/signer.log: No space left on device")

    assert explain_disk_fault(permission, tmp_path) is permission
    assert explain_disk_fault(full, tmp_path / "gone") is full


def test_the_program_explains_a_disk_that_fails_and_leaves_damage_to_its_own_words(tmp_path: Path) -> None:
    damaged = StorageDamaged("x/signer.log: the first slot is damaged")

    explained = _explained(StorageFailed("No space left on device"), NodeConfig(), data=tmp_path)

    assert str(tmp_path) in str(explained)
    assert _explained(damaged, NodeConfig(), data=tmp_path) is damaged
