"""What strangers may read of what the monitor knows. Pure.

How the network fares is for everybody. What would help somebody to attack a node (versions, clocks, round trips, free disk, processor, what the doctor
says) is for operators: behind the dashboard's login, and in Prometheus.
"""

from __future__ import annotations

from typing import Any, Final

INSIDE_OF_VALIDATORS: Final = (
    "version",
    "disk_free_bytes",
    "clock_offset_ms",
    "round_trip_ms",
    "up_s",
    "why",
)
INSIDE_OF_NODES: Final = ("version", "cpu_usage", "memory_usage", "disk_usage")
PUBLIC_WORDS: Final = frozenset({
    "ChainLate", "HighRound", "RoundRising", "FrequentRoundChanges", "RoundSkew", "BlockIntervalSlow", "ConflictingHeads", "Equivocation", "InvalidSeal",
    "ProposalsMissed", "ValidatorSealsZero", "NodeBehind", "FaucetLow", "FaucetQueueOld", "ExplorerLag", "ValidatorJoined", "ValidatorLeft",
    "ValidatorSetChanged", "VotePending", "Milestone",
})  # fmt: skip
"""Alerts whose words are of what the chain itself shows. Of all others, new ones too, strangers read what it is, of whom, and who is hurt."""
PUBLIC_SUBJECTS: Final = {"ServiceDown": "a service"}
"""In place of a subject that is an address inside."""
INSIDE: Final = ("diagnosis", "incident_summary", "round_trips")
PUBLIC_LINES: Final = frozenset({"rpc_p95_ms"})
"""Of charts with a line for each method, node or validator: how long a call takes, everybody can time."""


def public_data(data: dict[str, Any]) -> dict[str, Any]:
    """Return what everybody may read of `TestnetMonitor.get_dashboard_data()`."""
    verdict = data["verdict"]
    return {name: part for name, part in data.items() if name not in INSIDE} | {
        "verdict": {"state": verdict["state"], "sentence": verdict["public_sentence"]},
        "validators": [_without(each, INSIDE_OF_VALIDATORS) for each in data["validators"]],
        "nodes": [_without(each, INSIDE_OF_NODES) for each in data["nodes"]],
        "alerts": [public_alert(each) for each in data["alerts"]],
        "events": [public_alert(each) for each in data["events"]],
    }


def public_alert(alert: dict[str, Any]) -> dict[str, Any]:
    """Return what everybody may read of an alert or event."""
    name = alert["name"]
    if name in PUBLIC_WORDS:
        return alert
    return alert | {"subject": PUBLIC_SUBJECTS.get(name, alert["subject"]), "text": ""}


def _without(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}
