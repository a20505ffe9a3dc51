"""A certificate is shown as valid only when the chain's own verifier says so."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest

from metanode.chain.quorum import QuorumRule
from metanode.chain.signing import SigningDomain
from metanode.crypto.secp256k1 import PrivateKey
from metanode.primitives.types import Hash32, Height, Round
from sdk.testnet.services.explorer.certificates import ChainRule, view_certificate
from sdk.testnet.services.queries.consensus import BlockConsensus, SealRow
from sdk.testnet.services.queries.parties import Party

KEYS = sorted((PrivateKey(bytes([n]) * 32) for n in range(1, 5)), key=lambda key: key.address)
DOMAIN = SigningDomain(chain_id=1337, genesis_hash=Hash32(b"\x07" * 32))
RULE = ChainRule(domain=DOMAIN, rule=QuorumRule.AUTHORITY)
BLOCK = SimpleNamespace(number=9, round=1, consensus_hash=b"\x09" * 32)
MEMBERS = tuple(Party(address=key.address, is_contract=False, name=None) for key in KEYS)


def seal(key: PrivateKey, of: Party | None = None, *, round: int = 1) -> SealRow:
    digest = DOMAIN.commit(height=Height(9), round=Round(round), block_hash=Hash32(b"\x09" * 32))
    party = of or Party(address=key.address, is_contract=False, name=None)
    return SealRow(validator=party, signature=key.sign(digest), is_valid=True)


def view(*seals: SealRow, rule: ChainRule | None = RULE, block=BLOCK, members=MEMBERS):
    consensus = BlockConsensus(seals=seals, skips=(), vote=None, set_changes=())
    return view_certificate(block, consensus, members, rule)


def test_three_of_four_seals_prove_a_block_and_the_fourth_is_not_blamed() -> None:
    found = view(*(seal(key) for key in KEYS[:3]))

    assert (found.verdict, found.quorum, found.sealed_count) == ("valid", 3, 3)
    assert [one.is_valid for one in found.seals] == [True, True, True, None]
    assert (
        found.sentence == "3 of 4 validators sealed this block, 3 decide; every seal was verified just now."
    )


@pytest.mark.parametrize(
    "seals",
    [
        [seal(key) for key in KEYS[:2]],
        [*(seal(key) for key in KEYS[:3]), seal(KEYS[0], MEMBERS[3])],
        [seal(key, round=0) for key in KEYS[:3]],
        [*(seal(key) for key in KEYS[:2]), seal(PrivateKey(b"\x55" * 32))],
        [*(seal(key) for key in KEYS[:2]), dataclasses.replace(seal(KEYS[2]), signature=bytes(65))],
    ],
    ids=["below the quorum", "of somebody else", "of another round", "of a stranger", "no signature"],
)
def test_what_does_not_prove_the_block_is_called_invalid(seals) -> None:
    found = view(*seals)

    assert found.verdict == "invalid"
    assert found.sentence


def test_without_the_chain_s_rule_nothing_is_claimed() -> None:
    found = view(*(seal(key) for key in KEYS), rule=None)

    assert found.verdict == "unverified"
    assert all(one.is_valid is None for one in found.seals)


def test_by_stake_seals_are_verified_and_the_quorum_is_left_open() -> None:
    found = view(seal(KEYS[0]), rule=ChainRule(domain=DOMAIN, rule=None))

    assert (found.verdict, found.quorum) == ("valid", None)
    assert "not computed here" in found.sentence


def test_the_first_block_has_none() -> None:
    assert view(block=SimpleNamespace(number=0, round=None, consensus_hash=None)).verdict == "none"
