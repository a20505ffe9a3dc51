"""What a genesis file fixes for ever, and the rules object that consensus carries around."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from metanode.chain.forks import (
    Activation,
    Fork,
    ForkId,
    calculate_fork_id,
    fork_at,
    validate_fork_id,
    validate_forks,
)
from metanode.chain.quorum import QuorumRule
from metanode.chain.signing import SigningDomain
from metanode.chain.stakes import StakeSource
from metanode.chain.validators import VALIDATORS_MAX, ValidatorSet
from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidInput
from metanode.primitives import rlp
from metanode.primitives.types import Hash32, Height

PERIOD_S_DEFAULT: Final = 2
PERIOD_S_MAX: Final = 3_600
EPOCH_LENGTH_AUTHORITY: Final = 30_000
"""Besu's default: open votes live at most 17 hours at 2 s."""
EPOCH_LENGTH_STAKE: Final = 1_800
"""An hour at 2 s."""
EPOCH_LENGTH_MAX: Final = 1_000_000
REWARD_GWEI_DEFAULT: Final = 2_000_000_000
"""Two tokens a block."""
NETWORK_NAME_CHARACTERS_MAX: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusParameters:
    """The consensus section of a genesis file."""

    network_name: str
    genesis_time: int
    """Timestamp of the execution genesis; slots are counted from it."""
    validators: ValidatorSet
    """Set of height 1."""
    quorum_rule: QuorumRule = QuorumRule.AUTHORITY
    period_s: int = PERIOD_S_DEFAULT
    epoch_length: int = EPOCH_LENGTH_AUTHORITY
    """Heights from one clearing of votes, or one change of stake, to the next."""
    reward_gwei: int = REWARD_GWEI_DEFAULT
    """Paid for each block to the fee recipient that its proposer chose; 0 pays nothing."""
    validators_max: int = VALIDATORS_MAX
    """Votes add nobody to a set of so many, and of more stakes the largest count; transitions may name more."""
    forks: tuple[Fork, ...] = (Fork(time=0),)
    transitions: Mapping[Height, ValidatorSet] = field(default_factory=dict)
    """Sets that replace whatever was, from a height on: the way out when a quorum is gone for good. Not part of the chain tag."""
    stakes: StakeSource | None = field(default=None, compare=False)
    """With proof of stake: the contract that names the sets. Without one the set of genesis stays."""

    def __post_init__(self) -> None:
        _validate(self)

    def __hash__(self) -> int:
        return hash(self.tag)

    @property
    def tag(self) -> Hash32:
        """`chain_tag`: keccak256 of the section without what may be added later, future forks and transitions."""
        # Networks without a bound of their own were there before it, and keep their tag.
        bound = [] if self.validators_max == VALIDATORS_MAX else [rlp.integer(self.validators_max)]
        return keccak256(
            rlp.encode(
                [
                    self.network_name.encode(),
                    rlp.integer(self.genesis_time),
                    self.quorum_rule.value.encode(),
                    rlp.integer(self.period_s),
                    rlp.integer(self.epoch_length),
                    rlp.integer(self.reward_gwei),
                    self.validators.to_item(),
                    self.forks[0].to_item(),
                    *bound,
                ]
            )
        )

    def fork(self, timestamp: int) -> Fork:
        """Return the fork table's entry for a block of this timestamp."""
        return fork_at(self.forks, timestamp)

    def is_epoch_start(self, height: int) -> bool:
        """Tell whether this height is the first of an epoch."""
        return height % self.epoch_length == 0

    def activations(self) -> tuple[Activation, ...]:
        """Return all changes of rules after genesis: heights, then times."""
        heights = [
            Activation(at=height, by_height=True, content=self.transitions[height].hash[:8])
            for height in sorted(self.transitions)
        ]
        times = [
            Activation(at=fork.time, by_height=False, content=keccak256(rlp.encode(fork.to_item()))[:8])
            for fork in self.forks[1:]
        ]
        return (*heights, *times)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRules:
    """All that is needed beside parent and state to judge a block; one object a network."""

    chain_id: int
    genesis_hash: Hash32
    """Consensus hash of the genesis header."""
    parameters: ConsensusParameters
    chain_tag: Hash32 = field(init=False)
    domain: SigningDomain = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "chain_tag", self.parameters.tag)
        object.__setattr__(
            self, "domain", SigningDomain(chain_id=self.chain_id, genesis_hash=self.genesis_hash)
        )

    @property
    def quorum_rule(self) -> QuorumRule:
        """The parameters' rule."""
        return self.parameters.quorum_rule

    def fork_id(self, *, height: int, timestamp: int) -> ForkId:
        """Return the identifier to tell peers when the head has this height and timestamp."""
        return calculate_fork_id(
            self.genesis_hash, self.parameters.activations(), height=height, timestamp=timestamp
        )

    def validate_fork_id(self, remote: ForkId, *, height: int, timestamp: int) -> None:
        """Raise InvalidInput unless a peer with this identifier can follow the same chain."""
        validate_fork_id(
            remote, self.genesis_hash, self.parameters.activations(), height=height, timestamp=timestamp
        )


def _validate(parameters: ConsensusParameters) -> None:
    name = parameters.network_name
    if not 1 <= len(name) <= NETWORK_NAME_CHARACTERS_MAX or not name.isascii() or not name.isprintable():
        raise InvalidInput(
            f"name: expected 1 to {NETWORK_NAME_CHARACTERS_MAX} printable ASCII characters, found {name[:80]!r}"
        )
    for field_name, value, low, high in (
        ("period", parameters.period_s, 1, PERIOD_S_MAX),
        ("epochLength", parameters.epoch_length, 2, EPOCH_LENGTH_MAX),
        ("rewardGwei", parameters.reward_gwei, 0, 2**63 - 1),
        ("timestamp", parameters.genesis_time, 1, 2**63 - 1),
        ("validatorsMax", parameters.validators_max, 1, VALIDATORS_MAX),
    ):
        if not low <= value <= high:
            raise InvalidInput(f"{field_name}: expected {low} to {high}, found {value}")
    validate_forks(parameters.forks)
    if len(parameters.validators) > parameters.validators_max:
        raise InvalidInput(
            f"validators: expected at most {parameters.validators_max}, which validatorsMax says, found {len(parameters.validators)}"
        )
    for where, validators in (
        ("validators", parameters.validators),
        *((f"transitions.{h}", s) for h, s in parameters.transitions.items()),
    ):
        if parameters.quorum_rule is QuorumRule.AUTHORITY and any(
            validator.power != 1 for validator in validators
        ):
            raise InvalidInput(f"{where}: with the quorum rule 'authority' every validator has the power 1")
    for height in parameters.transitions:
        if height < 2:
            raise InvalidInput(
                f"transitions.{height}: expected a height of at least 2; the set of height 1 is `validators`"
            )
