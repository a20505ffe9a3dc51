"""What is told of nodes that somebody feeds in: verdict and conditions from healths alone. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk.testnet.diagnosis.findings import lasting
from sdk.testnet.monitoring import thresholds
from sdk.testnet.monitoring.alerts.catalogue import CRITICAL, WARNING
from sdk.testnet.monitoring.alerts.conditions import Condition
from sdk.testnet.monitoring.health import SYNCED
from sdk.testnet.monitoring.verdict import NetworkView, spare_validators

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sdk.testnet.monitoring.health import NodeHealth
    from sdk.testnet.monitoring.thresholds import Thresholds

NETWORK = "network"
"""What the conditions of the whole are about: healths have no network's name."""


def view_of(healths: Sequence[NodeHealth], now: float) -> NetworkView | None:
    """What the verdict goes by; validators that are not healthy take no part. None without any health."""
    if not healths:
        return None
    validators = [health for health in healths if health.is_validator]
    active = [health for health in validators if health.is_healthy]
    quorum = -(-2 * len(validators) // 3)
    newest = max(health.last_block_time for health in healths)
    return NetworkView(
        height=max(health.last_block_height for health in healths),
        head_age_s=max(0.0, now - newest),
        round=0,
        weight=len(active),
        quorum_weight=quorum,
        total_weight=len(validators),
        spare=spare_validators([1] * len(active), quorum),
        online=len(active),
        validators=len(validators),
        missing=tuple(health.node_id for health in validators if not health.is_healthy),
        reasons=tuple(health.status for health in validators if not health.is_healthy),
    )


def conditions_of(
    healths: Sequence[NodeHealth], view: NetworkView, limits: Thresholds
) -> Iterator[Condition]:
    """Everything that holds."""
    if view.head_age_s > limits.halted_s:
        yield Condition(
            name="ChainHalted",
            subject=NETWORK,
            severity=CRITICAL,
            text=f"no block for {lasting(view.head_age_s)}",
        )
    elif view.head_age_s > limits.late_s:
        yield Condition(
            name="ChainLate",
            subject=NETWORK,
            severity=WARNING,
            text=f"the newest block is {lasting(view.head_age_s)} old",
        )
    if view.weight < view.quorum_weight:
        text = (
            f"{view.online} of {view.validators} validators are healthy, and {view.quorum_weight} are needed"
        )
        yield Condition(name="QuorumLost", subject=NETWORK, severity=CRITICAL, text=text)
    elif view.missing and view.spare == 0:
        text = f"{view.online} of {view.validators} validators are healthy, and none of them can be spared"
        yield Condition(name="QuorumMarginZero", subject=NETWORK, severity=WARNING, text=text)
    for health in healths:
        yield from _node(health, view)


def _node(health: NodeHealth, view: NetworkView) -> Iterator[Condition]:
    name = health.node_id
    if not health.is_healthy:
        severity = CRITICAL if health.is_validator and view.spare == 0 else WARNING
        yield Condition(name="NodeDown", subject=name, severity=severity, text=f"{name} is {health.status}")
    behind = view.height - health.last_block_height
    if behind > thresholds.BEHIND_WARNING:
        severity = CRITICAL if behind > thresholds.BEHIND_CRITICAL else WARNING
        synced = "" if health.sync_status == SYNCED else f", {health.sync_status}"
        yield Condition(
            name="NodeBehind",
            subject=name,
            severity=severity,
            text=f"{name} is {behind} blocks behind, at {health.last_block_height}{synced}",
        )
    if health.peer_count == 0 and view.validators > 1:
        yield Condition(name="NoPeers", subject=name, severity=CRITICAL, text=f"{name} has no peer")
    for what, usage in (("processor", health.cpu_usage), ("memory", health.memory_usage)):
        if usage is not None and usage >= 100 * thresholds.OVERLOADED_SHARE:
            yield Condition(
                name="NodeOverloaded",
                subject=f"{name} {what}",
                severity=WARNING,
                text=f"{name} uses {usage:.0f} % of its {what}",
            )
