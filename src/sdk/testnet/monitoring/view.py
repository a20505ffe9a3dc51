"""From what was seen to what the verdict and the alerts go by. Pure."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdk.testnet.diagnosis.findings import listed
from sdk.testnet.diagnosis.scene import STARTING_S, Scene
from sdk.testnet.monitoring.verdict import NetworkView, percentile, spare_validators

if TYPE_CHECKING:
    from sdk.testnet.diagnosis.facts import ConsensusView, NodeFacts
    from sdk.testnet.monitoring.memory import Memory
    from sdk.testnet.monitoring.observation import Observation


@dataclass(frozen=True, slots=True)
class Picture:
    """One look with what is concluded from it and from the past."""

    observation: Observation
    memory: Memory
    scene: Scene
    view: NetworkView
    intervals_s: list[float]
    """Between blocks of the last five minutes."""
    longest_age_s: float
    """What the newest block's age has come to since the one before, or that one's until it came: a period, if all is well."""
    highest_round: int
    """Of the open height, and of the blocks that were decided since the last look: a round that is over between two looks is seen too."""

    @property
    def reference(self) -> ConsensusView:
        """The node that the open height is told from."""
        found = self.scene.reference
        return found if found is not None else consensus_of(self.scene.chain[0])


def picture(observation: Observation, memory: Memory) -> Picture | None:
    """Take a look into the memory, and return what it shows; None when nobody answered."""
    scene = Scene(observation.facts)
    if not scene.chain:
        return None
    known = memory.blocks[-1] if memory.blocks and memory.genesis_hash == scene.genesis_hash else None
    memory.remember(observation, scene.head, scene.genesis_hash or "")
    # At the first look all blocks are new, and none of them came since.
    came = [] if known is None else [block for block in memory.blocks if block.number > known.number]
    reference = scene.reference if scene.reference is not None else consensus_of(scene.chain[0])
    counted = scene.counted
    here = {member.address for member in counted}
    absent = [member.address for member in scene.members if member.address not in here]
    weight = sum(member.power for member in counted)
    blocks = memory.lately(memory.blocks[-1].timestamp) if memory.blocks else []
    intervals = [
        float(after.timestamp - before.timestamp)
        for before, after in itertools.pairwise(blocks)
        if after.number == before.number + 1
    ]
    heads = [node for node in scene.chain if consensus_of(node).head == scene.head]
    # A node that was started again counts from its start, so what the monitor has seen itself is a bound too.
    decided_s = min((consensus_of(node).since_decision_s for node in heads), default=0.0)
    seen_s = observation.at_s - memory.head_at_s
    youngest = all(consensus_of(node).up_s < STARTING_S for node in scene.chain)
    is_quorum = weight >= reference.quorum_weight
    view = NetworkView(
        height=scene.head,
        head_age_s=max(decided_s, seen_s),
        round=max(
            (
                consensus_of(node).round
                for node in scene.viewers
                if consensus_of(node).height == reference.height and consensus_of(node).mode == "live"
            ),
            default=0,
        ),
        weight=weight + (scene.coming_weight if not is_quorum else 0),
        quorum_weight=reference.quorum_weight,
        total_weight=reference.total_weight,
        spare=spare_validators([member.power for member in counted], reference.quorum_weight),
        online=len(counted),
        validators=len(scene.members),
        missing=tuple(scene.name(address) for address in absent),
        reasons=tuple(scene.why_missing(address) for address in absent),
        is_starting=youngest and not is_quorum,
        disagreement=disagreement(scene, observation),
        interval_p95_s=percentile(intervals, 0.95),
    )
    longest_age_s = memory.lateness.follow(
        scene.head,
        view.head_age_s,
        at_s=observation.at_s,
        blocks=came if known is None else [known, *came],
    )
    highest_round = max([view.round, *(block.round for block in came if block.round is not None)])
    return Picture(observation, memory, scene, view, intervals, longest_age_s, highest_round)


def disagreement(scene: Scene, observation: Observation) -> str | None:
    """Which nodes are not of one chain, if any are not."""
    forked = [node.name for node in scene.chain if consensus_of(node).fork is not None]
    if forked:
        return f"two blocks are decided at one height, as {listed(forked)} has seen"
    if len(set(observation.hashes.values())) > 1:
        groups: dict[str, list[str]] = {}
        for name, found in sorted(observation.hashes.items()):
            groups.setdefault(found, []).append(name)
        sides = "; ".join(f"{found[:10]} on {listed(names)}" for found, names in groups.items())
        return f"block {observation.hashes_at} is not the same on all nodes: {sides}"
    if scene.strayed:
        return f"{listed(node.name for node in scene.strayed)} runs another chain"
    return None


def consensus_of(node: NodeFacts) -> ConsensusView:
    """The consensus state of a node that has answered."""
    assert node.consensus is not None, node.name
    return node.consensus
