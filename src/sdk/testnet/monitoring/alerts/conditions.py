"""What holds now that somebody should be told, one question after the other. Pure.

A consequence of a standing chain is not told while the chain stands; `board` waits until a condition has held as long as its rule says.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdk.testnet.diagnosis.facts import Trouble
from sdk.testnet.diagnosis.findings import lasting, listed
from sdk.testnet.monitoring import thresholds
from sdk.testnet.monitoring.alerts.catalogue import CRITICAL, INFO, WARNING, AlertSeverity
from sdk.testnet.monitoring.memory import DURATIONS_WINDOW_S, RESTARTS_WINDOW_S, TURNS_WINDOW_S, WINDOW_S
from sdk.testnet.monitoring.verdict import percentile
from sdk.testnet.monitoring.view import consensus_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sdk.testnet.diagnosis.facts import NodeFacts
    from sdk.testnet.monitoring.thresholds import Thresholds
    from sdk.testnet.monitoring.view import Picture

ROUNDS_WINDOW_S = 600.0
ROUNDS_BLOCKS_MIN = 20
"""Of fewer blocks one late one is over a tenth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that holds now."""

    name: str
    """Of the catalogue."""
    subject: str
    """The node or validator that it is about; the network's where it is about all."""
    severity: AlertSeverity
    text: str


def conditions(picture: Picture, limits: Thresholds) -> Iterator[Condition]:
    """Everything that holds."""
    is_halted = picture.view.head_age_s > limits.halted_s and not picture.view.is_starting
    yield from _chain(picture, limits)
    yield from _agreement(picture)
    yield from _rounds(picture)
    yield from _nodes(picture)
    yield from _machines(picture)
    yield from _loads(picture, limits)
    yield from _calls(picture)
    yield from _votes(picture)
    if not is_halted:
        yield from _pace(picture, limits)
        yield from _validators(picture)
        yield from _turns(picture)
        yield from _pool(picture)


def _whole(picture: Picture, name: str, severity: AlertSeverity, text: str) -> Condition:
    return Condition(name=name, subject=picture.reference.network, severity=severity, text=text)


def _chain(picture: Picture, limits: Thresholds) -> Iterator[Condition]:
    """Whether there are blocks, and whether there can be."""
    view = picture.view
    if view.is_starting:
        return
    if view.head_age_s > limits.halted_s:
        text = f"no block for {lasting(view.head_age_s)}: {view.online} of {view.validators} validators take part"
        if view.missing:
            text += f"; missing: {listed(view.absent)}"
        yield _whole(picture, "ChainHalted", CRITICAL, text)
    elif view.head_age_s > limits.late_s:
        yield _whole(
            picture,
            "ChainLate",
            WARNING,
            f"the newest block, {view.height}, is {lasting(view.head_age_s)} old",
        )
    if view.weight < view.quorum_weight:
        yield _whole(
            picture,
            "QuorumLost",
            CRITICAL,
            f"a weight of {view.weight} of {view.total_weight} takes part, and {view.quorum_weight} is needed; missing: "
            f"{listed(view.absent)}",
        )
    elif view.missing and view.spare == 0:
        yield _whole(
            picture,
            "QuorumMarginZero",
            WARNING,
            f"{view.online} of {view.validators} validators take part, and none of them can be spared; missing: {listed(view.absent)}",
        )


def _agreement(picture: Picture) -> Iterator[Condition]:
    """Whether all are of one chain, and nobody lies."""
    scene, hashes = picture.scene, picture.observation.hashes
    if any(consensus_of(node).fork is not None for node in scene.chain) or len(set(hashes.values())) > 1:
        text = picture.view.disagreement or "two blocks are decided at one height"
        yield _whole(picture, "ConflictingHeads", CRITICAL, text)
    for node in scene.strayed:
        yield Condition(
            name="GenesisMismatch",
            subject=node.name,
            severity=CRITICAL,
            text=f"{node.name} runs another chain: its genesis is {consensus_of(node).genesis_hash[:10]}, the others' is "
            f"{(scene.genesis_hash or '')[:10]}",
        )
    for node in scene.chain:
        reason = consensus_of(node).halted
        if reason is not None:
            yield Condition(
                name="NodeHalted",
                subject=node.name,
                severity=CRITICAL,
                text=f"{node.name} has halted: {reason[:300]}",
            )
    for (name, _), count in sorted(picture.memory.increase("forged", WINDOW_S).items()):
        if count > 0:
            yield Condition(
                name="BadSeal",
                subject=name,
                severity=WARNING,
                text=f"{name} was sent {count:.0f} consensus messages in five minutes whose signature is wrong",
            )
    told = set()
    for node in scene.chain:
        for accusation in node.accusations:
            # A node keeps its proofs for ever; somebody is woken while the height is young.
            is_new = scene.head - accusation.height <= _blocks_of(picture, 3_600)
            if accusation.validator not in told and is_new:
                told.add(accusation.validator)
                yield Condition(
                    name="Equivocation",
                    subject=scene.name(accusation.validator),
                    severity=CRITICAL,
                    text=f"{scene.name(accusation.validator)} has signed two contradicting messages at height {accusation.height}",
                )


