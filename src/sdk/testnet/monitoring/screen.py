"""What a page shows of what was seen: plain data, ready for JSON. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sdk.testnet.diagnosis.diagnose import diagnose
from sdk.testnet.monitoring.health import HEALTHY, SYNCED, NetworkMetrics, NodeHealth
from sdk.testnet.monitoring.line_values import round_trips
from sdk.testnet.monitoring.memory import TURNS_WINDOW_S, WINDOW_S, transactions_of
from sdk.testnet.monitoring.thresholds import BEHIND_WARNING
from sdk.testnet.monitoring.view import consensus_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdk.testnet.diagnosis.facts import NodeFacts, ValidatorView
    from sdk.testnet.monitoring.alerts.events import Totals
    from sdk.testnet.monitoring.memory import Memory
    from sdk.testnet.monitoring.observation import Block, Observation
    from sdk.testnet.monitoring.thresholds import Thresholds
    from sdk.testnet.monitoring.view import Picture

EVENTS_MAX: Final = 100
STRIP_BLOCKS: Final = 120
"""Four minutes of blocks every two seconds."""
RATE_WINDOW_S: Final = 60
MEAN_BLOCKS: Final = 101
"""A hundred intervals."""
CPU_WINDOW_S: Final = 30.0
PROPOSED: Final = "p"
SEALED: Final = "s"
CLOSED_WITHOUT: Final = "-"
"""The certificate closed without its seal, which says nothing against it: a quorum is waited for, and no more."""
UNKNOWN: Final = "?"


def healths(observation: Observation, memory: Memory, now: float, limits: Thresholds) -> list[NodeHealth]:
    """Each node that was asked, as a health. A node that does not answer keeps no height."""
    head = max(memory.head, 0)
    cpu = cpu_percents(memory)
    return [
        _health(node, observation, now=now, head=head, cpu=cpu.get(node.name), limits=limits)
        for node in observation.facts.nodes
    ]


def cpu_percents(memory: Memory) -> dict[str, float]:
    """By node how much of one core its process took in the last half minute."""
    return {node: round(100 * cores, 1) for node, cores in memory.cores_used(CPU_WINDOW_S).items()}


def _health(
    node: NodeFacts,
    observation: Observation,
    *,
    now: float,
    head: int,
    cpu: float | None,
    limits: Thresholds,
) -> NodeHealth:
    page = observation.pages.get(node.name)
    version = None if page is None else page.label("metanode_build_info", "version")
    view = node.consensus
    if view is None:
        return NodeHealth(
            node_id=node.name, status="offline", last_block_height=0, last_block_time=0.0, peer_count=0,
            sync_status="unknown", role=node.role,
        )  # fmt: skip
    is_member = any(member.is_own for member in view.validators)
    peers = None if page is None else page.value("metanode_p2p_peers")
    if peers is None:
        # Without the page only connections with validators are known.
        peers = sum(member.is_connected and not member.is_own for member in view.validators)
    resident = None if page is None else page.value("process_resident_memory_bytes")
    if view.halted is not None:
        status = "halted"
    elif view.mode != "live" or head - view.head > BEHIND_WARNING:
        status = "syncing"
    elif is_member and not view.signs:
        status = "silent"
    else:
        status = HEALTHY
    is_synced = view.mode == "live" and head - view.head <= BEHIND_WARNING
    return NodeHealth(
        node_id=node.name,
        status=status,
        last_block_height=view.head,
        last_block_time=now - view.since_decision_s,
        peer_count=int(peers),
        sync_status=SYNCED if is_synced else view.mode if view.mode != "live" else "behind",
        cpu_usage=cpu,
        memory_usage=None if resident is None else round(100 * resident / limits.node_memory_bytes, 1),
        role="validator" if is_member else node.role or "follower",
        version=version,
    )


def metrics(picture: Picture, known: Sequence[NodeHealth], totals: Totals) -> NetworkMetrics:
    """The network in eight numbers."""
    blocks = list(picture.memory.blocks)
    recent = blocks[-MEAN_BLOCKS:]
    mean_s = 0.0
    if len(recent) > 1:
        mean_s = (recent[-1].timestamp - recent[0].timestamp) / (recent[-1].number - recent[0].number)
    transactions = totals.transactions
    if transactions is None:
        counted = transactions_of(picture.observation.pages)
        transactions = max(counted, sum(block.transactions for block in blocks))
    return NetworkMetrics(
        total_nodes=len(known),
        healthy_nodes=sum(health.is_healthy for health in known),
        total_validators=picture.view.validators,
        active_validators=picture.view.online,
        current_height=picture.view.height,
        avg_block_time=round(mean_s, 3),
        total_transactions=transactions,
        tps=round(_rate(picture), 3),
    )


def _rate(picture: Picture) -> float:
    """Transactions a second over the last minute of the chain's own time."""
    blocks = picture.memory.blocks
    if not blocks:
        return 0.0
    last = blocks[-1].timestamp
    lately = [block for block in blocks if block.timestamp > last - RATE_WINDOW_S]
    span_s = max(picture.reference.period_s * len(lately), last - lately[0].timestamp, 1)
    return sum(block.transactions for block in lately) / span_s


