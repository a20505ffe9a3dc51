"""Nobody can be made to look dead: liars who want the skip rule and the slots to silence an honest validator.

As many as safety and liveness bear leave its seals out of the certificates in their blocks, answer its proposals with a round change, vote
to drop it, and come late with their own. They can take from it neither a turn nor its standing.
"""

import asyncio
import dataclasses
import functools
from collections.abc import Sequence
from typing import Final

from metanode.chain.certificate import Certificate
from metanode.chain.proposers import SILENT_TURNS
from metanode.chain.quorum import QuorumRule
from metanode.consensus.messages import Commit, Message, Prepare, Proposal, RoundChange
from metanode.consensus.wire import encode
from metanode.primitives.types import Height, Round
from metanode.simulation.adversaries.corruption import corrupt, honest
from metanode.simulation.cluster import Cluster
from metanode.simulation.network import LinkFaults
from metanode.simulation.node import SimulatedNode
from metanode.simulation.scenarios.recovery import ROUND_CAP_S
from metanode.simulation.scenarios.story import SETTLE_S, Scenario, drawing, require
from metanode.simulation.scenarios.turns import (
    ROTATIONS,
    any_size,
    any_stakes,
    as_many,
    first_seal,
    may_lie,
    require_no_turn_missed,
    slow_down,
    wait_rotations,
    wait_set,
)

HALTED_S: Final = (20, 60, 600, 3600)
"""How long too few for a quorum are there."""
LATE_S: Final = 0.9
"""How long a liar sits on its own proposals: short of the first deadline, so that it is not simply dead."""


@dataclasses.dataclass(slots=True)
class _Victim:
    """An honest validator that F liars want to be skipped."""

    cluster: Cluster
    node: SimulatedNode
    liars: frozenset[int]
    is_late: bool
    """The liars' own proposals come late, so that the victim's seals on them do."""

    def lie(self, liar: SimulatedNode, message: Message) -> list[tuple[int, Message]]:
        """Return what a liar sends in place of a message of its own."""
        everybody = range(len(self.cluster.nodes))
        if isinstance(message, Proposal):
            told = self._without_seal(liar, message)
            if not self.is_late:
                return [(other, told) for other in everybody]
            loop, network = asyncio.get_running_loop(), self.cluster.network
            for other in everybody:
                if other != liar.index:
                    loop.call_later(LATE_S, network.send, liar.index, other, encode(told), told)
            return []
        if isinstance(message, Prepare | Commit) and self._is_victims(message):
            # It has seen the victim's proposal: not a vote for it, but for the round after it.
            change = self._leave(liar, message)
            return [(other, change) for other in everybody]
        return [(other, message) for other in everybody]

    def _is_victims(self, message: Prepare | Commit) -> bool:
        cluster = self.cluster
        if message.height > cluster.height + 1:
            return False
        return cluster.proposer(message.height, message.round) == self.node.index

    def _leave(self, liar: SimulatedNode, message: Prepare | Commit) -> RoundChange:
        round_ = Round(message.round + 1)
        digest = liar.rules.domain.round_change(height=message.height, round=round_, prepared=None)
        return RoundChange(
            height=message.height,
            round=round_,
            prepared=None,
            author=liar.key.address,
            signature=liar.key.sign(digest),
        )

    def _without_seal(self, liar: SimulatedNode, proposal: Proposal) -> Proposal:
        """Leave the victim's seal out of the parent's certificate, if the rest is a quorum."""
        block = proposal.block
        if block is None or block.header.proposer != liar.key.address or block.parent_certificate is None:
            return proposal
        certificate, before = (
            block.parent_certificate,
            self.cluster.checker.state_before(Height(block.height - 1)),
        )
        signers = certificate.addresses(before.validators)
        seals = dict(zip(signers, certificate.seals, strict=True))
        seals.pop(self.node.key.address, None)
        if not before.validators.is_quorum(seals, liar.rules.quorum_rule):
            return proposal
        poorer = Certificate.of(
            height=certificate.height,
            round=certificate.round,
            block_hash=certificate.block_hash,
            seals=seals,
            validators=before.validators,
        )
        header = dataclasses.replace(block.header, parent_certificate_hash=poorer.hash)
        told = dataclasses.replace(block, header=header, parent_certificate=poorer)
        digest = liar.rules.domain.proposal(
            height=proposal.height, round=proposal.round, block_hash=told.hash
        )
        return dataclasses.replace(proposal, header=header, block=told, signature=liar.key.sign(digest))


async def _silencing(cluster: Cluster) -> None:
    victim = _silence(cluster, members=range(len(cluster.nodes)))
    async with cluster.running():
        turns = 2 * SILENT_TURNS + 1
        await cluster.wait_height(
            turns * len(cluster.nodes), nodes=honest(cluster), within_s=20 * turns * len(cluster.nodes)
        )
        _require_turns(cluster, victim, first=Height(2))


