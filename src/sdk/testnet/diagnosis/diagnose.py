"""From facts to findings: a pure function, tested with a table. What may be wrong is looked for one thing after another.

Each has a function, in `network_rules` or in `node_rules`. A validator is silent when nothing with its signature was heard; that it is down, or of another chain, is said where that is known. Nothing is
concluded from what a peer merely claims, but for clocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk.testnet.diagnosis.facts import Trouble
from sdk.testnet.diagnosis.findings import Diagnosis, Finding, Severity, lasting
from sdk.testnet.diagnosis.network_rules import (
    find_conflicts,
    find_halts,
    find_missing_connections,
    find_missing_quorum,
    find_partition,
    find_starting,
    find_what_is_waited_for,
)
from sdk.testnet.diagnosis.node_rules import (
    find_engine_troubles,
    find_mute_keys,
    find_nodes_behind,
    find_other_chains,
    find_proven_lies,
    find_silent_validators,
    find_unusable_nodes,
    find_wrong_clocks,
    find_wrong_keys,
)
from sdk.testnet.diagnosis.scene import Scene, is_stalled

if TYPE_CHECKING:
    from sdk.testnet.diagnosis.facts import ConsensusView, NetworkFacts


def diagnose(facts: NetworkFacts) -> Diagnosis:
    """Return why the open height moves or does not, and everything that somebody should look at."""
    scene = Scene(facts)
    if facts.local is not None and all(node.trouble is Trouble.NOT_RUNNING for node in facts.nodes):
        return _stopped(facts)
    quorum = list(find_missing_quorum(scene))
    findings = [
        *find_conflicts(scene),
        *find_halts(scene),
        *quorum,
        *find_partition(scene),
        *find_starting(scene),
        *find_unusable_nodes(scene),
        *find_other_chains(scene),
        *find_wrong_keys(scene),
        # Who is missing for the quorum is named there.
        *([] if quorum else find_silent_validators(scene)),
        *find_mute_keys(scene),
        *find_engine_troubles(scene),
        *find_nodes_behind(scene),
        *find_wrong_clocks(scene),
        *find_proven_lies(scene),
        *find_what_is_waited_for(scene),
        *find_missing_connections(scene),
    ]
    order = list(Severity)
    findings.sort(key=lambda finding: order.index(finding.severity))
    is_moving = scene.reference is not None and not is_stalled(scene.reference)
    return Diagnosis(
        headline=_headline(scene, findings),
        height=None if scene.reference is None else scene.reference.height,
        is_moving=is_moving,
        findings=tuple(findings),
    )


def _headline(scene: Scene, findings: list[Finding]) -> str:
    view = scene.reference
    causes = [finding for finding in findings if finding.severity is Severity.ERROR] or findings
    if view is None:
        return causes[0].text if causes else "no node was asked"
    serious = [finding for finding in findings if finding.severity is not Severity.NOTE]
    if is_stalled(view):
        cause = causes[0].text if causes else "nothing that is seen from here keeps it"
        return f"height {view.height} has not moved for {lasting(view.since_decision_s)}: {cause}{_next_round(view)}"
    moves = f"height {view.height} moves: block {view.head} came {lasting(view.since_decision_s)} ago"
    if view.head == 0:
        moves = f"height {view.height} is open, no block has come yet"
    if serious:
        return f"{moves}; but {serious[0].text}"
    starting = [finding for finding in findings if finding.code == "starting"]
    if starting:
        return f"{moves}; {starting[0].text}"
    return f"{moves}, and all {len(scene.members)} validators take part"


def _next_round(view: ConsensusView) -> str:
    if view.mode != "live":
        return ""
    if view.round_ms is None:
        return f"; round {view.round} ends when a quorum has come to it" if view.round else ""
    return f"; round {view.round} ends in {lasting(view.round_ms / 1000)}"


def _stopped(facts: NetworkFacts) -> Diagnosis:
    local = facts.local
    assert local is not None
    text = f"the network in {local.path} is stopped: none of its {len(facts.nodes)} nodes runs"
    action = local.start
    if local.is_supervised:
        # `metanode up` would find it started already.
        ended = next((node for node in facts.nodes if node.process and node.process.last_words), None)
        words = (
            f"; the log of {ended.name} ends with: {ended.process.last_words}"
            if ended and ended.process
            else ""
        )
        text = f"none of the {len(facts.nodes)} nodes of the network in {local.path} runs, and its supervisor starts them again{words}"
        action = f"repair what their logs name, and they go on by themselves: {local.command.format('logs')}"
    finding = Finding(code="network-stopped", severity=Severity.ERROR, text=text, action=action)
    return Diagnosis(headline=finding.text, height=None, is_moving=False, findings=(finding,))
