"""Blockchain tests: each block goes through `validate`, each decided one through `finalize`, as in a node.

The chain has one head and never goes back, so blocks are decided along the path to the head that the test expects; those beside it are
validated on undecided parents, as proposals are.
"""

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.conformance.chains import genesis_of, opened
from tests.conformance.suites.refusals import UNKNOWN_PARENT, codes_of
from tests.conformance.verdicts import Mismatch, Verdict, each, expect_equal

from metanode import _engine
from metanode.chain.trie import ordered_root
from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidEncoding
from metanode.primitives import rlp

UNDECIDED_MAX: Final = 24
"""Blocks that wait for their decision; the engine keeps 32 and forgets the oldest."""

TRANSACTIONS_ROOT_AT: Final = 4
"""The place of the root among the fields of a header."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the engine does not take a block."""

    code: str
    detail: str


def judge(file: Path) -> Iterator[Verdict]:
    """The cases of a file of blockchain tests."""
    return each(json.loads(file.read_bytes()).items(), judge_chain)


def judge_chain(test: Mapping[str, Any]) -> None:
    """Play one chain."""
    blocks = [(bytes.fromhex(block["rlp"][2:]), block.get("expectException")) for block in test["blocks"]]
    head = bytes.fromhex(test["lastblockhash"][2:])
    path = path_to(head, [encoded for encoded, expected in blocks if expected is None])
    with opened(genesis_of(test)) as engine:
        expect_equal(
            "hash of the genesis", engine.head().hash, bytes.fromhex(test["genesisBlockHeader"]["hash"][2:])
        )
        undecided: deque[bytes] = deque()
        accepted = {engine.head().hash}
        for number, (encoded, expected) in enumerate(blocks, 1):
            refusal = validate(engine, encoded)
            if expected is None and refusal is not None:
                raise Mismatch(f"block {number} is valid, and refused as {refusal.code} ({refusal.detail})")
            if expected is None:
                accepted.add(header_of(encoded)[0])
            if expected is not None:
                if refusal is not None and hides_its_transactions(refusal, expected):
                    refusal = validate(engine, with_the_root_of_its_transactions(encoded))
                expect_refusal(f"block {number}", refusal, expected)
                if refusal and refusal.code == UNKNOWN_PARENT and header_of(encoded)[1] in accepted:
                    raise Mismatch(
                        f"block {number} is refused as {UNKNOWN_PARENT}, and its parent was accepted"
                    )
            elif header_of(encoded)[0] in path:
                undecided.append(header_of(encoded)[0])
                if len(undecided) > UNDECIDED_MAX:
                    engine.finalize(undecided.popleft())
        for block_hash in undecided:
            engine.finalize(block_hash)
        # The hash covers every field: the roots of state, receipts and withdrawals, the bloom, the hash of the requests.
        expect_equal("hash of the head", engine.head().hash, head)


def validate(engine: _engine.Engine, encoded: bytes) -> Refusal | None:
    """Check a block as a node does, but that its requests are not beside it, and return why it is refused."""
    try:
        engine.validate(encoded, None)
    except _engine.InvalidBlock as error:
        return Refusal(error.code, error.detail)
    except _engine.NotFound as error:
        return Refusal(UNKNOWN_PARENT, str(error))
    return None


def expect_refusal(what: str, refusal: Refusal | None, expected: str) -> None:
    """Raise Mismatch unless the refusal is for one of the expected reasons, which are written with "|" between them."""
    if refusal is None:
        raise Mismatch(f"{what} is accepted, expected {expected}")
    if refusal.code not in codes_of(expected):
        raise Mismatch(f"{what} is refused as {refusal.code} ({refusal.detail}), expected {expected}")


def hides_its_transactions(refusal: Refusal, expected: str) -> bool:
    """Whether a block that should fail for a transaction failed earlier, for its header's root of them.

    Such blocks were made by putting the invalid transaction into the body of a block without it: two faults, of which geth and we look for
    the root first.
    """
    return (
        refusal.code == "transactions_root"
        and refusal.code not in codes_of(expected)
        and "TransactionException." in expected
    )


def with_the_root_of_its_transactions(encoded: bytes) -> bytes:
    """The same block with a header that names the transactions in it, so that only they are wrong."""
    block = rlp.decode(encoded)
    assert isinstance(block, list)
    header, transactions, *rest = block
    assert isinstance(header, list)
    assert isinstance(transactions, list)
    # A legacy transaction is a list in the block, and the encoding of that list in the trie; the others are strings in both.
    raw = [one if isinstance(one, bytes) else rlp.encode(one) for one in transactions]
    named = [*header[:TRANSACTIONS_ROOT_AT], ordered_root(raw), *header[TRANSACTIONS_ROOT_AT + 1 :]]
    return rlp.encode([named, transactions, *rest])


def path_to(head: bytes, encoded: list[bytes]) -> set[bytes]:
    """The hashes of the blocks from the genesis to the head."""
    parents = dict(header_of(block) for block in encoded)
    path = set()
    while head in parents:
        path.add(head)
        head = parents[head]
    return path


def header_of(encoded: bytes) -> tuple[bytes, bytes]:
    """Hash and parent hash of an encoded block."""
    try:
        _, start, _ = rlp.item_span(encoded, 0, len(encoded))
        _, content, end = rlp.item_span(encoded, start, len(encoded))
        _, parent, parent_end = rlp.item_span(encoded, content, end)
    except InvalidEncoding as error:
        raise Mismatch(f"a block without a header: {error}") from error
    return keccak256(encoded[start:end]), encoded[parent:parent_end]