def row(picture: Picture) -> dict[str, float | None]:
    """The numbers of one look, for charts."""
    pages = picture.observation.pages.values()
    newest = picture.memory.blocks[-1] if picture.memory.blocks else None
    return {
        "height": picture.view.height,
        "head_age_s": picture.longest_age_s,
        "round": picture.highest_round,
        "validators_online": picture.view.online,
        "spare_validators": picture.view.spare,
        "tps": _rate(picture),
        "block_interval_s": picture.intervals_s[-1] if picture.intervals_s else None,
        "gas_used_ratio": newest.gas_used / newest.gas_limit
        if newest is not None and newest.gas_limit
        else None,
        "pool_pending": _most(picture, "metanode_txpool_transactions", state="pending") if pages else None,
        "rpc_calls": sum(page.value("metanode_rpc_requests_total") or 0 for page in pages) if pages else None,
        "websocket_connections": sum(page.value("metanode_rpc_websocket_connections") or 0 for page in pages)
        if pages
        else None,
    }


def details(picture: Picture) -> dict[str, Any]:
    """Consensus, validators, blocks, traffic, and what the doctor says."""
    reference, scene = picture.reference, picture.scene
    pages = picture.observation.pages
    diagnosis = diagnose(picture.observation.facts)
    urls = {node.url: node.name for node in picture.observation.facts.nodes}
    return {
        "consensus": {
            "network": reference.network,
            "genesis_hash": reference.genesis_hash,
            "block_time_s": reference.period_s,
            "height": reference.height,
            "round": picture.view.round,
            "phase": reference.phase,
            "proposer": scene.name(reference.proposer),
            "round_ends_ms": reference.round_ms,
            "slot_in_ms": reference.slot_ms,
            "weight": picture.view.weight,
            "quorum_weight": picture.view.quorum_weight,
            "total_weight": picture.view.total_weight,
            "spare_validators": picture.view.spare,
            "head_age_s": round(picture.view.head_age_s, 1),
            "interval_p95_s": picture.view.interval_p95_s,
        },
        "validators": validators(picture),
        "blocks": [
            {
                "number": block.number, "hash": block.hash, "timestamp": block.timestamp, "transactions": block.transactions,
                "gas_used": block.gas_used, "gas_limit": block.gas_limit, "round": block.round, "seals": len(block.sealed_by),
            }
            for block in list(picture.memory.blocks)[-STRIP_BLOCKS:]
        ],
        "round_trips": round_trips(picture),
        "traffic": {
            "pool_pending": _most(picture, "metanode_txpool_transactions", state="pending"),
            "pool_queued": _most(picture, "metanode_txpool_transactions", state="queued"),
            "websocket_connections": sum(
                page.value("metanode_rpc_websocket_connections") or 0 for page in pages.values()
            ),
            "rpc_calls": dict(sorted(_sums(picture, "metanode_rpc_requests_total", "method").items())),
            "rpc_error_ratio": _error_ratio(picture),
        },
        "diagnosis": {
            "headline": _named(diagnosis.headline, urls),
            "findings": [
                {
                    "code": finding.code,
                    "severity": finding.severity.value,
                    "text": _named(finding.text, urls),
                    "action": finding.action and _named(finding.action, urls),
                }
                for finding in diagnosis.findings
            ],
        },
    }  # fmt: skip


def _named(text: str, urls: dict[str, str]) -> str:
    """A text without the addresses of nodes, which may hold passwords."""
    for url, name in urls.items():
        text = text.replace(url, name)
    return text


def _error_ratio(picture: Picture) -> float | None:
    """The share of the calls of the last five minutes that ended with an internal error; None where nothing was called."""
    memory = picture.memory
    calls = sum(memory.increase("calls", WINDOW_S).values())
    return sum(memory.increase("faults", WINDOW_S).values()) / calls if calls else None


def _most(picture: Picture, name: str, **labels: str) -> int:
    """The highest value of any page: pools hold much the same."""
    return int(
        max((page.value(name, **labels) or 0 for page in picture.observation.pages.values()), default=0)
    )


def _sums(picture: Picture, name: str, label: str) -> dict[str, float]:
    """The sum over all pages for each value of a label."""
    found: dict[str, float] = {}
    for page in picture.observation.pages.values():
        for text, value in page.by(name, label).items():
            found[text] = found.get(text, 0.0) + value
    return found


@dataclass(frozen=True, slots=True)
class _Counted:
    """What is counted for all validators at once, by their addresses."""

    turns: Mapping[str, float]
    missed: Mapping[str, float]
    solo_missed: Mapping[str, float]
    """Of these what it has missed while no other did."""
    late: Mapping[str, float]
    """Commits that came when their height was decided."""
    round_trip_s: Mapping[str, float]
    """The shortest that any node has measured."""
    sealed: tuple[frozenset[str], ...]
    """Of each block with a certificate, who has sealed it."""
    taking_part: frozenset[str]
    strip: tuple[Block, ...]
    """The newest blocks, the oldest first."""


