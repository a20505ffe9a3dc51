"""The sentences that remedies are known for are those that the node's storage really says."""

from __future__ import annotations

import os
from errno import ENOSPC
from typing import TYPE_CHECKING

import pytest
from tests.unit.storage.conftest import KEYS, make_network

from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidGenesis, StorageDamaged
from metanode.storage.node_store import NodeStore
from metanode.storage.signer import FileSigner
from sdk.testnet.diagnosis.remedies import remedy

if TYPE_CHECKING:
    from pathlib import Path

GENESIS_BACK = "cp /net/genesis.json /net/nodes/validator-1/genesis.json"


def told(words: object) -> str | None:
    return remedy(f"error: {words}", home="/net/nodes/validator-1", network="/net")


def test_another_genesis_file_is_put_back(tmp_path: Path) -> None:
    ours, other = make_network(), make_network(chain_id=1338)
    NodeStore.open(tmp_path / "node.db", ours).close()
    with pytest.raises(InvalidGenesis) as refused:
        NodeStore.open(tmp_path / "node.db", other)
    assert GENESIS_BACK in (told(refused.value) or "")
    path = tmp_path / "signer.log"
    FileSigner.open(path, KEYS[0], genesis_hash=ours.hash, lock_folder=tmp_path).close()
    with pytest.raises(StorageDamaged) as refused_too:
        FileSigner.open(path, KEYS[0], genesis_hash=keccak256(b"other"), lock_folder=tmp_path)
    assert GENESIS_BACK in (told(refused_too.value) or "")


def test_another_keystore_is_put_back(tmp_path: Path) -> None:
    path, genesis_hash = tmp_path / "signer.log", make_network().hash
    FileSigner.open(path, KEYS[0], genesis_hash=genesis_hash, lock_folder=tmp_path).close()
    with pytest.raises(StorageDamaged) as refused:
        FileSigner.open(path, KEYS[1], genesis_hash=genesis_hash, lock_folder=tmp_path)
    assert "validator.json and validator.password in /net/nodes/validator-1" in (told(refused.value) or "")
    assert KEYS[0].address.hex() in str(refused.value).partition(",")[0], (
        "the key named first is the right one"
    )


def test_a_full_disk_needs_room() -> None:
    assert told(os.strerror(ENOSPC)) == "make room on the disk of /net/nodes/validator-1"


def test_for_other_words_nothing_is_made_up() -> None:
    assert told("engine/ is damaged") is None
