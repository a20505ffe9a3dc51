"""A block that must fail for a transaction is refused for that transaction, also when its header leaves the transaction out."""

import json
import re
from typing import Any

import pytest
from tests.conformance.archive import ROOT, Archive
from tests.conformance.suites.blocks import TRANSACTIONS_ROOT_AT, judge_chain
from tests.conformance.suites.refusals import REFUSALS, UNKNOWN_PARENT
from tests.conformance.verdicts import Mismatch

from metanode.chain.trie import EMPTY_ROOT
from metanode.primitives import rlp

STATE_TESTS = "ethereum-tests/BlockchainTests/InvalidBlocks/bcStateTests"


def only_chain(archive: Archive, name: str) -> dict[str, Any]:
    """The chain of a file with one; the headers of its refused blocks leave a transaction out."""
    content = json.loads(archive.file(f"{STATE_TESTS}/{name}.json").read_bytes())
    ((_, chain),) = content.items()
    found: dict[str, Any] = chain
    return found


@pytest.mark.parametrize(
    ("name", "refused_as"),
    [
        ("NotEnoughCashContractCreation", "transaction_funds"),
        ("callcodeOutput2", "transaction_block_gas"),
        ("createRevert", "transaction_intrinsic_gas"),
        ("transactionFromSelfDestructedContract", "transaction_sender_code"),
    ],
)
def test_a_transaction_that_the_header_leaves_out_is_still_refused_for_its_own_fault(
    archive: Archive, name: str, refused_as: str
) -> None:
    chain = only_chain(archive, name)
    judge_chain(chain)
    for block in chain["blocks"]:
        if "expectException" in block:
            block["expectException"] = "TransactionException.NONCE_IS_MAX"
    with pytest.raises(Mismatch, match=rf"is refused as {refused_as} \("):
        judge_chain(chain)


def test_a_block_that_may_be_refused_for_its_root_is_not_made_right_first(archive: Archive) -> None:
    chain = only_chain(archive, "createRevert")
    for block in chain["blocks"]:
        if "expectException" in block:
            block["expectException"] = (
                "TransactionException.NONCE_IS_MAX|BlockException.INVALID_TRANSACTIONS_ROOT"
            )
    judge_chain(chain)


def test_a_block_with_nothing_wrong_but_its_root_does_not_pass_for_one_with_an_invalid_transaction(
    archive: Archive,
) -> None:
    chain = only_chain(archive, "callcodeOutput2")
    valid = next(block for block in chain["blocks"] if "expectException" not in block)
    header, *body = rlp.decode(bytes.fromhex(valid["rlp"][2:]))
    assert isinstance(header, list)
    header[TRANSACTIONS_ROOT_AT] = EMPTY_ROOT
    wrong = {
        "rlp": "0x" + rlp.encode([header, *body]).hex(),
        "expectException": "TransactionException.INTRINSIC_GAS_TOO_LOW",
    }
    chain.update(blocks=[wrong], lastblockhash=chain["genesisBlockHeader"]["hash"])
    with pytest.raises(Mismatch, match=r"block 1 is accepted, expected TransactionException"):
        judge_chain(chain)


PARENT_AT = 0


def refused_block(archive: Archive, *, parent: bytes | None, reason: str) -> dict[str, Any]:
    """A chain whose only block is refused, with another parent if one is given."""
    chain = only_chain(archive, "callcodeOutput2")
    valid = next(block for block in chain["blocks"] if "expectException" not in block)
    header, *body = rlp.decode(bytes.fromhex(valid["rlp"][2:]))
    assert isinstance(header, list)
    if parent is not None:
        header[PARENT_AT] = parent
    wrong = {"rlp": "0x" + rlp.encode([header, *body]).hex(), "expectException": reason}
    chain.update(blocks=[wrong], lastblockhash=chain["genesisBlockHeader"]["hash"])
    return chain


@pytest.mark.parametrize(
    ("parent", "reason"),
    [(b"\1" * 32, "BlockException.UNKNOWN_PARENT"), (bytes(32), "BlockException.UNKNOWN_PARENT_ZERO")],
    ids=["unknown", "zero"],
)
def test_a_block_on_a_parent_that_nobody_has_is_refused_for_it_and_for_nothing_else(
    archive: Archive, parent: bytes, reason: str
) -> None:
    judge_chain(refused_block(archive, parent=parent, reason=reason))
    with pytest.raises(Mismatch, match=r"block 1 is refused as unknown_parent \("):
        judge_chain(refused_block(archive, parent=parent, reason="BlockException.INVALID_STATE_ROOT"))
    with pytest.raises(Mismatch, match=rf"block 1 is accepted, expected {reason}"):
        judge_chain(refused_block(archive, parent=None, reason=reason))


def test_each_reason_of_the_archive_has_a_code_and_each_code_is_one_of_the_engine(archive: Archive) -> None:
    sources = "".join(path.read_text() for path in (ROOT / "rust" / "engine" / "src").glob("*.rs"))
    told = {code for codes in REFUSALS.values() for code in codes} - {UNKNOWN_PARENT}
    assert {code for code in told if f'"{code}"' not in sources} == set()
    blocks = [
        file for file in archive.files if "/BlockchainTests/" in file.path or file.path.startswith("eest/")
    ]
    named = {
        name
        for file in blocks
        for name in re.findall(r"(?:Block|Transaction)Exception\.\w+", archive.file(file.path).read_text())
    }
    assert len(named) > 15
    assert named - set(REFUSALS) == set()
