"""The operator's page: is the chain making blocks now, can it lose more, who is different, what to do next.

Everything on it is what the monitor saw of the nodes a moment ago. When the monitor's data are old the verdict is UNKNOWN and grey: stale green is the
classic failure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from metanode.errors import Unavailable
from sdk.testnet.services.explorer.reading import AsOf
from sdk.testnet.services.explorer.twins import View

if TYPE_CHECKING:
    from starlette.requests import Request

    from sdk.testnet.services.explorer.parts import ExplorerParts, Handler

STRIP_BLOCKS: Final = 120
EVENTS_SHOWN: Final = 30
METHODS_SHOWN: Final = 12
TONES: Final = {
    "HEALTHY": ("ok", "check"),
    "STARTING": ("pending", "clock"),
    "SLOW": ("warn", "clock"),
    "DEGRADED": ("warn", "warn"),
    "NO QUORUM": ("crit", "warn"),
    "HALTED": ("crit", "cross"),
    "UNKNOWN": ("unknown", "dash"),
}
"""Colour and icon of each verdict; the word is always there too."""
PARTS: Final = ("verdict", "alerts", "tiles", "strip", "validators", "events", "traffic", "summary")
"""Live parts; each has a template of its own."""
TOPIC: Final = "dashboard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """What the page shows."""

    as_of: AsOf
    data: dict[str, Any]
    """`TestnetMonitor.get_dashboard_data()`."""

    @property
    def tone(self) -> str:
        """Colour of the verdict."""
        return TONES.get(self.data["verdict"]["state"], TONES["UNKNOWN"])[0]

    @property
    def mark(self) -> str:
        """Icon of the verdict."""
        return TONES.get(self.data["verdict"]["state"], TONES["UNKNOWN"])[1]

    @property
    def is_stale(self) -> bool:
        """Whether the numbers below the verdict are old."""
        return bool(self.data["verdict"]["state"] == "UNKNOWN")

    @property
    def strip(self) -> list[dict[str, Any]]:
        """The newest blocks, oldest first, each with how late it came."""
        # The first block is as old as the genesis file says; nothing is late against it.
        blocks = [block for block in self.data["blocks"][-STRIP_BLOCKS:] if block["number"] > 0]
        period = (self.data["consensus"] or {}).get("block_time_s") or 0
        return [
            block
            | {
                "late_s": 0
                if index == 0
                else max(0, block["timestamp"] - blocks[index - 1]["timestamp"] - period)
            }
            for index, block in enumerate(blocks)
        ]

    @property
    def busiest_methods(self) -> list[tuple[str, int]]:
        """JSON-RPC methods by calls since the nodes started."""
        calls = (self.data["traffic"] or {}).get("rpc_calls") or {}
        ordered = sorted(calls.items(), key=lambda item: (-item[1], item[0]))
        return [(str(name)[:60], int(count)) for name, count in ordered[:METHODS_SHOWN] if count]


def dashboard_handlers(parts: ExplorerParts) -> dict[str, Handler]:
    """Return the handlers by path; none without a monitor."""

    async def dashboard(_: Request) -> View:
        model = await read_dashboard(parts)
        return View(
            template="dashboard.html",
            model=model,
            section="dashboard",
            extra={"parts": PARTS, "events_shown": EVENTS_SHOWN},
        )

    return {} if parts.monitor is None else {"/dashboard": dashboard}


async def read_dashboard(parts: ExplorerParts) -> Dashboard:
    """Return the model: the same for all readers at one moment. An index that does not answer is a tile that says so."""
    try:
        as_of = await parts.reading.now()
    except Unavailable:
        as_of = AsOf(block=-1, indexed_at=0, chain_head=await parts.reading.chain_head())
    return Dashboard(as_of=as_of, data=parts.monitor.get_dashboard_data())
