"""A block that must fail for a transaction is refused for that transaction, also when its header leaves the transaction out."""

import json
from typing import Any

import pytest
from tests.conformance.archive import Archive
from tests.conformance.suites.blocks import TRANSACTIONS_ROOT_AT, judge_chain
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
