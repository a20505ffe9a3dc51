"""What the monitor knows of each validator that neither the index nor a single node does: counts of the nodes' own metrics pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from metanode.crypto.addresses import parse_address

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedMember:
    """One validator, as the monitor sees it; None is what no node tells."""

    late_commits_30m: int | None
    """Commits of the last half hour that came when their block was decided already: late, and a sign of life that seals can't give."""
    peers: int | None
    """Of its own node."""


@dataclass(slots=True)
class MemberWatch:
    """Asks the monitor once a look, however many read. Owned by the event loop."""

    monitor: Any
    """A `sdk.testnet.monitoring.TestnetMonitor`, or None."""
    _looks: int = -1
    _found: Mapping[bytes, WatchedMember] = field(default_factory=dict)

    def now(self) -> Mapping[bytes, WatchedMember]:
        """Return by address what is known; nothing without a monitor, and while what it knows is old."""
        if self.monitor is None:
            return {}
        age_s = self.monitor.data_age_s
        if age_s is None or age_s > self.monitor.stale_after_s:
            self._looks = -1
            return {}
        if self._looks != self.monitor.looks:
            self._looks = self.monitor.looks
            self._found = {
                parse_address(each["address"]): WatchedMember(
                    late_commits_30m=each["late_commits_30m"], peers=each["peers"]
                )
                for each in self.monitor.get_validators()
            }
        return self._found
