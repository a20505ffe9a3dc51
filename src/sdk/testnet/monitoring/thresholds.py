"""From when on something is told, by the time between blocks: the same numbers for the monitor and for Prometheus. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from metanode.errors import InvalidInput
from sdk.testnet.diagnosis.node_rules import CLOCK_ERROR_MS, CLOCK_WARNING_MS

HALTED_S_MIN: Final = 30.0
LATE_S_MIN: Final = 10.0
SILENT_S: Final = 30.0
"""A validator that has said nothing for that long is worth a message; the verdict counts it out earlier."""
ROUND_RISING: Final = 2
ROUND_HIGH: Final = 3
ROUNDS_LATE_SHARE: Final = 0.1
"""Share of blocks that needed more than their first round."""
ROUND_SKEW: Final = 2
BEHIND_WARNING: Final = 5
BEHIND_CRITICAL: Final = 50
MISSED_MIN: Final = 3
MISSED_SHARE: Final = 0.2
"""So many turns missed and this share of them, or so many and none taken lately: of four turns one is more than a fifth."""
CLOCK_WARNING_S: Final = CLOCK_WARNING_MS / 1000
CLOCK_CRITICAL_S: Final = CLOCK_ERROR_MS / 1000
"""The doctor's: from here a validator loses its own turns."""
LOOP_LAG_WARNING_S: Final = 0.5
LOOP_LAG_CRITICAL_S: Final = 2.0
DISK_WARNING_BYTES: Final = 5 * 1024**3
DISK_CRITICAL_BYTES: Final = 1024**3
"""A node ends when its engine can't write; a gigabyte is hours for a small network, and minutes for one under load."""
OVERLOADED_SHARE: Final = 0.9
"""Of the cores, or of the memory, that a node may take."""
NODE_CORES: Final = 2
"""The machine on which what is claimed in numbers was measured."""
NODE_MEMORY_BYTES: Final = 4 * 1024**3
"""What a deployment gives a node unless its `.env` says otherwise; beyond it the kernel ends the process."""
TRANSACTION_STUCK_S: Final = 60.0
RPC_ERRORS_WARNING: Final = 0.02
RPC_ERRORS_CRITICAL: Final = 0.1
LAG_WARNING: Final = 5
LAG_CRITICAL: Final = 300
"""Blocks that an index is behind."""
RPC_SLOW_S: Final = 1.0
RPC_BUSY: Final = 1.0
"""Calls a second; of fewer a single fault is a large share."""
EXPENSIVE: Final = "debug_.*|trace_.*|ots_.*|eth_getLogs|eth_getFilterLogs|eth_call.*|eth_simulateV1|eth_estimateGas|eth_createAccessList|eth_getProof"
"""Calls that may take long by their nature, as a regular expression of their whole names."""
REFUSALS_MIN: Final = 100
REFUSALS_TIMES: Final = 10
"""Refusals of a faucet in ten minutes: so many, and so many times the median of a day."""
FAUCET_LOW_DAYS: Final = 3
FAUCET_VERY_LOW_DAYS: Final = 0.25
"""Days of its budget that a faucet's account still has."""
QUEUE_OLD_WARNING_S: Final = 60.0
QUEUE_OLD_CRITICAL_S: Final = 600.0
"""Since a faucet has promised what it has not signed yet."""
BURN_TIMES: Final = 4
"""Times the even share of a day's budget that an hour may pay."""
INDEX_ERRORS: Final = 3
"""Attempts of an index that fail in ten minutes."""
CERTIFICATE_S: Final = 14 * 86_400
"""Before its end a certificate should long be renewed."""
CORES_MAX: Final = 1_024
MEMORY_BYTES_MAX: Final = 64 * 1024**4
"""More than any machine that a node runs on: a slip of the units is refused."""
RESTARTS_MAX: Final = 3
SEALS_WINDOW: Final = 50
"""Blocks without one seal of a validator that speaks."""
MILESTONE_BLOCKS: Final = 100_000
MILESTONE_TRANSACTIONS: Final = 100_000
MILESTONE_ADDRESSES: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """The numbers that depend on the time between blocks, and on the machines."""

    block_time_s: float = 2.0
    node_cores: float = NODE_CORES
    """Cores that a node may take: it does not say itself how many its machine has."""
    node_memory_bytes: int = NODE_MEMORY_BYTES
    """Memory that a node may take."""

    def __post_init__(self) -> None:
        if not 0 < self.block_time_s <= 3600:
            raise InvalidInput(
                f"block_time_s: found {self.block_time_s!r}; expected seconds over 0, at most 3600"
            )
        if not 0 < self.node_cores <= CORES_MAX:
            raise InvalidInput(f"node_cores: found {self.node_cores!r}; expected over 0, at most {CORES_MAX}")
        if not 0 < self.node_memory_bytes <= MEMORY_BYTES_MAX:
            raise InvalidInput(
                f"node_memory_bytes: found {self.node_memory_bytes!r}; expected 1 to {MEMORY_BYTES_MAX}"
            )

    @property
    def halted_s(self) -> float:
        """Without a block for longer the chain is called halted."""
        return max(HALTED_S_MIN, 10 * self.block_time_s)

    @property
    def late_s(self) -> float:
        """Without a block for longer the chain is late."""
        return max(LATE_S_MIN, 5 * self.block_time_s)

    @property
    def slow_s(self) -> float:
        """An interval that too many blocks must not take."""
        return 1.5 * self.block_time_s

    @property
    def very_slow_s(self) -> float:
        """The same, and somebody should be woken."""
        return 3 * self.block_time_s

    @property
    def execution_slow_s(self) -> float:
        """Half the time between blocks: what is left of it is for votes."""
        return self.block_time_s / 2
