"""One encoding for headers and blocks; a block is whole or it does not exist; validation names the rule."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.chain.block import Block
from metanode.chain.execution_header import Withdrawal
from metanode.chain.header import EMPTY_EVIDENCE_ROOT, ConsensusHeader
from metanode.chain.proposal import validate_block
from metanode.chain.voting import Vote
from metanode.errors import InvalidBlock, InvalidCertificate, InvalidEncoding, InvalidInput
from metanode.primitives import rlp
from metanode.primitives.types import ZERO_HASH, Address, Hash32, Height, Round

number = st.integers(0, 2**64 - 1)
hash_ = st.binary(min_size=32, max_size=32).map(Hash32)
address = st.binary(min_size=20, max_size=20).map(Address)
headers = st.builds(
    ConsensusHeader,
    version=number,
    chain_tag=hash_,
    height=number.map(Height),
    parent_hash=hash_,
    execution_hash=hash_,
    requests_hash=hash_,
    timestamp=number,
    proposer=address,
    proposal_round=number.map(Round),
    validators_hash=hash_,
    next_validators_hash=hash_,
    consensus_state_root=hash_,
    parent_certificate_hash=hash_,
    vote=st.none() | st.builds(Vote, subject=address, add=st.booleans()),
    evidence_root=hash_,
)


@given(headers)
def test_headers_decode_to_themselves(header: ConsensusHeader) -> None:
    again = ConsensusHeader.decode(header.encode())
    assert (again, again.hash) == (header, header.hash)


@given(headers, headers)
def test_different_headers_have_different_hashes(one: ConsensusHeader, other: ConsensusHeader) -> None:
    assert (one == other) == (one.hash == other.hash)


def test_the_fields_are_those_of_the_protocol_in_its_order() -> None:
    fields = list(ConsensusHeader.__dataclass_fields__)
    assert fields == [
        "version", "chain_tag", "height", "parent_hash", "execution_hash", "requests_hash", "timestamp", "proposer",
        "proposal_round", "validators_hash", "next_validators_hash", "consensus_state_root", "parent_certificate_hash",
        "vote", "evidence_root", "hash",
    ]  # fmt: skip


@pytest.fixture
def grown(chain: Any) -> Any:
    chain.grow(3)
    return chain


def test_a_block_decodes_to_itself_and_from_nothing_shorter_or_longer(grown: Any) -> None:
    block = grown.propose(
        requests=(b"\1withdraw", b"\2merge"), vote=Vote(subject=grown.strangers[0], add=True)
    )
    data = block.encode()
    assert Block.decode(data) == block
    assert Block.decode(data).encode() == data
    for length in range(len(data)):
        with pytest.raises(InvalidInput):
            Block.decode(data[:length])
    with pytest.raises(InvalidEncoding, match="after the end"):
        Block.decode(data + b"\x80")


def test_no_changed_byte_keeps_the_hash(grown: Any) -> None:
    block = grown.propose(requests=(b"\1withdraw",))
    data = block.encode()
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 0x10
        try:
            assert Block.decode(bytes(changed)).hash != block.hash
        except InvalidInput:
            continue


def test_a_body_of_another_block_does_not_go_with_the_header(grown: Any) -> None:
    one, other = grown.propose(), grown.propose(base_fee_per_gas=8, requests=(b"\1x",))
    for changes, message in (
        ({"execution_rlp": other.execution_rlp}, "execution_hash"),
        ({"requests": (b"\1x",)}, "requests_hash"),
        ({"parent_certificate": None}, "parent_certificate_hash"),
        ({"parent_certificate": replace(one.parent_certificate, round=Round(1))}, "parent_certificate_hash"),
    ):
        with pytest.raises(InvalidBlock, match=message):
            replace(one, **changes)


def test_a_foreign_header_is_refused_before_its_body(grown: Any) -> None:
    one, other = grown.propose(), grown.propose(base_fee_per_gas=8)
    assert Block.decode(one.encode(), expected=one.hash) == one
    with pytest.raises(
        InvalidBlock, match=f"expected the hash 0x{other.hash.hex()}, found 0x{one.hash.hex()}"
    ):
        Block.decode(one.encode(), expected=other.hash)


def test_a_block_without_its_certificate_encodes_as_an_empty_list(chain: Any) -> None:
    block = chain.propose()
    assert block.parent_certificate is None
    assert Block.decode(block.encode()) == block


def test_oversized_bytes_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(InvalidEncoding, match="expected at most"):
        Block.decode(bytes(12_000_000))


def changed_header(block: Block, **changes: Any) -> Block:
    return replace(block, header=replace(block.header, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, r"header\.version: expected 1, found 2"),
        ({"chain_tag": ZERO_HASH}, r"header\.chain_tag"),
        ({"height": Height(9)}, r"header\.height: expected 4, found 9"),
        ({"parent_hash": ZERO_HASH}, r"header\.parent_hash"),
        ({"validators_hash": ZERO_HASH}, r"header\.validators_hash"),
        ({"next_validators_hash": ZERO_HASH}, r"header\.next_validators_hash"),
        ({"consensus_state_root": ZERO_HASH}, r"header\.consensus_state_root"),
        ({"evidence_root": ZERO_HASH}, r"header\.evidence_root"),
        ({"proposer": Address(b"\1" * 20)}, r"header\.proposer"),
        ({"proposal_round": Round(1)}, r"header\.proposer"),
        ({"timestamp": 1}, r"header\.timestamp: expected more than"),
        ({"vote": Vote(subject=Address(b"\1" * 20), add=False)}, "is no validator"),
    ],
)
def test_each_header_rule_is_named(grown: Any, changes: dict[str, Any], message: str) -> None:
    block = changed_header(grown.propose(), **changes)
    with pytest.raises(InvalidBlock, match=message):
        validate_block(block, state=grown.state, parent=grown.parent, rules=grown.rules)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parent_hash": ZERO_HASH}, "parent hash"),
        ({"number": 5}, "number 4, found 5"),
        ({"mix_hash": ZERO_HASH}, "prevRandao"),
        ({"parent_beacon_block_root": ZERO_HASH}, "parentBeaconBlockRoot"),
        ({"gas_limit": 59_999_999}, "gas limit 60000000, found 59999999"),
        ({"difficulty": 1}, "difficulty"),
        ({"nonce": b"\1" * 8}, "nonce"),
        ({"withdrawals": ()}, "withdrawals"),
        (
            {
                "withdrawals": (
                    Withdrawal(index=2, validator_index=2, address=Address(b"\1" * 20), amount_gwei=1),
                )
            },
            "withdrawals",
        ),
    ],
)
def test_each_execution_rule_is_named(grown: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidBlock, match=f"execution block: expected {message}"):
        grown.decide(grown.propose(**changes))


def test_the_times_of_both_headers_are_one(grown: Any) -> None:
    block = changed_header(grown.propose(), timestamp=grown.parent.timestamp + 4)
    with pytest.raises(InvalidBlock, match="execution block: expected timestamp"):
        validate_block(block, state=grown.state, parent=grown.parent, rules=grown.rules)


def test_the_fee_recipient_is_the_proposers_choice(grown: Any) -> None:
    grown.decide(grown.propose(beneficiary=Address(b"\x77" * 20)))
    assert grown.state.withdrawals()[0].address == b"\x77" * 20


def test_round_0_may_not_hurry_and_later_rounds_may_be_quick(grown: Any) -> None:
    with pytest.raises(InvalidBlock, match="the slot"):
        grown.decide(grown.propose(timestamp=grown.parent.timestamp + 1))
    grown.decide(grown.propose(round=1, timestamp=grown.parent.timestamp + 1))


def test_a_block_needs_the_certificate_of_its_parent(grown: Any) -> None:
    block = grown.propose()
    missing = replace(
        block, header=replace(block.header, parent_certificate_hash=ZERO_HASH), parent_certificate=None
    )
    with pytest.raises(InvalidBlock, match="parent_certificate: missing"):
        validate_block(missing, state=grown.state, parent=grown.parent, rules=grown.rules)
    weak = replace(grown.certificate, signers=b"\3", seals=grown.certificate.seals[:2])
    grown.certificate = weak
    with pytest.raises(InvalidCertificate, match="below the quorum"):
        validate_block(grown.propose(), state=grown.state, parent=grown.parent, rules=grown.rules)


def test_the_first_block_has_no_certificate(new_chain: Callable[..., Any]) -> None:
    chain, other = new_chain(), new_chain()
    other.grow(1)
    chain.certificate = other.certificate
    with pytest.raises(InvalidBlock, match="genesis block has none"):
        chain.decide(chain.propose())


def test_parent_beacon_root_of_block_1_is_the_genesis_header(chain: Any) -> None:
    block = chain.propose()
    assert block.execution.header.parent_beacon_block_root == chain.genesis.hash
    assert block.execution.header.parent_hash == chain.genesis.execution_header.hash
    assert block.header.evidence_root == EMPTY_EVIDENCE_ROOT


def test_a_decoded_vote_is_0_or_1(grown: Any) -> None:
    item: Any = rlp.decode(grown.propose().header.encode())
    item[13] = [b"\1" * 20, b"\2"]
    with pytest.raises(InvalidEncoding, match=r"vote\.add"):
        ConsensusHeader.from_item(item)


def test_the_own_client_s_body_is_not_hashed_again_but_a_peer_s_is(chain) -> None:
    block = chain.propose(transactions_root=Hash32(b"\x01" * 32))

    with pytest.raises(InvalidBlock, match="its transactions have the root"):
        Block.decode(block.encode())
