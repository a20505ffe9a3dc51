"""Dead proposers cost nothing, and nobody can be made to look dead: slots and skipping (docs/spec/chain.md, Time; docs/spec/chain.md, Proposers).

What is claimed of the dead: three rotations after they died no height takes a second round, every block carries its slot's time, and the
mean interval is the period. Of the living: whoever seals is back in the rotation two blocks later. Of liars: F of them cannot take away a
turn of an honest validator, nor its standing, by leaving its seals out, by voting against its blocks, or by their timing.
"""

import asyncio
import dataclasses
import functools
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Final

from metanode.chain.certificate import Certificate
from metanode.chain.proposers import SILENT_TURNS
from metanode.consensus.messages import Commit, Message, Prepare, Proposal, RoundChange
from metanode.consensus.wire import encode
from metanode.primitives.types import Address, Height, Round
from metanode.simulation.adversaries.corruption import corrupt, honest
from metanode.simulation.cluster import GENESIS_TIME, Cluster
from metanode.simulation.invariants import InvariantBroken
from metanode.simulation.network import LinkFaults
from metanode.simulation.node import SimulatedNode
from metanode.simulation.scenarios.recovery import ROUND_CAP_S
from metanode.simulation.scenarios.story import SETTLE_S, Scenario, drawing, require

ROTATIONS: Final = 3
"""Turns of everybody after which the dead must cost nothing: two in which they are missed, and one that is under way."""
MEAN_ERROR_S: Final = 0.02
SIZES: Final = (3, 4, 6, 7, 10)
LATE_S: Final = 0.9
"""How long a liar sits on its own proposals: short of the first deadline, so that it is not simply dead."""


# --- the dead ------------------------------------------------------------------------------------------------------------------------------


def _dead(count: Callable[[Cluster], int]) -> Callable[[Cluster], Awaitable[None]]:
    async def play(cluster: Cluster) -> None:
        dead = cluster.random.sample(range(len(cluster.nodes)), count(cluster))
        async with cluster.running():
            await cluster.wait_height(cluster.random.randint(1, 2 * len(cluster.nodes)))
            for index in dead:
                cluster.crash(index)
            await _wait_rotations(cluster, ROTATIONS)
            await _require_full_pace(cluster, dead)

    return play


async def _returning(cluster: Cluster) -> None:
    """One that has long been skipped comes back at a drawn moment: no round fails for it, and its turn is its turn again."""
    dead = cluster.random.sample(range(len(cluster.nodes)), _faulty(cluster))
    back = cluster.nodes[dead[0]]
    _slow_down(cluster, back.index)
    async with cluster.running():
        await cluster.wait_height(cluster.random.randint(1, len(cluster.nodes)))
        for index in dead:
            cluster.crash(index)
        await _wait_rotations(cluster, ROTATIONS)
        await cluster.wait_s(cluster.random.randint(0, 1000 * cluster.period_s) / 1000)
        since = cluster.height
        cluster.start(back.index)
        await _wait_rotations(cluster, 2)
        _require_round_0(cluster, since + 1)
        sealed = _first_seal(cluster, back.key.address, since)
        proposed = [b.height for b in cluster.checker.blocks[since:] if b.header.proposer == back.key.address]
        require(
            bool(proposed) and proposed[0] >= sealed + 2, f"it sealed {sealed} first and proposed {proposed}"
        )
        _require_no_turn_missed(cluster, back.key.address, Height(sealed + 2), Height(proposed[0]))


async def _dead_after_a_halt(cluster: Cluster) -> None:
    """The network stops; when it goes on, all but a quorum stay dead."""
    crashes = cluster.rules.parameters.validators.tolerance(cluster.rules.quorum_rule).crashes
    gone = cluster.random.sample(range(len(cluster.nodes)), crashes + 1)
    async with cluster.running():
        await cluster.wait_height(cluster.random.randint(1, len(cluster.nodes)))
        for index in gone:
            cluster.crash(index)
        await cluster.wait_s(cluster.random.choice([20, 60, 600, 3600]))
        cluster.start(gone.pop())
        # The rounds are at their cap by now, and the dead may come first in turn.
        await cluster.wait_height(cluster.height + 1, within_s=ROUND_CAP_S * (crashes + 1) + SETTLE_S)
        await _wait_rotations(cluster, ROTATIONS)
        await _require_full_pace(cluster, gone)