def _blocks_of(picture: Picture, seconds: float) -> int:
    return int(seconds / max(1, picture.reference.period_s))


def _rounds(picture: Picture) -> Iterator[Condition]:
    """Whether heights take their first round."""
    view, scene = picture.view, picture.scene
    if view.round >= thresholds.ROUND_RISING:
        is_high = view.round >= thresholds.ROUND_HIGH
        yield _whole(
            picture,
            "HighRound" if is_high else "RoundRising",
            CRITICAL if is_high else WARNING,
            f"height {view.height + 1} is in round {view.round}",
        )
    rounds = {
        node.name: consensus_of(node).round
        for node in scene.viewers
        if consensus_of(node).signs and consensus_of(node).height == picture.reference.height
    }
    if rounds and max(rounds.values()) - min(rounds.values()) >= thresholds.ROUND_SKEW:
        shown = ", ".join(f"{name} in {number}" for name, number in sorted(rounds.items()))
        yield _whole(
            picture, "RoundSkew", WARNING, f"validators are in different rounds of one height: {shown}"
        )


def _pace(picture: Picture, limits: Thresholds) -> Iterator[Condition]:
    """Whether blocks come as they should."""
    slowest = percentile(picture.intervals_s, 0.95)
    if slowest is not None and slowest > limits.slow_s:
        yield _whole(
            picture,
            "BlockIntervalSlow",
            CRITICAL if slowest > limits.very_slow_s else WARNING,
            f"5 of 100 blocks of the last five minutes took {lasting(slowest)} or more",
        )
    blocks = picture.memory.blocks
    known = (
        [
            block
            for block in picture.memory.lately(blocks[-1].timestamp, ROUNDS_WINDOW_S)
            if block.round is not None
        ]
        if blocks
        else []
    )
    late = sum(block.round != 0 for block in known)
    if len(known) >= ROUNDS_BLOCKS_MIN and late / len(known) > thresholds.ROUNDS_LATE_SHARE:
        yield _whole(
            picture,
            "FrequentRoundChanges",
            WARNING,
            f"{late} of the last {len(known)} blocks needed more than one round",
        )


def _validators(picture: Picture) -> Iterator[Condition]:
    """Whether members speak, as any node has heard them."""
    scene, view = picture.scene, picture.view
    counted = {member.address for member in scene.counted}
    sealed = list(picture.memory.blocks)[-thresholds.SEALS_WINDOW :]
    for member in scene.members:
        name = scene.name(member.address)
        heard = [
            seconds
            for viewer in scene.viewers
            if consensus_of(viewer).validator != member.address
            and (seconds := scene.heard_s(viewer, member.address)) is not None
        ]
        if member.address not in counted and heard and min(heard) > thresholds.SILENT_S:
            yield Condition(
                name="ValidatorSilent",
                subject=name,
                severity=CRITICAL if view.spare == 0 else WARNING,
                text=f"{name} takes no part: {scene.why_missing(member.address)}",
            )
        elif (
            len(sealed) == thresholds.SEALS_WINDOW
            and member.address in counted
            and all(block.sealed_by and member.address not in block.sealed_by for block in sealed)
        ):
            yield Condition(
                name="ValidatorSealsZero",
                subject=name,
                severity=INFO,
                text=f"{name} takes part, and none of the last {len(sealed)} certificates has its seal",
            )


def _turns(picture: Picture) -> Iterator[Condition]:
    missed = picture.memory.most_increased("missed", TURNS_WINDOW_S)
    proposed = picture.memory.most_increased("proposed", TURNS_WINDOW_S)
    missed_lately = picture.memory.most_increased("missed", WINDOW_S)
    proposed_lately = picture.memory.most_increased("proposed", WINDOW_S)
    members = {member.address for member in picture.scene.members}
    for address, count in sorted(missed.items()):
        turns = count + proposed.get(address, 0.0)
        is_often = count >= thresholds.MISSED_MIN and count > thresholds.MISSED_SHARE * turns
        is_in_a_row = missed_lately.get(address, 0.0) >= thresholds.MISSED_MIN and not proposed_lately.get(
            address, 0.0
        )
        if address in members and (is_often or is_in_a_row):
            name = picture.scene.name(address)
            yield Condition(
                name="ProposalsMissed",
                subject=name,
                severity=WARNING,
                text=f"{name} has missed {count:.0f} of its {turns:.0f} turns in half an hour",
            )


