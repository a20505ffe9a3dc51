"""What stops a network, or keeps its open height: pure functions of the scene, each of which looks for one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk.testnet.diagnosis.facts import Trouble
from sdk.testnet.diagnosis.findings import Finding, Severity, lasting, listed
from sdk.testnet.diagnosis.scene import is_stalled, view_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdk.testnet.diagnosis.scene import Scene


def find_conflicts(scene: Scene) -> Iterator[Finding]:
    """Two decided blocks at one height: the gravest thing that can happen."""
    forked = [node for node in scene.chain if view_of(node).fork is not None]
    if not forked:
        return
    fork = view_of(forked[0]).fork
    assert fork is not None
    liars = listed(scene.name(address) for address in fork.sealed_both)
    yield Finding(
        code="conflicting-certificates",
        severity=Severity.ERROR,
        text=(
            f"two blocks are decided at height {fork.height}, and {listed(node.name for node in forked)} halted: a weight of "
            f"{fork.sealed_both_weight} of {fork.total_weight} has sealed both{f' ({liars})' if liars else ''}"
        ),
        action=(
            "agree with the other operators on the block that stands; stop every node that holds the other one and remove node.db and engine/ of "
            "its data directory, never signer.log; on each node that keeps its chain stop it, run `metanode node recover DIRECTORY`, and start it"
        ),
    )


def find_halts(scene: Scene) -> Iterator[Finding]:
    """Nodes that have halted for another reason."""
    for node in scene.answering:
        view = view_of(node)
        if view.halted is not None and view.fork is None:
            yield Finding(
                code="halted",
                severity=Severity.ERROR,
                text=f"{node.name} has halted: {view.halted}",
                action="the reason says what to do; `metanode node recover DIRECTORY` rewinds an engine that is ahead of every certificate",
            )


def find_missing_quorum(scene: Scene) -> Iterator[Finding]:
    """Too little weight together: who is missing, and why."""
    view = scene.reference
    if view is None or not view.validators:
        return
    weight = sum(member.power for member in scene.counted)
    here = {member.address for member in scene.counted}
    if weight + scene.coming_weight >= view.quorum_weight:
        return
    missing = [member.address for member in scene.members if member.address not in here]
    named = listed(f"{scene.name(address)} ({scene.why_missing(address)})" for address in missing)
    yield Finding(
        code="quorum-missing",
        severity=Severity.ERROR,
        text=f"validators with a weight of {weight} of {view.total_weight} take part, and {view.quorum_weight} are needed; missing: {named}",
        action=_bring_back(scene, missing),
    )


def _bring_back(scene: Scene, missing: list[str]) -> str:
    """The one command that starts them, where there is one."""
    local = scene.facts.local
    forgetful = [node for node in scene.forgetful if view_of(node).validator in missing]
    if forgetful:
        return (
            f"{listed(node.name for node in forgetful)} can't know what they have signed: docs/guide/lost-disks.md says how many of them may be "
            "started with --sign-without-watermark"
        )
    nodes = [scene.holders[address] for address in missing if address in scene.holders]
    suspended = [
        str(node.process.pid) for node in nodes if node.trouble is Trouble.SUSPENDED and node.process
    ]
    if suspended:
        return f"kill -CONT {' '.join(suspended)}"
    remedies = [found for node in nodes if (found := scene.remedy(node)) is not None]
    if remedies:
        return "; ".join(dict.fromkeys(remedies))
    if local is not None and any(node.trouble is Trouble.NOT_RUNNING for node in nodes):
        return (
            f"their logs say why they end: {local.command.format('logs')}"
            if local.is_supervised
            else local.start
        )
    if local is not None and any(node in scene.failing for node in nodes):
        return f"their logs say why they end: {local.command.format('logs')}"
    return "start the nodes that are missing, or give them back their network: each has to reach the others' p2p ports"


def find_partition(scene: Scene) -> Iterator[Finding]:
    """Validators that answer us and do not hear each other."""
    groups = scene.components
    if len(groups) < 2:
        return
    sides = [
        f"{listed(node.name for node in group)} (round {max(view_of(node).round for node in group)})"
        for group in groups
    ]
    yield Finding(
        code="partition",
        severity=Severity.ERROR,
        text=f"validators that run do not hear each other: {', '.join(sides[:-1])} on one side, {sides[-1]} on the other"
        if len(sides) == 2
        else f"validators that run do not hear each other, these groups are apart: {'; '.join(sides)}",
        action="look at firewalls and routes between their p2p ports; `admin_peers` shows whom each of them reaches",
    )


def find_starting(scene: Scene) -> Iterator[Finding]:
    """Nodes that take part by themselves in a few seconds."""
    if scene.starting:
        oldest_s = max(view_of(node).up_s for node in scene.starting)
        names = listed(node.name for node in scene.starting)
        begin = "has" if len(scene.starting) == 1 else "have"
        yield Finding(
            code="starting",
            severity=Severity.NOTE,
            text=f"{names} {begin} started {lasting(oldest_s)} ago and will take part in a few seconds: nothing to do",
        )
    if scene.rising:
        oldest_s = max(
            node.process.up_s for node in scene.rising if node.process and node.process.up_s is not None
        )
        names = listed(node.name for node in scene.rising)
        words = ("process has", "does") if len(scene.rising) == 1 else ("processes have", "do")
        yield Finding(
            code="starting",
            severity=Severity.NOTE,
            text=f"{names}: the {words[0]} started {lasting(oldest_s)} ago and {words[1]} not listen yet: nothing to do",
        )


def find_what_is_waited_for(scene: Scene) -> Iterator[Finding]:
    """What the open round lacks: the cause while it stalls with a quorum at hand, else a note when it is past round 0."""
    view = scene.reference
    if view is None or view.mode != "live" or not (is_stalled(view) or view.round > 0):
        return
    proposer = scene.name(view.proposer)
    place = f"round {view.round} of height {view.height}"
    voted = {"prepare": "prepare", "commit": "commit"}.get(view.phase)
    if view.phase == "waiting":
        text = f"{place} waits for its slot" + (
            f", {lasting(view.slot_ms / 1000)} from now" if view.slot_ms is not None else ""
        )
    elif view.is_block_missing:
        text = f"{place} has a block by its hash only, and nobody has sent it yet"
    elif view.phase == "proposal":
        changes = (
            f" ({view.round_change_weight} of {view.quorum_weight} have asked for this round)"
            if view.round
            else ""
        )
        text = f"{place} waits for the proposal of {proposer}{changes}"
    elif view.phase == "prepare" and not view.is_proposal_valid:
        text = f"{place} has a proposal of {proposer} that the execution engine refuses or has not judged yet"
    else:
        weight = view.prepare_weight if view.phase == "prepare" else view.commit_weight
        absent = [
            scene.name(member.address)
            for member in view.validators
            if voted
            and member.signed.get(voted) != view.round
            and not (voted == "prepare" and member.address == view.proposer)
        ]
        text = f"{place} has {voted}s with a weight of {weight} of {view.quorum_weight}; without one: {listed(absent)}"
    rounds = {node.name: view_of(node).round for node in scene.viewers if view_of(node).signs}
    if len(set(rounds.values())) > 1:
        text += "; rounds: " + ", ".join(f"{name} in {round_}" for name, round_ in sorted(rounds.items()))
    yield Finding(
        code="round-waits",
        severity=Severity.WARNING if is_stalled(view) and scene.is_quorum_here else Severity.NOTE,
        text=text,
    )


def find_missing_connections(scene: Scene) -> Iterator[Finding]:
    """Validators that hear each other only through others."""
    for node in scene.viewers:
        view = view_of(node)
        if not view.signs:
            continue
        far = [
            scene.name(member.address)
            for member in view.validators
            if not member.is_connected
            and not scene.is_out(member.address)
            and scene.heard_s(node, member.address) is not None
            and scene.hears(node, member.address)
        ]
        if far:
            yield Finding(
                code="not-connected",
                severity=Severity.NOTE,
                text=f"{node.name} has no connection of its own with {listed(far)}, and hears of it through others",
            )
