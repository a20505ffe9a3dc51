"""Unequal powers, and the exact third. Row 33 of docs/evidence/catalogue.md; what may be silent is in `steady`."""

from random import Random
from typing import Final

from metanode.chain.proposers import scheduled_proposer
from metanode.chain.quorum import QuorumRule
from metanode.consensus.messages import Decision, Message
from metanode.simulation.adversaries.equivocating import conspire
from metanode.simulation.cluster import Cluster
from metanode.simulation.scenarios.story import SETTLE_S, Scenario, require


def draw_powers(seed: int) -> list[int]:
    """Return the powers of a seed: the table's own, thirty equal ones, and drawn ones whose total leaves each rest by three."""
    draw = Random(f"powers {seed}")
    fixed = [[1, 1, 1, 97], [34, 33, 33], [34, 33, 30, 3], [25, 25, 25, 25], [1] * 30]
    if seed % 2 == 0:
        return fixed[seed // 2 % len(fixed)]
    powers = [draw.randint(1, 100) for _ in range(draw.choice([3, 4, 5, 7]))]
    while sum(powers) % 3 != seed // 2 % 3:
        powers[0] += 1
    return powers


def _draw_third(seed: int, _wanted: int | None, _rule: QuorumRule) -> Cluster:
    """Validator 0 has the liar's power: the most that is harmless, or the least that can fork the chain. The others stand in two halves."""
    draw = Random(f"third {seed}")
    total = draw.randrange(30, 300)
    total += (seed - total) % 3
    liar = 2 * QuorumRule.STAKE.quorum_weight(total) - total if seed // 3 % 2 else total // 3
    rest = total - liar
    halves = (rest // 2, rest - rest // 2)
    powers = [liar]
    for half in halves:
        powers += [half // 2, half - half // 2]
    return Cluster(seed=seed, validators=len(powers), powers=powers)


async def _liar_of_a_third(cluster: Cluster) -> None:
    total = cluster.rules.parameters.validators.total_power
    liar_power = cluster.rules.parameters.validators.power(cluster.nodes[0].key.address)
    can_fork = 3 * liar_power > total
    honest, half = [1, 2, 3, 4], [1, 2]
    members, liar = cluster.rules.parameters.validators, cluster.nodes[0].key.address
    # Its first turn: the epoch's schedule begins at height 0.
    height = next(h for h in range(1, 100) if scheduled_proposer(members, h) == liar)
    conspire(cluster, [0], half)
    cluster.checker.expects_halts = can_fork
    is_open = False

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        if is_open or message.height < height:
            return True
        apart = sender in honest and receiver in honest and (sender in half) != (receiver in half)
        return not apart and not isinstance(message, Decision)

    cluster.network.filters.append(lets_pass)
    async with cluster.running():
        await cluster.wait_height(height - 1, nodes=honest)
        await cluster.wait_s(30)
        decided = {
            cluster.nodes[i].disk.blocks[height - 1].hash
            for i in honest
            if cluster.nodes[i].disk.tip >= height
        }
        what = f"a liar with {liar_power} of {total}"
        if can_fork:
            require(len(decided) == 2, f"{what} made no fork, so the boundary is not where it is said to be")
            return
        require(len(decided) <= 1, f"{what} made a fork")
        is_open = True
        cluster.network.heal()
        if 3 * (total - liar_power) > 2 * total:
            await cluster.wait_height(cluster.height + 3, nodes=honest, within_s=4 * SETTLE_S)
        else:
            await cluster.wait_s(SETTLE_S)


WEIGHTS: Final[dict[str, Scenario]] = {
    "liar-of-a-third": Scenario(
        rows=(33,),
        claim="a liar with a third of the power or less makes no fork; with the least overlap of two quorums it does",
        draw=_draw_third,
        play=_liar_of_a_third,
    ),
}
