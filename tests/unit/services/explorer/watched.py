"""A network that a monitor has seen for an hour, and who reads of it: what the tests of the dashboard stand on."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx

from metanode.errors import StorageFailed
from metanode.rpc.errors import NodeUnreachable
from sdk.testnet.monitoring.history import History
from sdk.testnet.services.explorer.app import make_app
from sdk.testnet.services.explorer.parts import ExplorerParts
from sdk.testnet.services.web.site import Site

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "canary"
"""In everything that is for operators."""
VALIDATOR = "0x" + "11" * 20


def alert(name: str, text: str) -> dict[str, Any]:
    return {
        "name": name, "subject": f"of-{name}", "severity": "warning", "text": text, "impact": f"hurt by {name}", "since": 100.0,
        "resolved_at": None, "runbook_url": f"http://localhost:3000/docs/guide/alerts.html#{name.lower()}",
    }  # fmt: skip


DATA: dict[str, Any] = {
    "generated_at": 1_000.0,
    "data_age_s": 0.5,
    "verdict": {"state": "DEGRADED", "sentence": f"no more may stop ({CANARY})", "public_sentence": "no more may stop"},
    "metrics": {
        "total_nodes": 4, "healthy_nodes": 3, "total_validators": 4, "active_validators": 3, "current_height": 9,
        "avg_block_time": 2.0, "total_transactions": 5, "tps": 0.5,
    },
    "nodes": [{"node_id": "node-1", "status": "healthy", "version": CANARY, "cpu_usage": CANARY}],
    "alerts": [alert("ChainLate", "the head is late"), alert("DiskLow", CANARY), alert("VersionMix", CANARY), alert("OfTomorrow", CANARY)],
    "events": [alert("ValidatorLeft", "it left"), alert("NodeRestarted", CANARY)],
    "validators": [
        {
            "name": "validator-1", "address": VALIDATOR, "power": 1, "state": "silent", "why": CANARY, "height": 9, "behind": 0,
            "round": 0, "round_ends_ms": None, "phase": "awaiting", "last_message_s": 1.0, "proposed_30m": 3, "missed_30m": 0, "solo_missed_30m": 0,
            "seal_share": 1.0, "in_blocks": "sp", "peers": 3, "round_trip_ms": 4242, "clock_offset_ms": 4343, "disk_free_bytes": 44 * 1024**3, "version": CANARY,
            "up_s": 4545,
        }
    ],
    "blocks": [
        {"number": number, "hash": "0x00", "timestamp": 2 * number, "transactions": 1, "gas_used": 1, "gas_limit": 10, "round": 0, "seals": 3}
        for number in (8, 9)
    ],
    "consensus": {
        "network": "n", "genesis_hash": "0x00", "block_time_s": 2, "height": 10, "round": 0, "phase": "awaiting", "proposer": "v",
        "round_ends_ms": 1_000, "slot_in_ms": 0, "weight": 3, "quorum_weight": 3, "total_weight": 4, "spare_validators": 0,
        "head_age_s": 1.0, "interval_p95_s": 2.0,
    },
    "round_trips": {
        "of_validators": 4,
        "to": ["validator-10", "validator-2"],
        "rows": [{"from": "validator-10", "ms": [None, 4747]}, {"from": "validator-2", "ms": [0, None]}, {"from": "rpc-1", "ms": [149, 50]}],
    },
    "traffic": {"pool_pending": 1, "pool_queued": 0, "websocket_connections": 7, "rpc_calls": {"eth_call": 12}, "rpc_error_ratio": 0.031, "gateway": None},
    "diagnosis": {"headline": CANARY, "findings": [{"code": "x", "severity": "warning", "text": CANARY, "action": CANARY}]},
    "incident_summary": f"**DEGRADED** {CANARY}",
}  # fmt: skip
INSIDE = (CANARY, "4242", "4343", "4545", "44.0", "4747")


class Monitor:
    """A monitor that has seen the same for an hour."""

    def get_dashboard_data(self) -> dict[str, Any]:
        return json.loads(json.dumps(DATA))

    looks = 10
    head, alerts, events = 9, (), ()
    verdict = SimpleNamespace(verdict="DEGRADED")
    limits = SimpleNamespace(block_time_s=2.0)

    def __init__(self) -> None:
        self.history = History()
        for number in range(10):
            self.history.append(
                1_000.0 + 2 * number,
                {"height": number, "rpc_calls": 10 * number},
                {"rpc_p95_ms": {"eth_call": 2.5}, "cpu_percent": {"validator-1": 48.48}},
            )

    def get_history(self, window_s: float, *, until_s: float, points_max: int) -> Any:
        assert window_s in {900, 3_600}
        return self.history.read(since=0.0, until=until_s, points_max=points_max)

    def get_history_lines(self, window_s: float, *, until_s: float, points_max: int) -> Any:
        assert window_s in {900, 3_600}
        return self.history.read_lines(since=0.0, until=until_s, points_max=points_max)


class Nodes:
    """Nobody answers."""

    def within(self, _: int) -> Nodes:
        return self

    async def call(self, *_: Any) -> Any:
        raise NodeUnreachable("away")


def no_index() -> Any:
    raise StorageFailed("away")


class Caller:
    """A browser of the explorer, with its cookies."""

    def __init__(self, folder: Path) -> None:
        store: Any = SimpleNamespace(look=no_index)
        nodes: Any = Nodes()
        site = Site(network_name="n", chain_id=1)
        parts = ExplorerParts.of(site=site, store=store, nodes=nodes, monitor=Monitor())
        password = folder / "operator.password"
        self.explorer = make_app(parts, operator_password_file=password)
        self.password = password.read_text().strip()
        transport = httpx.ASGITransport(self.explorer.app)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://explorer")

    async def login(self) -> httpx.Response:
        return await self.http.post("/dashboard/login", data={"password": self.password})
