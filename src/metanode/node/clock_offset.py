"""How far this node's wall clock is from the validators'."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metanode.p2p.ports import PeerInfo


def clock_offset_s(peers: Sequence[PeerInfo]) -> float | None:
    """How far our clock is from the median of the connected validators' and our own; None without validators."""
    skews = [peer.clock_skew_ms for peer in peers if peer.is_validator]
    return -statistics.median([0, *skews]) / 1000 if skews else None
