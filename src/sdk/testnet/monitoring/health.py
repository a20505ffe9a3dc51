"""What is known of one node and of the network: the numbers that people and pages read."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from metanode.errors import InvalidInput

if TYPE_CHECKING:
    from types import UnionType

HEALTHY: Final = "healthy"
SYNCED: Final = "synced"
NAME_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """One node at one moment, as somebody saw it.

    Raises:
        InvalidInput: when a number is none, or out of its range; the sentence names the field.
    """

    node_id: str
    """What it is called; one health is kept for each."""
    status: str
    """`healthy` counts as healthy; a monitor that polls says `syncing`, `silent`, `halted`, `offline` too."""
    last_block_height: int
    last_block_time: float
    """Seconds since the Unix epoch."""
    peer_count: int
    sync_status: str
    """`synced`, or what the node does instead."""
    cpu_usage: float | None = None
    """Percent of one core."""
    memory_usage: float | None = None
    """Percent of the memory that it may take: of the machine's, where somebody feeds it."""
    role: str | None = None
    """`validator`, `follower` ...; without it a name that begins with `validator` tells."""
    version: str | None = None

    def __post_init__(self) -> None:
        _check_text("node_id", self.node_id, length_min=1)
        _check_text("status", self.status)
        _check_text("sync_status", self.sync_status)
        for field, count in (("last_block_height", self.last_block_height), ("peer_count", self.peer_count)):
            if not _is_number(count, int):
                raise InvalidInput(f"{field}: found {count!r:.80}; expected a whole number from 0")
        for field, number in (
            ("last_block_time", self.last_block_time),
            ("cpu_usage", 0 if self.cpu_usage is None else self.cpu_usage),
            ("memory_usage", 0 if self.memory_usage is None else self.memory_usage),
        ):
            if not _is_number(number, int | float):
                raise InvalidInput(f"{field}: found {number!r:.80}; expected a number from 0")

    @property
    def is_healthy(self) -> bool:
        """Whether nobody has to look at it."""
        return self.status == HEALTHY

    @property
    def is_validator(self) -> bool:
        """Whether it votes."""
        return self.node_id.startswith("validator") if self.role is None else self.role == "validator"

    def to_dict(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self)


def _check_text(field: str, value: object, *, length_min: int = 0) -> None:
    if not isinstance(value, str) or not length_min <= len(value) <= NAME_MAX:
        raise InvalidInput(
            f"{field}: found {value!r:.80}; expected a text of {length_min} to {NAME_MAX} characters"
        )


def _is_number(value: object, kind: type | UnionType) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value) and value >= 0  # type: ignore[arg-type,operator]  # a number by the first condition


@dataclass(frozen=True, slots=True)
class NetworkMetrics:
    """The network in eight numbers."""

    total_nodes: int
    healthy_nodes: int
    total_validators: int
    active_validators: int
    """Validators that take part: of polled networks those that are heard."""
    current_height: int
    """Number of the newest block that any node has."""
    avg_block_time: float
    """Seconds, mean over the last blocks that were seen; 0 before there are two."""
    total_transactions: int
    """Of the chain as far as the nodes that are asked remember; 0 when nobody says."""
    tps: float
    """Transactions a second over the last minute."""

    def to_dict(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self)