def validators(picture: Picture) -> list[dict[str, Any]]:
    """Each member of the set."""
    round_trips: dict[str, float] = {}
    for page in picture.observation.pages.values():
        for text, value in page.by("metanode_p2p_validator_rtt_seconds", "validator").items():
            address = text.lower()
            round_trips[address] = min(value, round_trips.get(address, value))
    counted = _Counted(
        turns=picture.memory.most_increased("proposed", TURNS_WINDOW_S),
        missed=picture.memory.most_increased("missed", TURNS_WINDOW_S),
        solo_missed=picture.memory.most_increased_alone("missed", TURNS_WINDOW_S),
        late=picture.memory.most_increased("late", TURNS_WINDOW_S),
        round_trip_s=round_trips,
        sealed=tuple(frozenset(block.sealed_by) for block in picture.memory.blocks if block.sealed_by),
        taking_part=frozenset(one.address for one in picture.scene.counted),
        strip=tuple(list(picture.memory.blocks)[-STRIP_BLOCKS:]),
    )
    return [_validator(picture, member, counted) for member in picture.scene.members]


def _validator(picture: Picture, member: ValidatorView, counted: _Counted) -> dict[str, Any]:
    """One validator: what the others have heard of it, and what its own node says where that is asked."""
    scene = picture.scene
    holder = scene.holders.get(member.address)
    own = None if holder is None else holder.consensus
    heard = [
        seconds
        for viewer in scene.viewers
        if consensus_of(viewer).validator != member.address
        and (seconds := scene.heard_s(viewer, member.address)) is not None
    ]
    takes_part = member.address in counted.taking_part
    page = None if holder is None else picture.observation.pages.get(holder.name)
    peers = None if page is None else page.value("metanode_p2p_peers")
    round_trip_s = counted.round_trip_s.get(member.address)
    sealed = counted.sealed
    return {
        "name": scene.name(member.address),
        "address": member.address,
        "power": member.power,
        "state": "online" if takes_part else "silent",
        "why": None if takes_part else scene.why_missing(member.address),
        "height": None if own is None else own.head,
        "behind": None if own is None else scene.head - own.head,
        "round": own.round if own is not None else None,
        "round_ends_ms": None if own is None else own.round_ms,
        "phase": None if own is None else own.phase,
        "last_message_s": min(heard) if heard else None,
        "proposed_30m": int(counted.turns.get(member.address, 0.0)),
        "missed_30m": int(counted.missed.get(member.address, 0.0)),
        "solo_missed_30m": int(counted.solo_missed.get(member.address, 0.0)),
        "late_commits_30m": int(counted.late.get(member.address, 0.0)) if picture.observation.pages else None,
        "seal_share": round(sum(member.address in sealers for sealers in sealed) / len(sealed), 3)
        if sealed
        else None,
        "in_blocks": "".join(_part_in(block, member.address) for block in counted.strip),
        "peers": None if peers is None else int(peers),
        "round_trip_ms": None if round_trip_s is None else round(1000 * round_trip_s),
        "clock_offset_ms": None if own is None else own.clock_offset_ms,
        "disk_free_bytes": None if page is None else page.value("metanode_disk_free_bytes", volume="data"),
        "version": None if page is None else page.label("metanode_build_info", "version"),
        "up_s": None if own is None else own.up_s,
    }


def _part_in(block: Block, address: str) -> str:
    """What a validator did for a block, in a letter: `p` proposed it, `s` sealed it, `-` neither, as far as a certificate tells, `?` nobody knows."""
    if block.proposer == address:
        return PROPOSED
    if not block.sealed_by:
        return UNKNOWN
    return SEALED if address in block.sealed_by else CLOSED_WITHOUT


def incident_summary(data: dict[str, Any]) -> str:
    """What a person pastes into a chat: Markdown with numbers and absolute times."""
    at = datetime.fromtimestamp(data["generated_at"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    numbers = data["metrics"]
    lines = [
        f"**{data['verdict']['state']}** at {at}: {data['verdict']['sentence']}",
        "",
        f"- height {numbers['current_height']}, {numbers['avg_block_time']:g} s between blocks, {numbers['tps']:g} transactions/s",
        (
            f"- {numbers['healthy_nodes']} of {numbers['total_nodes']} nodes healthy, {numbers['active_validators']} of "
            f"{numbers['total_validators']} validators take part"
        ),
    ]
    if data.get("diagnosis"):
        lines.append(f"- doctor: {data['diagnosis']['headline']}")
    for alert in data["alerts"][:20]:
        since = datetime.fromtimestamp(alert["since"], UTC).strftime("%H:%M:%S")
        lines.append(f"- [{alert['severity']}] {alert['name']} since {since}: {alert['text']}")
    return "\n".join(lines) + "\n"
