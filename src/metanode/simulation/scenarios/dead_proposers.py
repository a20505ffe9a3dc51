"""Dead proposers cost nothing: slots and skipping (docs/spec/chain.md, Time; docs/spec/chain.md, Proposers).

What is claimed: three rotations after they died no height takes a second round, every block carries its slot's time, and the mean interval
is the period. Whoever comes back and seals is in the rotation again two blocks later.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from metanode.chain.proposers import scheduled_proposer
from metanode.chain.quorum import QuorumRule
from metanode.primitives.types import Address, Height
from metanode.simulation.cluster import GENESIS_TIME, Cluster
from metanode.simulation.scenarios.recovery import ROUND_CAP_S
from metanode.simulation.scenarios.story import SETTLE_S, Scenario, drawing, require
from metanode.simulation.scenarios.turns import (
    ROTATIONS,
    any_size,
    any_stakes,
    as_many,
    first_seal,
    may_die,
    may_lie,
    require_no_turn_missed,
    require_round_0,
    slow_down,
    wait_rotations,
    wait_set,
)

MEAN_ERROR_S: Final = 0.02
SIZES: Final = (3, 4, 6, 7, 10)


def _dead(choose: Callable[[Cluster], list[int]]) -> Callable[[Cluster], Awaitable[None]]:
    async def play(cluster: Cluster) -> None:
        dead = choose(cluster)
        async with cluster.running():
            await cluster.wait_height(cluster.random.randint(1, 2 * len(cluster.nodes)))
            for index in dead:
                cluster.crash(index)
            await wait_rotations(cluster, ROTATIONS)
            await _require_full_pace(cluster, dead)

    return play


async def _returning(cluster: Cluster) -> None:
    """One that has long been skipped comes back at a drawn moment: no round fails for it, and its turn is its turn again."""
    dead = _faulty(cluster)
    back = cluster.nodes[dead[0]]
    slow_down(cluster, back.index)
    async with cluster.running():
        await cluster.wait_height(cluster.random.randint(1, len(cluster.nodes)))
        for index in dead:
            cluster.crash(index)
        await wait_rotations(cluster, ROTATIONS)
        await cluster.wait_s(cluster.random.randint(0, 1000 * cluster.period_s) / 1000)
        since = cluster.height
        cluster.start(back.index)
        await wait_rotations(cluster, 2)
        require_round_0(cluster, since + 1)
        sealed = first_seal(cluster, back.key.address, since)
        proposed = [b.height for b in cluster.checker.blocks[since:] if b.header.proposer == back.key.address]
        require(
            bool(proposed) and proposed[0] >= sealed + 2, f"it sealed {sealed} first and proposed {proposed}"
        )
        if cluster.rules.quorum_rule is QuorumRule.AUTHORITY:
            require_no_turn_missed(cluster, back.key.address, Height(sealed + 2), Height(proposed[0]))
            return
        for height in range(sealed + 2, cluster.height + 1):
            before = cluster.checker.state_before(Height(height))
            is_its_turn = (
                scheduled_proposer(before.validators, height - before.epoch_start) == back.key.address
            )
            require(not is_its_turn or height in proposed, f"height {height} was its turn, and is another's")


async def _dead_after_a_halt(cluster: Cluster) -> None:
    """The network stops; when it goes on, all but a quorum stay dead."""
    gone = _crashes(cluster)
    crashes = len(gone)
    gone.append(cluster.random.choice([n.index for n in cluster.nodes if n.index not in gone]))
    async with cluster.running():
        await cluster.wait_height(cluster.random.randint(1, len(cluster.nodes)))
        for index in gone:
            cluster.crash(index)
        await cluster.wait_s(cluster.random.choice([20, 60, 600, 3600]))
        cluster.start(gone.pop())
        # The rounds are at their cap by now, and the dead may come first in turn.
        await cluster.wait_height(cluster.height + 1, within_s=ROUND_CAP_S * (crashes + 1) + SETTLE_S)
        await wait_rotations(cluster, ROTATIONS)
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
        await wait_set(cluster, candidate.key.address, is_in=True)
        await wait_rotations(cluster, ROTATIONS)
        silent = [dead.index] if lives else [dead.index, candidate.index]
        await _require_full_pace(cluster, silent)
        _wish(cluster, {dead.key.address: False})
        await wait_set(cluster, dead.key.address, is_in=False)
        await wait_rotations(cluster, ROTATIONS)
        await _require_full_pace(cluster, silent)


def _wish(cluster: Cluster, wishes: dict[Address, bool]) -> None:
    for node in cluster.nodes:
        if node.is_running:
            node.driver.set_wishes(wishes)


async def _require_full_pace(cluster: Cluster, dead: Sequence[int]) -> None:
    """Let every living validator have three turns; nothing may show that others are dead."""
    validators = cluster.checker.state_before(Height(cluster.height + 1)).validators
    silent = {cluster.nodes[index].key.address for index in dead}
    alive = [address for address in validators.addresses if address not in silent]
    first, turns = cluster.height, max(3, -(-20 // len(alive)))
    sent = cluster.checker.sent.get("RoundChange", 0)
    await cluster.wait_height(first + turns * len(alive), within_s=4 * cluster.period_s * turns * len(alive))
    last = first + turns * len(alive)
    require_round_0(cluster, first + 1)
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
    _require_shares(cluster, alive, first, last, turns)


def _require_shares(cluster: Cluster, alive: Sequence[Address], first: int, last: int, turns: int) -> None:
    """The living had their turns: equally many with equal votes, those of the schedule with stakes."""
    proposed = [block.header.proposer for block in cluster.checker.blocks[first:last]]
    if cluster.rules.quorum_rule is QuorumRule.STAKE:
        for height, found in enumerate(proposed, first + 1):
            before = cluster.checker.state_before(Height(height))
            scheduled = scheduled_proposer(before.validators, height - before.epoch_start)
            require(
                found == scheduled or scheduled not in alive,
                f"height {height} was the turn of 0x{scheduled.hex()[:8]}, and 0x{found.hex()[:8]} proposed",
            )
        return
    shares = [proposed.count(address) for address in alive]
    require(
        shares == [turns] * len(alive),
        f"the living had {shares} turns in {len(proposed)} heights, not {turns}",
    )


def _faulty(cluster: Cluster) -> list[int]:
    """Draw F of them, and one where F is none and yet one may be dead."""
    everybody = range(len(cluster.nodes))
    return as_many(cluster, everybody, may_lie) or [cluster.random.choice(everybody)]


def _crashes(cluster: Cluster) -> list[int]:
    """Draw all but a quorum."""
    return as_many(cluster, range(len(cluster.nodes)), may_die)


DEAD_PROPOSERS: Final[dict[str, Scenario]] = {
    "dead-proposers": Scenario(
        claim="three rotations after F validators died, every height takes its slot, and nothing shows that they are dead",
        draw=any_size(SIZES),
        play=_dead(_faulty),
    ),
    "all-but-a-quorum-dead": Scenario(
        claim="with all but a quorum dead, every height takes its slot from three rotations on",
        draw=any_size(SIZES),
        play=_dead(_crashes),
    ),
    "dead-stakes": Scenario(
        claim="with stakes, and all but a quorum of them dead, every height takes its slot, and the living keep their turns",
        draw=any_stakes,
        play=_dead(_crashes),
    ),
    "returning-validator": Scenario(
        claim="a validator that comes back has its turn again two blocks after its first seal, and costs no round",
        draw=any_size(SIZES),
        play=_returning,
    ),
    "dead-after-a-halt": Scenario(
        claim="after a halt with all but a quorum dead, every height takes its slot from three rotations on",
        draw=any_size(SIZES),
        play=_dead_after_a_halt,
    ),
    "dead-at-set-changes": Scenario(
        claim="votes let validators in and out among the dead, and then every height takes its slot",
        draw=drawing(5, candidates=1),
        play=_dead_at_set_changes,
    ),
}