def _nodes(picture: Picture) -> Iterator[Condition]:
    """Whether nodes answer, stay up, and are at the head."""
    scene, observation = picture.scene, picture.observation
    yield from nodes_down(observation.facts.nodes, [member.address for member in scene.members])
    for node in observation.facts.nodes:
        count = picture.memory.restarts_of(node.name, observation.at_s)
        if count >= thresholds.RESTARTS_MAX:
            yield Condition(
                name="CrashLoop",
                subject=node.name,
                severity=CRITICAL,
                text=f"{node.name} was started {count} times in {RESTARTS_WINDOW_S / 60:.0f} minutes",
            )
    for node in scene.chain:
        view = consensus_of(node)
        behind = max(scene.head, view.sync_target) - view.head
        if behind > thresholds.BEHIND_WARNING:
            yield Condition(
                name="NodeBehind",
                subject=node.name,
                severity=CRITICAL if behind > thresholds.BEHIND_CRITICAL else WARNING,
                text=f"{node.name} is {behind} blocks behind, at {view.head}",
            )
    yield from _connections(picture)
    builds = Counter(
        f"{page.label('metanode_build_info', 'version')} ({page.label('metanode_build_info', 'commit')})"
        for page in observation.pages.values()
        if page.label("metanode_build_info", "version") is not None
    )
    if len(builds) > 1:
        shown = listed(f"{count} run {build}" for build, count in sorted(builds.items()))
        yield _whole(picture, "VersionMix", INFO, f"nodes run different builds: {shown}")


def nodes_down(nodes: Sequence[NodeFacts], members: Sequence[str]) -> Iterator[Condition]:
    """The nodes that do not answer; grave when they are more validators than the network can lose."""

    def is_validator(node: NodeFacts) -> bool:
        if node.consensus is not None:
            return any(member.is_own for member in node.consensus.validators)
        return node.role == "validator" if node.role is not None else node.key in members

    validators = [node for node in nodes if is_validator(node)]
    too_many = sum(node.trouble is not None for node in validators) > (len(validators) - 1) / 3
    for node in nodes:
        if node.trouble is not None:
            yield Condition(
                name="NodeDown",
                subject=node.name,
                severity=CRITICAL if too_many and node in validators else WARNING,
                text=f"{node.name} does not answer: {_why(node)}",
            )


def _why(node: NodeFacts) -> str:
    """Why a node is down, without its address, which may hold a password."""
    assert node.trouble is not None, node.name
    said = node.detail.replace(node.url, node.name) if node.trouble is not Trouble.UNREACHABLE else ""
    return f"{node.trouble.value}{f', {said}' if said else ''}"


def _connections(picture: Picture) -> Iterator[Condition]:
    """Whether validators have connections of their own."""
    scene = picture.scene
    reach = {
        node.name: sum(member.is_connected for member in consensus_of(node).validators)
        for node in scene.viewers
        if any(member.is_own for member in consensus_of(node).validators)
    }
    most = max(reach.values(), default=0)
    for name, count in sorted(reach.items()):
        if len(scene.members) > 1 and count <= 1:
            yield Condition(
                name="NoPeers", subject=name, severity=CRITICAL, text=f"{name} is connected with no validator"
            )
        elif count < most:
            yield Condition(
                name="PeersLow",
                subject=name,
                severity=WARNING,
                text=f"{name} is connected with {count - 1} other validators, others are with {most - 1}",
            )


def _machines(picture: Picture) -> Iterator[Condition]:
    """Clocks and disks."""
    for node in picture.scene.chain:
        offset_ms = consensus_of(node).clock_offset_ms
        if offset_ms is not None and abs(offset_ms) > thresholds.CLOCK_WARNING_S * 1000:
            yield Condition(
                name="ClockSkew",
                subject=node.name,
                severity=CRITICAL if abs(offset_ms) > thresholds.CLOCK_CRITICAL_S * 1000 else WARNING,
                text=f"the clock of {node.name} is {lasting(abs(offset_ms) / 1000)} "
                f"{'ahead of' if offset_ms > 0 else 'behind'} the validators' median",
            )
    for name, page in sorted(picture.observation.pages.items()):
        free = page.value("metanode_disk_free_bytes", volume="data")
        if free is not None and free < thresholds.DISK_WARNING_BYTES:
            yield Condition(
                name="DiskLow",
                subject=name,
                severity=CRITICAL if free < thresholds.DISK_CRITICAL_BYTES else WARNING,
                text=f"the disk of {name} has {free / 1024**3:.1f} GiB left",
            )


