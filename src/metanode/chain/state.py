"""All that consensus derives from decided blocks, and the one function that derives it.

`next_state(state, block, parameters)` is the state after a block from the state after its parent. The header of height h + 1 commits to
the state after h, so snapshots and light clients can check every part of it.
"""

import itertools
from dataclasses import dataclass, field

from metanode.chain.block import Block
from metanode.chain.execution_header import Withdrawal
from metanode.chain.parameters import ConsensusParameters
from metanode.chain.proposers import proposer_order
from metanode.chain.quorum import QuorumRule
from metanode.chain.stakes import set_of_answer, snapshot_height
from metanode.chain.validators import VALIDATORS_MAX, ValidatorSet
from metanode.chain.voting import OpenVote, Vote, prune_votes, tally
from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidEncoding, InvalidInput
from metanode.primitives import rlp
from metanode.primitives.types import ZERO_ADDRESS, Address, Hash32, Height, Round


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the chain remembers of one validator while it is one."""

    registration: int
    """Number given when it entered, counted from 0 and never used again: the `validatorIndex` of its rewards."""
    last_active: Height
    """Height of the last block that it proposed, or whose body holds its seal on the parent; at first the block that let it in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """What the next block pays out."""

    registration: int
    address: Address
    """Fee recipient of the block that earned it: the proposer's choice."""
    amount_gwei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusState:
    """The state after the block of `height`."""

    height: Height
    last_validators: ValidatorSet
    """Set that decided `height`: the one its certificate is verified with."""
    validators: ValidatorSet
    """Set that decides `height + 1`."""
    next_validators: ValidatorSet
    """Set of the next epoch with proof of stake; with proof of authority always `validators`."""
    standings: tuple[Standing, ...]
    """One for each of `validators`, in its order."""
    open_votes: tuple[OpenVote, ...] = ()
    """Ascending by subject and voter."""
    next_registration: int
    next_withdrawal_index: int = 0
    pending_rewards: tuple[Reward, ...] = ()
    epoch_start: Height
    """First height of the epoch in which `height + 1` lies."""
    last_proposer: Address = ZERO_ADDRESS
    """Recorded proposer of `height`."""
    gas_limit: int
    """Gas limit of the execution block of `height`."""

    root: Hash32 = field(init=False, compare=False)
    """keccak256 of the encoding: `consensus_state_root` of the next header."""

    def __post_init__(self) -> None:
        assert len(self.standings) == len(self.validators), (len(self.standings), len(self.validators))
        object.__setattr__(self, "root", keccak256(self.encode()))

    def __hash__(self) -> int:
        return hash(self.root)

    def standing(self, address: Address) -> Standing:
        """Return a current validator's standing; raises KeyError for a stranger."""
        return self.standings[self.validators.position(address)]

    def proposer_order(self, rule: QuorumRule) -> tuple[Address, ...]:
        """Return the proposers of height + 1, for rounds 0 to N - 1."""
        active = {v.address: s.last_active for v, s in zip(self.validators, self.standings, strict=True)}
        return proposer_order(
            validators=self.validators,
            last_active=active,
            last_proposer=self.last_proposer,
            height=self.height + 1,
            epoch_start=self.epoch_start,
            rule=rule,
        )

    def proposer(self, round: Round, rule: QuorumRule) -> Address:
        """Return who proposes in a round of height + 1."""
        order = self.proposer_order(rule)
        return order[round % len(order)]

    def withdrawals(self) -> tuple[Withdrawal, ...]:
        """Return what the block of height + 1 must pay."""
        return tuple(
            Withdrawal(
                index=self.next_withdrawal_index + offset,
                validator_index=reward.registration,
                address=reward.address,
                amount_gwei=reward.amount_gwei,
            )
            for offset, reward in enumerate(self.pending_rewards)
        )

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        standings: rlp.Item = [
            [rlp.integer(s.registration), rlp.integer(s.last_active)] for s in self.standings
        ]
        votes: rlp.Item = [[vote.subject, vote.voter, rlp.integer(int(vote.add))] for vote in self.open_votes]
        rewards: rlp.Item = [
            [rlp.integer(r.registration), r.address, rlp.integer(r.amount_gwei)] for r in self.pending_rewards
        ]
        rest: tuple[rlp.Item, ...] = (
            standings,
            votes,
            rlp.integer(self.next_registration),
            rlp.integer(self.next_withdrawal_index),
            rewards,
            rlp.integer(self.epoch_start),
            self.last_proposer,
            rlp.integer(self.gas_limit),
        )
        sets = (self.last_validators, self.validators, self.next_validators)
        return rlp.list_of_encoded(
            b"".join(
                (
                    rlp.encode(rlp.integer(self.height)),
                    *(validators.encoded for validators in sets),
                    *(rlp.encode(item) for item in rest),
                )
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "ConsensusState":
        """Return the state of its canonical bytes; raises InvalidInput that names the field."""
        fields = rlp.Reader(rlp.decode(data), "state")
        height = Height(fields.integer("height"))
        sets = [
            ValidatorSet.from_item(fields.item(name), f"state.{name}")
            for name in ("last_validators", "validators", "next_validators")
        ]
        standings = []
        for index, item in enumerate(fields.list("standings", length_max=VALIDATORS_MAX)):
            entry = rlp.Reader(item, f"state.standings[{index}]")
            standings.append(
                Standing(
                    registration=entry.integer("registration"),
                    last_active=Height(entry.integer("last_active")),
                )
            )
            entry.end()
        if len(standings) != len(sets[1]):
            raise InvalidEncoding(f"state.standings: expected {len(sets[1])}, found {len(standings)}")
        votes = []
        for index, item in enumerate(fields.list("open_votes", length_max=rlp.ITEMS_MAX)):
            entry = rlp.Reader(item, f"state.open_votes[{index}]")
            votes.append(
                OpenVote(
                    subject=entry.address("subject"),
                    voter=entry.address("voter"),
                    add=bool(entry.integer("add", bits=1)),
                )
            )
            entry.end()
        if any((a.subject, a.voter) >= (b.subject, b.voter) for a, b in itertools.pairwise(votes)):
            raise InvalidEncoding("state.open_votes: expected ascending order")
        next_registration, next_withdrawal_index = (
            fields.integer("next_registration"),
            fields.integer("next_withdrawal_index"),
        )
        rewards = []
        for index, item in enumerate(fields.list("pending_rewards", length_max=16)):
            entry = rlp.Reader(item, f"state.pending_rewards[{index}]")
            rewards.append(
                Reward(
                    registration=entry.integer("registration"),
                    address=entry.address("address"),
                    amount_gwei=entry.integer("amount_gwei"),
                )
            )
            entry.end()
        state = cls(
            height=height,
            last_validators=sets[0],
            validators=sets[1],
            next_validators=sets[2],
            standings=tuple(standings),
            open_votes=tuple(votes),
            next_registration=next_registration,
            next_withdrawal_index=next_withdrawal_index,
            pending_rewards=tuple(rewards),
            epoch_start=Height(fields.integer("epoch_start")),
            last_proposer=fields.address("last_proposer"),
            gas_limit=fields.integer("gas_limit"),
        )
        fields.end()
        return state


def genesis_state(parameters: ConsensusParameters, *, gas_limit: int) -> ConsensusState:
    """Return the state after the genesis block: the file's validators, registered in address order."""
    validators = parameters.validators
    return ConsensusState(
        height=Height(0),
        last_validators=validators,
        validators=validators,
        next_validators=validators,
        standings=tuple(Standing(registration=i, last_active=Height(0)) for i in range(len(validators))),
        next_registration=len(validators),
        epoch_start=Height(0),
        gas_limit=gas_limit,
    )


def calculate_validators(
    state: ConsensusState, parameters: ConsensusParameters, *, vote: Vote | None, voter: Address
) -> tuple[ValidatorSet, ValidatorSet, tuple[OpenVote, ...]]:
    """Return, for the block of height + 1 with this vote: the set of the height after it, its next epoch's set, and the open votes."""
    height = state.height + 1
    replaced = parameters.transitions.get(Height(height + 1))
    if replaced is not None:
        kept = () if parameters.is_epoch_start(height) else prune_votes(state.open_votes, replaced)
        return replaced, replaced, kept
    if parameters.quorum_rule is QuorumRule.STAKE:
        coming = state.next_validators
        if not parameters.is_epoch_start(height + 1):
            return state.validators, coming, ()
        if parameters.stakes is None:
            return coming, coming, ()
        answer = parameters.stakes.read(snapshot_height(height + 1, parameters.epoch_length))
        return coming, set_of_answer(answer, coming, parameters.validators_max), ()
    validators, open_votes = tally(
        vote,
        voter=voter,
        validators=state.validators,
        open_votes=state.open_votes,
        epoch_block=parameters.is_epoch_start(height),
    )
    return validators, validators, open_votes


def next_state(state: ConsensusState, block: Block, parameters: ConsensusParameters) -> ConsensusState:
    """Return the state after a decided block from the state after its parent; the block is a valid one."""
    header = block.header
    if header.height != state.height + 1:
        raise InvalidInput(f"state: the block of height {state.height + 1} comes next, found {header.height}")
    height, proposer = header.height, header.proposer
    validators, coming, open_votes = calculate_validators(state, parameters, vote=header.vote, voter=proposer)
    active = {proposer}
    if block.parent_certificate is not None:
        active.update(block.parent_certificate.addresses(state.last_validators))
    standings, next_registration = [], state.next_registration
    for address in validators.addresses:
        if address not in state.validators:
            standings.append(Standing(registration=next_registration, last_active=height))
            next_registration += 1
            continue
        held = state.standing(address)
        standings.append(
            Standing(registration=held.registration, last_active=height) if address in active else held
        )
    rewards: tuple[Reward, ...] = ()
    if parameters.reward_gwei:
        rewards = (
            Reward(
                registration=state.standing(proposer).registration,
                address=block.execution.header.beneficiary,
                amount_gwei=parameters.reward_gwei,
            ),
        )
    return ConsensusState(
        height=height,
        last_validators=state.validators,
        validators=validators,
        next_validators=coming,
        standings=tuple(standings),
        open_votes=open_votes,
        next_registration=next_registration,
        next_withdrawal_index=state.next_withdrawal_index + len(state.pending_rewards),
        pending_rewards=rewards,
        epoch_start=Height((height + 1) // parameters.epoch_length * parameters.epoch_length),
        last_proposer=proposer,
        gas_limit=block.execution.header.gas_limit,
    )
