"""Who is there now, as one node hears it: each validator's last message, round and timer. Says nothing when the node does not answer.

It is for everybody, so it keeps nothing of what a node says about its connections: who is connected, how far away, with which clock.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from metanode.crypto.addresses import parse_address
from metanode.errors import MetanodeError
from metanode.primitives.hexadecimal import decode_quantity
from sdk.testnet.services.explorer.reading import LIVE_TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk.testnet.services.node_pool import NodePool

AGE_S: Final = 1.0
"""How long an answer is taken for now: any number of viewers cost one call a second."""
LATE_PERIODS: Final = 3
"""A validator signs something in each block; after three without it is late."""
OFFLINE_S: Final = 30.0
"""And after this it is offline, as the alert `ValidatorSilent` has it."""

State = Literal["online", "late", "offline", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One validator, as a node hears it."""

    address: bytes
    state: State
    last_message_s: float | None
    """Seconds since its last message; None when the node has heard none."""
    last_message: str
    """What that was: `commit`, `roundChange` ..."""
    round_wanted: int | None
    """The round that it asked for in the open height, when that is not 0."""
    is_own: bool
    """It is the node that was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the open height stands on one node."""

    head: int
    head_age_s: float | None
    """Seconds since it saw a block decided."""
    height: int
    round: int
    phase: str
    period_s: int
    proposer: bytes
    quorum: int
    total: int
    is_halted: bool
    members: Mapping[bytes, Member]

    @property
    def online(self) -> int:
        """Validators that were heard lately."""
        return sum(member.state == "online" for member in self.members.values())


@dataclass(slots=True)
class StandingWatch:
    """Asks a node, at most once a second. Owned by the event loop."""

    nodes: NodePool
    _found: Standing | None = field(default=None)
    _at_s: float = field(default=-AGE_S)

    async def now(self) -> Standing | None:
        """Return what a node says now; None when none answers."""
        now_s = time.monotonic()
        if now_s - self._at_s >= AGE_S:
            self._at_s = now_s
            try:
                async with asyncio.timeout(LIVE_TIMEOUT_S):
                    self._found = read_standing(await self.nodes.call("ibft_getConsensusState"))
            except (TimeoutError, MetanodeError, KeyError, TypeError, AttributeError):
                self._found = None
        return self._found


def read_standing(state: Mapping[str, Any]) -> Standing:
    """Return the standing of `ibft_getConsensusState`; raises KeyError, TypeError or InvalidEncoding for anything else."""
    period_s = decode_quantity(state["period"])
    return Standing(
        head=decode_quantity(state["head"]),
        head_age_s=state["secondsSinceDecision"],
        height=decode_quantity(state["height"]),
        round=decode_quantity(state["round"]),
        phase=str(state["phase"])[:40],
        period_s=period_s,
        proposer=parse_address(state["proposer"]),
        quorum=decode_quantity(state["quorumWeight"]),
        total=decode_quantity(state["totalWeight"]),
        is_halted=state["halted"] is not None,
        members={
            member.address: member for member in (_member(found, period_s) for found in state["validators"])
        },
    )


def _member(found: Mapping[str, Any], period_s: int) -> Member:
    heard = found.get("lastMessage")
    seconds = None if heard is None else float(heard["secondsAgo"])
    wanted = found.get("roundWanted")
    return Member(
        address=parse_address(found["address"]),
        state=_state(seconds, is_own=found["own"], period_s=period_s),
        last_message_s=seconds,
        last_message="" if heard is None else str(heard["type"])[:20],
        round_wanted=None if wanted is None else decode_quantity(wanted),
        is_own=found["own"],
    )


def _state(seconds: float | None, *, is_own: bool, period_s: int) -> State:
    if is_own:
        # It answers.
        return "online"
    if seconds is None:
        return "unknown"
    if seconds <= LATE_PERIODS * period_s:
        return "online"
    return "late" if seconds <= max(OFFLINE_S, 2 * LATE_PERIODS * period_s) else "offline"