def _loads(picture: Picture, limits: Thresholds) -> Iterator[Condition]:
    """Whether machines are enough, event loops run in time, and blocks are executed in theirs."""
    memory, pages = picture.memory, picture.observation.pages
    yield from _overloads(picture, limits)
    for name, late_s in sorted(memory.loop_lags.percentiles(0.99).items()):
        if name in pages and late_s > thresholds.LOOP_LAG_WARNING_S:
            yield Condition(
                name="EventLoopStalled",
                subject=name,
                severity=CRITICAL if late_s > thresholds.LOOP_LAG_CRITICAL_S else WARNING,
                text=f"the event loop of {name} is {late_s:.1f} s late",
            )
    roots = memory.state_roots.percentiles(0.95)
    for name, executing_s in sorted(memory.executing.percentiles(0.95).items()):
        took_s = executing_s + roots.get(name, 0.0)
        if name in pages and took_s > limits.execution_slow_s:
            yield Condition(
                name="BlockExecutionSlow",
                subject=name,
                severity=WARNING,
                text=f"{name} takes {took_s:.1f} s to execute a block; the time between blocks is {limits.block_time_s:g} s",
            )


def _overloads(picture: Picture, limits: Thresholds) -> Iterator[Condition]:
    """Whether nodes take almost all the processor or memory that they may take."""
    cores = picture.memory.cores_used(DURATIONS_WINDOW_S)
    for name, page in sorted(picture.observation.pages.items()):
        used, resident = cores.get(name, 0.0), page.value("process_resident_memory_bytes") or 0.0
        taken = []
        if used > thresholds.OVERLOADED_SHARE * limits.node_cores:
            taken.append(f"{used:.1f} of {limits.node_cores:g} cores")
        if resident > thresholds.OVERLOADED_SHARE * limits.node_memory_bytes:
            taken.append(
                f"{resident / 1024**3:.1f} of {limits.node_memory_bytes / 1024**3:.1f} GiB of memory"
            )
        if taken:
            yield Condition(
                name="NodeOverloaded", subject=name, severity=WARNING, text=f"{name} uses {listed(taken)}"
            )


def _calls(picture: Picture) -> Iterator[Condition]:
    """Whether calls end well, and in time."""
    memory, pages = picture.memory, picture.observation.pages
    faults = memory.increase("faults", WINDOW_S)
    for key, calls in sorted(memory.increase("calls", WINDOW_S).items()):
        share = faults.get(key, 0.0) / calls if calls >= thresholds.RPC_BUSY * WINDOW_S else 0.0
        if share > thresholds.RPC_ERRORS_WARNING:
            yield Condition(
                name="RpcErrors",
                subject=key[0],
                severity=CRITICAL if share > thresholds.RPC_ERRORS_CRITICAL else WARNING,
                text=f"{share:.0%} of the calls of {key[0]} end with an internal error",
            )
    for name, took_s in sorted(memory.cheap_calls.percentiles(0.95).items()):
        if name in pages and took_s > thresholds.RPC_SLOW_S:
            yield Condition(
                name="RpcSlow",
                subject=name,
                severity=WARNING,
                text=f"calls of {name} that should be quick take {took_s:.1f} s",
            )


def _votes(picture: Picture) -> Iterator[Condition]:
    """Whether members want others in or out, who are not yet."""
    observation = picture.observation
    wishes = {
        name: page.by("metanode_consensus_pending_votes", "action")
        for name, page in observation.pages.items()
    }
    # A page counts wishes that are met as well: who is asked tells them apart.
    wishes |= {node.name: open_wishes(node) for node in observation.facts.nodes if node.wishes is not None}
    for name, counts in sorted(wishes.items()):
        shown = [f"{count:.0f} to {action}" for action, count in sorted(counts.items()) if count > 0]
        if shown:
            yield Condition(
                name="VotePending",
                subject=name,
                severity=INFO,
                text=f"{name} has open votes on members: {', '.join(shown)}",
            )


def open_wishes(node: NodeFacts) -> dict[str, float]:
    """How many members a node's validator wants to add and to drop; not those whom the set has, or has not, already."""
    members = {member.address for member in node.consensus.validators} if node.consensus else set()
    unmet = [adding for address, adding in (node.wishes or {}).items() if (address in members) is not adding]
    return {"add": unmet.count(True), "drop": unmet.count(False)}


def _pool(picture: Picture) -> Iterator[Condition]:
    """Whether transactions get in."""
    for (name, _), count in sorted(picture.memory.increase("pool_full", WINDOW_S).items()):
        if count > 0:
            yield Condition(
                name="TxPoolFull",
                subject=name,
                severity=WARNING,
                text=f"{name} has refused {count:.0f} transactions in five minutes because its pool was full",
            )
    for name, page in sorted(picture.observation.pages.items()):
        oldest_s = page.value("metanode_txpool_oldest_pending_age_seconds")
        if oldest_s is not None and oldest_s > thresholds.TRANSACTION_STUCK_S:
            yield Condition(
                name="TxStuck",
                subject=name,
                severity=WARNING,
                text=f"a transaction that could run has waited in {name} for {lasting(oldest_s)} while blocks came",
            )
