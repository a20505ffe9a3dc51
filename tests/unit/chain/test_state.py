"""The state after a block is a function of the state before it and the block."""

from collections.abc import Callable
from typing import Any

import pytest

from metanode.chain.attributes import calculate_gas_limit
from metanode.chain.quorum import QuorumRule
from metanode.chain.state import ConsensusState, next_state
from metanode.chain.voting import Vote
from metanode.errors import InvalidInput


def test_two_nodes_that_see_the_same_blocks_have_the_same_roots(new_chain: Callable[..., Any]) -> None:
    one, other = new_chain(), new_chain()
    for height in range(12):
        vote = Vote(subject=one.strangers[0], add=True) if height in {3, 4, 5} else None
        block = one.propose(vote=vote)
        one.decide(block)
        other.state = next_state(other.state, block, other.rules.parameters)
        assert other.state == one.state
        assert other.state.root == one.state.root


def test_states_decode_to_themselves_and_from_nothing_shorter(new_chain: Callable[..., Any]) -> None:
    chain = new_chain()
    for _ in range(2):
        chain.decide(chain.propose(vote=Vote(subject=chain.strangers[0], add=True)))
    data = chain.state.encode()
    again = ConsensusState.decode(data)
    assert (again, again.root) == (chain.state, chain.state.root)
    for length in range(len(data)):
        with pytest.raises(InvalidInput):
            ConsensusState.decode(data[:length])
    with pytest.raises(InvalidInput):
        ConsensusState.decode(data + b"\x80")


def test_each_block_commits_to_the_state_after_its_parent(chain: Any) -> None:
    chain.grow(2)
    block = chain.propose()
    assert block.header.consensus_state_root == chain.state.root
    assert block.header.validators_hash == chain.state.validators.hash


def test_sets_chain_through_the_headers(new_chain: Callable[..., Any]) -> None:
    chain = new_chain()
    previous = chain.genesis.header
    for height in range(8):
        vote = Vote(subject=chain.strangers[0], add=True) if height < 3 else None
        block = chain.propose(vote=vote)
        assert block.header.validators_hash == previous.next_validators_hash
        chain.decide(block)
        previous = block.header
    assert len(chain.validators) == 5


def test_rewards_are_paid_in_the_next_block_to_the_fee_recipient_with_contiguous_indexes(chain: Any) -> None:
    indexes, paid = [], []
    for _ in range(6):
        proposer = chain.proposer()
        registration = chain.state.standing(proposer).registration
        block = chain.propose()
        chain.decide(block)
        paid.append((registration, proposer))
        indexes += [withdrawal.index for withdrawal in block.execution.withdrawals]
        for withdrawal in block.execution.withdrawals:
            assert (withdrawal.validator_index, withdrawal.address) == paid[-2]
            assert withdrawal.amount_gwei == 2_000_000_000
    assert indexes == [0, 1, 2, 3, 4]


def test_no_reward_means_no_withdrawals(new_chain: Callable[..., Any]) -> None:
    chain = new_chain(reward_gwei=0)
    chain.grow(3)
    assert chain.state.withdrawals() == ()
    assert chain.propose().execution.withdrawals == ()


def test_a_dropped_proposer_is_still_paid(new_chain: Callable[..., Any]) -> None:
    chain = new_chain()
    chain.grow(1)
    last = chain.validators[3]
    # Heights 2 and 3 propose in address order; the third vote is the subject's own, at height 4.
    for _ in range(3):
        chain.decide(chain.propose(vote=Vote(subject=last, add=False)))
    assert last not in chain.validators
    assert chain.state.pending_rewards[0].address == last
    chain.grow(1)


def test_the_certificate_of_the_last_block_of_a_set_is_verified_with_that_set(
    new_chain: Callable[..., Any],
) -> None:
    chain = new_chain()
    for _ in range(3):
        chain.decide(chain.propose(vote=Vote(subject=chain.strangers[0], add=True)))
    assert len(chain.state.last_validators) == 4
    assert len(chain.state.validators) == 5
    chain.grow(2)


def test_a_transition_replaces_the_set_at_its_height(new_chain: Callable[..., Any]) -> None:
    plain = new_chain()
    newcomers = ["0x" + address.hex() for address in plain.strangers[:2]]
    chain = new_chain(transitions={"4": newcomers})
    assert chain.genesis.hash == plain.genesis.hash, (
        "a transition is added later and does not change the network"
    )
    chain.grow(2)
    chain.decide(chain.propose(vote=Vote(subject=chain.strangers[5], add=True)))
    assert chain.validators == tuple(sorted(plain.strangers[:2]))
    assert chain.state.open_votes == ()
    chain.grow(4)


def test_stakes_change_hands_at_an_epoch_only(new_chain: Callable[..., Any]) -> None:
    chain = new_chain((3, 2, 2), quorum_rule=QuorumRule.STAKE, epoch_length=3)
    chain.grow(8)
    assert chain.state.epoch_start == 9
    assert chain.state.validators == chain.state.next_validators


def test_a_gap_in_heights_is_refused(chain: Any) -> None:
    block = chain.propose()
    chain.decide(block)
    with pytest.raises(InvalidInput, match="height 2 comes next, found 1"):
        next_state(chain.state, block, chain.rules.parameters)


# The values of geth's TestCalcGasLimit.
@pytest.mark.parametrize(
    ("parent", "highest", "lowest"),
    [(20_000_000, 20_019_530, 19_980_470), (40_000_000, 40_039_061, 39_960_939)],
)
def test_the_gas_limit_steps_like_geths(parent: int, highest: int, lowest: int) -> None:
    assert calculate_gas_limit(parent, 2 * parent) == highest
    assert calculate_gas_limit(parent, 0) == lowest
    assert calculate_gas_limit(parent, parent) == parent
    assert calculate_gas_limit(parent, parent + 5) == parent + 5
    assert calculate_gas_limit(parent, parent - 5) == parent - 5


def test_the_gas_limit_reaches_its_target_and_stays(new_chain: Callable[..., Any]) -> None:
    chain = new_chain(gas_limit=8_000_000)
    chain.grow(2)
    assert chain.state.gas_limit == 8_000_000
    limit = 8_000_000
    for _ in range(3000):
        limit = calculate_gas_limit(limit, 60_000_000)
    assert limit == 60_000_000