async def _dead_at_set_changes(cluster: Cluster) -> None:
    """One is dead. A candidate is voted in that lives, or is dead as well; then the dead validator is voted out."""
    candidate = cluster.nodes[-1]
    dead = cluster.nodes[cluster.random.randrange(len(cluster.nodes) - 1)]
    lives = cluster.random.random() < 0.5
    async with cluster.running(start=[n.index for n in cluster.nodes if lives or n is not candidate]):
        await cluster.wait_height(cluster.random.randint(1, 4))
        cluster.crash(dead.index)
        await cluster.wait_s(1)
        _wish(cluster, {candidate.key.address: True})
        await _wait_set(cluster, candidate.key.address, is_in=True)
        await _wait_rotations(cluster, ROTATIONS)
        silent = [dead.index] if lives else [dead.index, candidate.index]
        await _require_full_pace(cluster, silent)
        _wish(cluster, {dead.key.address: False})
        await _wait_set(cluster, dead.key.address, is_in=False)
        await _wait_rotations(cluster, ROTATIONS)
        await _require_full_pace(cluster, silent)


# --- the liars -----------------------------------------------------------------------------------------------------------------------------


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


def _silence(cluster: Cluster, *, members: Sequence[int]) -> _Victim:
    """Let F validators work against one that is honest, and whose own messages take a drawn time longer than the others'."""
    drawn = cluster.random.sample(members, cluster.max_faulty + 1)
    victim = _Victim(
        cluster=cluster,
        node=cluster.nodes[drawn[-1]],
        liars=frozenset(drawn[:-1]),
        is_late=cluster.random.random() < 0.5,
    )
    for index in drawn[:-1]:
        liar = corrupt(cluster, index)
        liar.mischief = functools.partial(victim.lie, liar)
    _slow_down(cluster, victim.node.index)
    return victim


def _slow_down(cluster: Cluster, index: int) -> None:
    """Let what a node sends take a drawn time longer, so that its seals come when the others have decided."""
    by_s = cluster.random.choice([0, 100, 300]) / 1000
    if not by_s:
        return

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        if sender != index:
            return True
        asyncio.get_running_loop().call_later(by_s, cluster.network.deliver_again, sender, receiver, message)
        return False

    cluster.network.filters.append(lets_pass)


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
        sealed = _first_seal(cluster, victim.node.key.address, since)
        # Where F proposers in a row leave it out, the one after them does not; two blocks pass while it comes back.
        latest = since + cluster.max_faulty + 3
        require(
            sealed <= latest, f"the victim was back at height {since}, and its first seal is that of {sealed}"
        )
        _require_turns(cluster, victim, first=Height(sealed + 2))


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
            await _wait_set(cluster, candidate.key.address, is_in=is_in)
            await _wait_rotations(cluster, SILENT_TURNS + 1)
        _require_turns(cluster, victim, first=Height(2))


def _require_turns(cluster: Cluster, victim: _Victim, *, first: Height) -> None:
    """Every turn of the victim was decided in round 0, it was never near being skipped, and it had as many turns as anybody."""
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
    _require_no_turn_missed(cluster, address, first, Height(cluster.height))


# --- what is required ----------------------------------------------------------------------------------------------------------------------


async def _wait_rotations(cluster: Cluster, rotations: int) -> None:
    """Wait until everybody could have had so many turns; at worst all turns of the dead fail."""
    size = len(cluster.checker.state_before(Height(cluster.height + 1)).validators)
    await cluster.wait_height(cluster.height + rotations * size, within_s=SETTLE_S + 12 * rotations * size)


async def _wait_set(cluster: Cluster, address: Address, *, is_in: bool) -> None:
    """Wait until a vote has changed the set."""
    for _ in range(6 * len(cluster.nodes)):
        if (address in cluster.checker.state_before(Height(cluster.height + 1)).validators) is is_in:
            return
        await cluster.wait_height(cluster.height + 1)
    require(False, "the vote did not change the set")  # noqa: FBT003 - reached only when it failed


