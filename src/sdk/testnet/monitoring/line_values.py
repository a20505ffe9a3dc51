"""What one look says of each method, node and validator: the lines of charts, and who is how far from whom. Pure."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Final

from sdk.testnet.monitoring.view import consensus_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk.testnet.diagnosis.facts import NodeFacts
    from sdk.testnet.monitoring.view import Picture

ROUND_TRIPS_MAX: Final = 12
"""Rows and columns of the table of round trips: what fits on a screen, and a page's 60 kB."""
BYTES_OF_GB: Final = 10**9


def line_values(picture: Picture, cpu_percents: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The numbers of one look by chart and line: methods, nodes, validators."""
    memory, pages = picture.memory, picture.observation.pages
    disks = {name: page.value("metanode_disk_free_bytes", volume="data") for name, page in pages.items()}
    return {
        "rpc_p95_ms": {name: 1000 * found for name, found in memory.calls.percentiles(0.95).items()},
        "cpu_percent": {name: found for name, found in cpu_percents.items() if name in pages},
        "loop_lag_p99_ms": {
            name: 1000 * found for name, found in memory.loop_lags.percentiles(0.99).items() if name in pages
        },
        "disk_free_gb": {name: free / BYTES_OF_GB for name, free in disks.items() if free is not None},
        "round_trip_ms": {
            picture.scene.name(address): statistics.median(found.values())
            for address, found in _measured(picture).items()
            if found
        },
    }


def round_trips(picture: Picture) -> dict[str, Any] | None:
    """A table in milliseconds, a row for each node that measures and a column for each validator; None where no node tells.

    Of more than twelve the slowest are told, by the median of what the others have measured.
    """
    measured = _measured(picture)
    slowest = sorted(
        (address for address, found in measured.items() if found),
        key=lambda address: -statistics.median(measured[address].values()),
    )
    if not slowest:
        return None
    shown = set(slowest[:ROUND_TRIPS_MAX])
    to = [member.address for member in picture.scene.members if member.address in shown]
    own = {node.name: consensus_of(node).validator for node in picture.scene.chain}
    viewers = {name for address in to for name in measured[address]}
    # Those that stand in a column too come first, in the same order: the diagonal is where a node would measure itself.
    order = {address: place for place, address in enumerate(to)}
    rows = sorted(viewers, key=lambda name: (order.get(own.get(name) or "", len(order)), name))
    return {
        "of_validators": len(picture.scene.members),
        "to": [picture.scene.name(address) for address in to],
        "rows": [
            {"from": name, "ms": [measured[address].get(name) for address in to]}
            for name in rows[:ROUND_TRIPS_MAX]
        ],
    }


def _measured(picture: Picture) -> dict[str, dict[str, int]]:
    """By validator's address and measuring node the round trip in milliseconds, which is how exact nodes measure."""
    found: dict[str, dict[str, int]] = {member.address: {} for member in picture.scene.members}
    for node in picture.scene.chain:
        page = picture.observation.pages.get(node.name)
        if page is None:
            continue
        connected = _connected(node)
        for text, seconds in page.by("metanode_p2p_validator_rtt_seconds", "validator").items():
            # The page keeps the last round trip to a validator that has gone.
            if (address := text.lower()) in found and address in connected:
                found[address][node.name] = round(1000 * seconds)
    return found


def _connected(node: NodeFacts) -> frozenset[str]:
    return frozenset(member.address for member in consensus_of(node).validators if member.is_connected)
