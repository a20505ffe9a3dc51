"""What changes with time: the fork table, and the identifier by which peers learn that theirs is the same.

Entry 0 is in force from genesis and is part of the network's identity; later entries are added by an upgrade of the software and of the
genesis file. Source of the identifier and its rules: EIP-2124 (with EIP-6122's order: heights, then times). It is computed over the
consensus genesis hash, and each passed entry adds its activation and a digest of its content, so that two networks whose forks differ only
in content part as well.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from metanode.errors import InvalidEncoding, InvalidInput
from metanode.primitives import rlp
from metanode.primitives.types import UINT64_MAX, Round

CONSENSUS_VERSIONS: Final = (1,)
"""Header versions whose rules this software knows."""
EXECUTION_FORKS: Final = ("osaka",)
"""Execution rules that the engines know how to be told of."""

GAS_TARGET_DEFAULT: Final = 60_000_000
GAS_MIN: Final = 5_000
"""No block may have a lower gas limit. Source: Yellow Paper, section 4.4.4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a round waits, in milliseconds: each doubles with the round up to its cap. Integers only."""

    propose_timeout_ms: int = 1_000
    """From the round's start to the first authentic proposal."""
    propose_timeout_max_ms: int = 32_000
    round_timeout_ms: int = 4_000
    """From that proposal to the decision."""
    round_timeout_max_ms: int = 32_000

    def propose_ms(self, round: Round) -> int:
        """Return the wait for a proposal in this round."""
        return _doubled(self.propose_timeout_ms, round, self.propose_timeout_max_ms)

    def round_ms(self, round: Round) -> int:
        """Return the wait for a decision in this round."""
        return _doubled(self.round_timeout_ms, round, self.round_timeout_max_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """One entry of the table: the rules for blocks whose timestamp is at or after `time`."""

    time: int
    """Seconds since the Unix epoch; 0 for the first entry."""
    execution: str = "osaka"
    """Name of the execution rules."""
    consensus_version: int = 1
    """`version` of the headers."""
    gas_target: int = GAS_TARGET_DEFAULT
    """Gas limit that each block steps towards."""
    timeouts: Timeouts = Timeouts()

    def to_item(self) -> rlp.Item:
        """Return the fields as RLP."""
        waits = self.timeouts
        return [
            rlp.integer(self.time),
            self.execution.encode(),
            rlp.integer(self.consensus_version),
            rlp.integer(self.gas_target),
            rlp.integer(waits.propose_timeout_ms),
            rlp.integer(waits.propose_timeout_max_ms),
            rlp.integer(waits.round_timeout_ms),
            rlp.integer(waits.round_timeout_max_ms),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """A height or a time at which the chain's rules change."""

    at: int
    by_height: bool
    content: bytes
    """Digest of what changes; empty reproduces EIP-2124 exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkId:
    """Which rules a node follows, in the form of EIP-2124."""

    hash: bytes
    """CRC-32 of the genesis hash and of every passed activation, 4 bytes."""
    next: int
    """Next activation that the node knows, 0 for none."""

    def to_item(self) -> rlp.Item:
        """Return the fields as RLP."""
        return [self.hash, rlp.integer(self.next)]

    @classmethod
    def from_item(cls, item: rlp.Decoded) -> "ForkId":
        """Return the identifier of decoded RLP; raises InvalidEncoding."""
        fields = rlp.Reader(item, "fork id")
        fork_id = cls(hash=fields.bytes("hash", length=4), next=fields.integer("next"))
        fields.end()
        return fork_id


def fork_at(forks: Sequence[Fork], timestamp: int) -> Fork:
    """Return the entry in force for a block of this timestamp."""
    found = forks[0]
    for fork in forks:
        if fork.time <= timestamp:
            found = fork
    return found


def calculate_fork_id(
    genesis_hash: bytes, activations: Sequence[Activation], *, height: int, timestamp: int
) -> ForkId:
    """Return the identifier of a node whose head has this height and timestamp."""
    checksum = zlib.crc32(genesis_hash)
    for activation in activations:
        if not _is_passed(activation, height, timestamp):
            return ForkId(hash=checksum.to_bytes(4, "big"), next=activation.at)
        checksum = _with(checksum, activation)
    return ForkId(hash=checksum.to_bytes(4, "big"), next=0)


def validate_fork_id(
    remote: ForkId, genesis_hash: bytes, activations: Sequence[Activation], *, height: int, timestamp: int
) -> None:
    """Raise InvalidInput that says who must upgrade, unless the remote follows our rules or may still come to. Source: EIP-2124, 1 to 4."""
    sums = [zlib.crc32(genesis_hash)]
    for activation in activations:
        sums.append(_with(sums[-1], activation))
    known = [total.to_bytes(4, "big") for total in sums]
    passed = 0
    while passed < len(activations) and _is_passed(activations[passed], height, timestamp):
        passed += 1
    if remote.hash == known[passed]:
        # Rule 1: the same past. An activation they announce and we have passed without knowing it parts us.
        by_height = bool(remote.next) and remote.next <= height
        by_time = remote.next > activations_threshold(activations) and remote.next <= timestamp
        if remote.next and (by_height or by_time):
            raise InvalidInput(
                f"fork id: the peer changed its rules at {remote.next}, which this node has passed without knowing it: upgrade"
            )
        return
    if remote.hash in known[:passed]:
        # Rule 2: the remote is behind us, and must know the next change on its way.
        if remote.next != activations[known.index(remote.hash)].at:
            raise InvalidInput(
                f"fork id: the peer does not know the change at {activations[known.index(remote.hash)].at}: it must upgrade"
            )
        return
    if remote.hash in known[passed + 1 :]:
        return  # Rule 3: we are behind them, on rules that we know.
    raise InvalidInput(
        f"fork id: 0x{remote.hash.hex()} is of another network or of rules that this node does not know"
    )


def activations_threshold(activations: Sequence[Activation]) -> int:
    """Return the number above which an announced activation is read as a time: above every height of ours, and above a billion."""
    return max([1_000_000_000, *(activation.at for activation in activations if activation.by_height)])


def validate_forks(forks: Sequence[Fork]) -> None:
    """Raise InvalidInput that names the entry unless the table starts at 0, ascends, and this software can follow it."""
    if not forks:
        raise InvalidInput("forks: expected at least one entry")
    for index, fork in enumerate(forks):
        name = f"forks[{index}]"
        if index == 0 and fork.time != 0:
            raise InvalidInput(
                f"{name}.time: the first entry is in force from genesis, expected 0, found {fork.time}"
            )
        if index and fork.time <= forks[index - 1].time:
            raise InvalidInput(f"{name}.time: expected more than {forks[index - 1].time}, found {fork.time}")
        if fork.time > UINT64_MAX:
            raise InvalidInput(f"{name}.time: expected at most 2^64 - 1, found {fork.time}")
        if fork.execution not in EXECUTION_FORKS:
            raise InvalidInput(
                f"{name}.execution: expected one of {', '.join(EXECUTION_FORKS)}, found {fork.execution!r}"
            )
        if fork.consensus_version not in CONSENSUS_VERSIONS:
            raise InvalidInput(
                f"{name}.consensusVersion: this software knows {CONSENSUS_VERSIONS}, found {fork.consensus_version}"
            )
        if not GAS_MIN <= fork.gas_target < 2**63:
            raise InvalidInput(f"{name}.gasTarget: expected {GAS_MIN} to 2^63 - 1, found {fork.gas_target}")
        _validate_timeouts(name, fork.timeouts)


def _validate_timeouts(name: str, timeouts: Timeouts) -> None:
    pairs = (
        ("proposeTimeoutMs", timeouts.propose_timeout_ms, timeouts.propose_timeout_max_ms),
        ("roundTimeoutMs", timeouts.round_timeout_ms, timeouts.round_timeout_max_ms),
    )
    for field, first, cap in pairs:
        if not 50 <= first <= 600_000:
            raise InvalidInput(f"{name}.{field}: expected 50 to 600000 milliseconds, found {first}")
        if not first <= cap <= 600_000:
            raise InvalidInput(
                f"{name}.{field[:-2]}MaxMs: expected {first} to 600000 milliseconds, found {cap}"
            )


def _doubled(first_ms: int, round_: int, cap_ms: int) -> int:
    # The shift saturates long after every cap; a huge round must not build a huge number.
    return min(first_ms << min(round_, 32), cap_ms)


def _is_passed(activation: Activation, height: int, timestamp: int) -> bool:
    return activation.at <= (height if activation.by_height else timestamp)


def _with(checksum: int, activation: Activation) -> int:
    if activation.at > UINT64_MAX:
        raise InvalidEncoding(f"activation: expected at most 2^64 - 1, found {activation.at}")
    return zlib.crc32(activation.at.to_bytes(8, "big") + activation.content, checksum)