async def _silencing_a_returning(cluster: Cluster) -> None:
    """The victim was dead and is skipped when it comes back, and the liars leave out its seals to keep it out."""
    victim = _silence(cluster, members=range(len(cluster.nodes)))
    others = [index for index in honest(cluster) if index != victim.node.index]
    async with cluster.running(start=[n.index for n in cluster.nodes if n is not victim.node]):
        await cluster.wait_height(ROTATIONS * len(cluster.nodes), nodes=others, within_s=600)
        since = cluster.height
        cluster.start(victim.node.index)
        await cluster.wait_height(since + 4 * len(cluster.nodes), nodes=honest(cluster), within_s=600)
        sealed = first_seal(cluster, victim.node.key.address, since)
        # Two blocks pass while it comes back. Where F proposers in a row leave it out, the one after them does not, unless the last
        # of them was late with its own block: then the seal of a slow validator on it is later than the next proposal.
        latest = since + cluster.max_faulty + 3 + victim.is_late
        require(
            sealed <= latest, f"the victim was back at height {since}, and its first seal is that of {sealed}"
        )
        _require_turns(cluster, victim, first=Height(sealed + 2))


async def _silencing_after_a_halt(cluster: Cluster) -> None:
    """One honest validator and the liars are away until rounds are long; what the liars then do costs the victim nothing but its turn of that height."""
    victim = _silence(cluster, members=range(len(cluster.nodes)))
    rest = [index for index in honest(cluster) if index != victim.node.index]
    async with cluster.running():
        await cluster.wait_height(2, nodes=honest(cluster))
        gone = [cluster.random.choice(rest), *victim.liars]
        for index in gone:
            cluster.crash(index)
        await cluster.wait_s(cluster.random.choice(HALTED_S))
        halted = cluster.height
        for index in gone:
            cluster.start(index)
        # The rounds are at their cap by now, and liars may come first in turn.
        await cluster.wait_height(
            halted + 1, nodes=honest(cluster), within_s=ROUND_CAP_S * (len(gone) + 2) + SETTLE_S
        )
        turns = 2 * SILENT_TURNS + 1
        await cluster.wait_height(
            halted + turns * len(cluster.nodes),
            nodes=honest(cluster),
            within_s=20 * turns * len(cluster.nodes),
        )
        # Seals on the first blocks after it may be missing for whoever was not back yet.
        _require_turns(cluster, victim, first=Height(halted + 3))


async def _silencing_at_set_changes(cluster: Cluster) -> None:
    """The liars also vote against the victim, while the others let somebody in and out."""
    candidate = cluster.nodes[-1]
    victim = _silence(cluster, members=range(len(cluster.nodes) - 1))
    async with cluster.running():
        await cluster.wait_height(2)
        for is_in in (True, False):
            for node in cluster.nodes:
                is_liar = node.index in victim.liars
                node.driver.set_wishes(
                    {victim.node.key.address: False} if is_liar else {candidate.key.address: is_in}
                )
            await wait_set(cluster, candidate.key.address, is_in=is_in)
            await wait_rotations(cluster, SILENT_TURNS + 1)
        _require_turns(cluster, victim, first=Height(2))


def _silence(cluster: Cluster, *, members: Sequence[int]) -> _Victim:
    """Let F validators work against one that is honest, and whose own messages take a drawn time longer than the others'."""
    liars = as_many(cluster, members, may_lie)
    chosen = cluster.random.choice([index for index in members if index not in liars])
    victim = _Victim(
        cluster=cluster,
        node=cluster.nodes[chosen],
        liars=frozenset(liars),
        is_late=cluster.random.random() < 0.5,
    )
    for index in liars:
        liar = corrupt(cluster, index)
        liar.mischief = functools.partial(victim.lie, liar)
    slow_down(cluster, victim.node.index)
    return victim


def _require_turns(cluster: Cluster, victim: _Victim, *, first: Height) -> None:
    """Every turn of the victim was decided in round 0, and it was never near being skipped."""
    checker, address = cluster.checker, victim.node.key.address
    for height in range(first, cluster.height + 1):
        before = checker.state_before(Height(height))
        quiet = height - before.standing(address).last_active
        # Between two honest proposers lie at most F liars, each with a failed turn of its own.
        bound = len(before.validators)
        require(quiet <= bound, f"height {height}: the victim's last sign of life is {quiet} heights old")
        if before.proposer(Round(0), cluster.rules.quorum_rule) == address:
            block = checker.blocks[height - 1]
            require(
                checker.rounds[Height(height)] == 0 and block.header.proposer == address,
                f"height {height}: the victim lost its turn, decided in round {checker.rounds[Height(height)]}",
            )
    if cluster.rules.quorum_rule is QuorumRule.AUTHORITY:
        require_no_turn_missed(cluster, address, first, Height(cluster.height))


SILENCING: Final[dict[str, Scenario]] = {
    "silencing": Scenario(
        claim="F liars that leave out its seals, refuse its blocks and hurry its rounds take no turn from an honest validator",
        draw=any_size((4, 7, 10)),
        play=_silencing,
    ),
    "silencing-with-stakes": Scenario(
        claim="liars with less than a third of the stake take no turn from an honest validator",
        draw=any_stakes,
        play=_silencing,
    ),
    "silencing-a-returning-validator": Scenario(
        claim="F liars that leave out its seals cannot keep out a validator that was skipped and comes back",
        draw=any_size((4, 7, 10)),
        play=_silencing_a_returning,
    ),
    "silencing-after-a-halt": Scenario(
        claim="F liars that come back with an honest validator after a halt of up to an hour take no turn from another",
        draw=any_size((4, 7, 10)),
        play=_silencing_after_a_halt,
    ),
    "silencing-at-set-changes": Scenario(
        claim="the same while validators are voted in and out, and the liars vote against it",
        draw=drawing(4, candidates=1, faults=LinkFaults(delay_ms_max=20)),
        play=_silencing_at_set_changes,
    ),
}
