"""Digests are EIP-712's, as an independent implementation computes them, and none is another's."""

from typing import Any

import pytest
from eth_account.messages import _hash_eip191_message, encode_typed_data

from metanode.chain.signing import SigningDomain, recover_signer
from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidSignature
from metanode.primitives.types import Hash32, Height, Round

DOMAIN = SigningDomain(chain_id=1337, genesis_hash=keccak256(b"genesis"))
AT: dict[str, Any] = {"height": Height(5), "round": Round(3), "block_hash": keccak256(b"block")}
VOTE_FIELDS = [("height", "uint64"), ("round", "uint64"), ("blockHash", "bytes32")]


def typed(name: str, fields: list[tuple[str, str]], message: dict[str, Any]) -> bytes:
    domain = {"name": "Metanode IBFT", "version": "1", "chainId": 1337, "salt": DOMAIN.genesis_hash}
    types = {name: [{"name": field, "type": kind} for field, kind in fields]}
    return _hash_eip191_message(encode_typed_data(domain, types, message))


@pytest.mark.parametrize("name", ["Proposal", "Prepare", "Commit"])
def test_votes_are_eip_712_structs(name: str) -> None:
    message = {"height": 5, "round": 3, "blockHash": AT["block_hash"]}
    assert getattr(DOMAIN, name.lower())(**AT) == typed(name, VOTE_FIELDS, message)


def test_round_changes_are_eip_712_structs() -> None:
    fields = [
        ("height", "uint64"),
        ("round", "uint64"),
        ("preparedRound", "uint64"),
        ("preparedHash", "bytes32"),
    ]
    message = {"height": 5, "round": 3, "preparedRound": 2, "preparedHash": AT["block_hash"]}
    digest = DOMAIN.round_change(height=Height(5), round=Round(3), prepared=(Round(2), AT["block_hash"]))
    assert digest == typed("RoundChange", fields, message)
    empty = {"height": 5, "round": 3, "preparedRound": 0, "preparedHash": bytes(32)}
    assert DOMAIN.round_change(height=Height(5), round=Round(3), prepared=None) == typed(
        "RoundChange", fields, empty
    )


def test_no_two_messages_networks_heights_or_rounds_share_a_digest() -> None:
    other = keccak256(b"other")
    digests = [
        DOMAIN.proposal(**AT),
        DOMAIN.prepare(**AT),
        DOMAIN.commit(**AT),
        DOMAIN.commit(**(AT | {"height": 6})),
        DOMAIN.commit(**(AT | {"round": 4})),
        DOMAIN.commit(**(AT | {"block_hash": other})),
        DOMAIN.round_change(height=Height(5), round=Round(3), prepared=None),
        DOMAIN.round_change(height=Height(5), round=Round(3), prepared=(Round(0), AT["block_hash"])),
        SigningDomain(chain_id=1338, genesis_hash=DOMAIN.genesis_hash).commit(**AT),
        SigningDomain(chain_id=1337, genesis_hash=other).commit(**AT),
    ]
    assert len(set(digests)) == len(digests)


def test_the_signer_is_recovered_and_garbage_is_not_remembered_as_somebody() -> None:
    key = PrivateKey(b"\1" * 32)
    digest = DOMAIN.commit(**AT)
    signature = key.sign(digest)
    for _ in range(2):
        assert recover_signer(digest, signature) == key.address
        with pytest.raises(InvalidSignature):
            recover_signer(digest, bytes(65))
    assert recover_signer(Hash32(keccak256(b"else")), signature) != key.address
