"""What an execution block must contain for consensus: computed by the proposer to build it, recomputed by everyone to check it.

No execution client checks these values, so a difference would be a fork between clients. The fee recipient is the proposer's own choice.
Where the reward goes: to the fee recipient in the execution header of the block that earned it. So a proposer's `coinbase` needs no
registration, and both tips and rewards follow it from one block to the next.
"""

from dataclasses import dataclass

from metanode.chain.execution_header import ExecutionBlock, Withdrawal
from metanode.chain.forks import GAS_MIN
from metanode.chain.header import ConsensusHeader
from metanode.chain.parameters import ChainRules
from metanode.chain.state import ConsensusState
from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidBlock
from metanode.primitives.types import Address, Hash32

GAS_LIMIT_BOUND_DIVISOR = 1024
"""A block's gas limit moves by less than this part of its parent's. Source: Yellow Paper, section 4.4.4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadAttributes:
    """The Engine API's attributes, and the gas limit, which that leaves to the client's configuration."""

    timestamp: int
    prev_randao: Hash32
    fee_recipient: Address
    withdrawals: tuple[Withdrawal, ...]
    parent_beacon_block_root: Hash32
    gas_limit: int


def calculate_attributes(
    state: ConsensusState,
    parent: ConsensusHeader,
    rules: ChainRules,
    *,
    timestamp: int,
    fee_recipient: Address,
) -> PayloadAttributes:
    """Return the attributes of the block after `parent`, whose state is `state`."""
    assert state.height == parent.height, (state.height, parent.height)
    return PayloadAttributes(
        timestamp=timestamp,
        prev_randao=calculate_prev_randao(rules, parent),
        fee_recipient=fee_recipient,
        withdrawals=state.withdrawals(),
        parent_beacon_block_root=parent.hash,
        gas_limit=calculate_gas_limit(state.gas_limit, rules.parameters.fork(timestamp).gas_target),
    )


def calculate_gas_limit(parent: int, target: int) -> int:
    """Return the gas limit one step from the parent's towards the target; the step is the one of geth, so that all clients agree."""
    step = parent // GAS_LIMIT_BOUND_DIVISOR - 1
    target = max(target, GAS_MIN)
    return min(parent + step, target) if parent < target else max(parent - step, target)


def calculate_prev_randao(rules: ChainRules, parent: ConsensusHeader) -> Hash32:
    """Return keccak256(domain || parent hash || height): the same in every round, known to all; a proposer can grind the parent."""
    return keccak256(rules.domain.separator + parent.hash + (parent.height + 1).to_bytes(8, "big"))


def validate_attributes(
    execution: ExecutionBlock, parent: ConsensusHeader, attributes: PayloadAttributes
) -> None:
    """Raise InvalidBlock that names the first field of the execution block that differs from what it must be."""
    header = execution.header
    expected: tuple[tuple[str, object, object], ...] = (
        ("parent hash", header.parent_hash, parent.execution_hash),
        ("number", header.number, parent.height + 1),
        ("timestamp", header.timestamp, attributes.timestamp),
        ("prevRandao", header.mix_hash, attributes.prev_randao),
        ("fee recipient", header.beneficiary, attributes.fee_recipient),
        ("withdrawals", execution.withdrawals, attributes.withdrawals),
        ("parentBeaconBlockRoot", header.parent_beacon_block_root, attributes.parent_beacon_block_root),
        ("gas limit", header.gas_limit, attributes.gas_limit),
        ("difficulty", header.difficulty, 0),
        ("nonce", header.nonce, bytes(8)),
    )
    for name, found, wanted in expected:
        if found != wanted:
            raise InvalidBlock(f"execution block: expected {name} {_shown(wanted)}, found {_shown(found)}")


def _shown(value: object) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