async def _require_full_pace(cluster: Cluster, dead: Sequence[int]) -> None:
    """Let every living validator have three turns; nothing may show that others are dead."""
    validators = cluster.checker.state_before(Height(cluster.height + 1)).validators
    silent = {cluster.nodes[index].key.address for index in dead}
    alive = [address for address in validators.addresses if address not in silent]
    first, turns = cluster.height, max(3, -(-20 // len(alive)))
    sent = cluster.checker.sent.get("RoundChange", 0)
    await cluster.wait_height(first + turns * len(alive), within_s=4 * cluster.period_s * turns * len(alive))
    last = first + turns * len(alive)
    _require_round_0(cluster, first + 1)
    require(cluster.checker.sent.get("RoundChange", 0) == sent, "a round change was sent for the dead")
    blocks = cluster.checker.blocks[first:last]
    for block, parent in zip(blocks, cluster.checker.blocks[first - 1 : last - 1], strict=True):
        gap_s = block.header.timestamp - parent.header.timestamp
        on_slot = (block.header.timestamp - GENESIS_TIME) % cluster.period_s == 0
        require(
            gap_s == cluster.period_s and on_slot,
            f"height {block.height} has the timestamp {block.header.timestamp - GENESIS_TIME}, {gap_s} s after its parent",
        )
    mean_s = (cluster.decided_at(last) - cluster.decided_at(first)) / (last - first)
    require(
        abs(mean_s - cluster.period_s) <= MEAN_ERROR_S,
        f"with {len(dead)} of {len(validators)} dead the mean interval is {mean_s:.3f} s",
    )
    proposed = [block.header.proposer for block in blocks]
    shares = [proposed.count(address) for address in alive]
    require(
        shares == [turns] * len(alive), f"the living had {shares} turns in {len(blocks)} heights, not {turns}"
    )


def _require_round_0(cluster: Cluster, first: int) -> None:
    failed = {
        height: round_ for height, round_ in cluster.checker.rounds.items() if height >= first and round_
    }
    require(not failed, f"heights took more than round 0: {failed}")


def _require_no_turn_missed(cluster: Cluster, address: Address, first: Height, last: Height) -> None:
    """The recorded proposers went round in address order without passing over this one."""
    for height in range(first, last + 1):
        if height < 2:
            continue
        before, now = (cluster.checker.blocks[h - 1].header.proposer for h in (height - 1, height))
        passed = before < address < now if before < now else address > before or address < now
        require(
            not passed or address == before,
            f"height {height}: 0x{now.hex()[:8]} proposed after 0x{before.hex()[:8]} and passed over 0x{address.hex()[:8]}",
        )


def _first_seal(cluster: Cluster, address: Address, since: int) -> int:
    """Return the first height after `since` that a validator has sealed, as the block after it says."""
    for block in cluster.checker.blocks[since:]:
        if _seals_parent(cluster, block.height, address):
            return block.height - 1
    raise InvariantBroken(f"the validator that came back at height {since} has sealed nothing")


def _seals_parent(cluster: Cluster, height: Height, address: Address) -> bool:
    certificate = cluster.checker.blocks[height - 1].parent_certificate
    if certificate is None:
        return False
    return address in certificate.addresses(cluster.checker.state_before(Height(height - 1)).validators)


def _wish(cluster: Cluster, wishes: dict[Address, bool]) -> None:
    for node in cluster.nodes:
        if node.is_running:
            node.driver.set_wishes(wishes)


def _faulty(cluster: Cluster) -> int:
    """F, and one where F is none and yet one may be dead."""
    return max(cluster.max_faulty, 1)


def _crashes(cluster: Cluster) -> int:
    """All but a quorum."""
    return cluster.rules.parameters.validators.tolerance(cluster.rules.quorum_rule).crashes


def _any_size(sizes: Sequence[int]) -> Callable[[int, int | None], Cluster]:
    """Return the drawing of a cluster of one of these sizes."""

    def draw(seed: int, wanted: int | None) -> Cluster:
        size = wanted or Random(seed).choice(sizes)
        return drawing(size)(seed, None)

    return draw


DEAD_PROPOSERS: Final[dict[str, Scenario]] = {
    "dead-proposers": Scenario(
        claim="three rotations after F validators died, every height takes its slot, and nothing shows that they are dead",
        draw=_any_size(SIZES),
        play=_dead(_faulty),
    ),
    "all-but-a-quorum-dead": Scenario(
        claim="with all but a quorum dead, every height takes its slot from three rotations on",
        draw=_any_size(SIZES),
        play=_dead(_crashes),
    ),
    "returning-validator": Scenario(
        claim="a validator that comes back has its turn again two blocks after its first seal, and costs no round",
        draw=_any_size(SIZES),
        play=_returning,
    ),
    "dead-after-a-halt": Scenario(
        claim="after a halt with all but a quorum dead, every height takes its slot from three rotations on",
        draw=_any_size(SIZES),
        play=_dead_after_a_halt,
    ),
    "dead-at-set-changes": Scenario(
        claim="votes let validators in and out among the dead, and then every height takes its slot",
        draw=drawing(5, candidates=1),
        play=_dead_at_set_changes,
    ),
    "silencing": Scenario(
        claim="F liars that leave out its seals, refuse its blocks and hurry its rounds take no turn from an honest validator",
        draw=_any_size((4, 7, 10)),
        play=_silencing,
    ),
    "silencing-a-returning-validator": Scenario(
        claim="F liars that leave out its seals cannot keep out a validator that was skipped and comes back",
        draw=_any_size((4, 7, 10)),
        play=_silencing_a_returning,
    ),
    "silencing-at-set-changes": Scenario(
        claim="the same while validators are voted in and out, and the liars vote against it",
        draw=drawing(4, candidates=1, faults=LinkFaults(delay_ms_max=20)),
        play=_silencing_at_set_changes,
    ),
}
