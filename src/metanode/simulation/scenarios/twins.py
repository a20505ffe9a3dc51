"""Validators that exist twice. Rows 14 and 28 of docs/evidence/catalogue.md."""

from random import Random
from typing import Final

from metanode.chain.quorum import QuorumRule
from metanode.consensus.messages import Proposal
from metanode.primitives.types import Address, Hash32, Height, Round
from metanode.simulation.adversaries.corruption import honest
from metanode.simulation.adversaries.twins import RoundPartitions, twin
from metanode.simulation.cluster import Cluster
from metanode.simulation.network import LinkFaults
from metanode.simulation.scenarios.story import Drawing, Scenario, require, rounds_s
from metanode.simulation.witness import Witness

APART_ROUNDS: Final = 3
"""Rounds of each height in which some do not hear others."""
TURNS_MAX: Final = 50
"""Of a key on two machines until it has proposed two blocks in one place: at the shortest delays each turn fails to with one chance in five."""


def _drawing(validators: int, twins: int) -> Drawing:
    def draw(seed: int, wanted: int | None, rule: QuorumRule) -> Cluster:
        faults = LinkFaults(delay_ms_max=Random(seed).choice([5, 20, 50]))
        return Cluster(seed=seed, rule=rule, validators=wanted or validators, twins=twins, faults=faults)

    return draw


async def _twins(cluster: Cluster) -> None:
    """F validators with two instances each, and in each of the first rounds of each height another partition."""
    pairs, rest = twin(cluster), honest(cluster)
    heights = 5
    cluster.network.filters.append(
        RoundPartitions(seed=cluster.seed, nodes=len(cluster.nodes), heights=heights, rounds=APART_ROUNDS)
    )
    async with cluster.running():
        for height in range(1, heights + 3):
            # Everybody hears everybody from a round on; then it takes F rounds of twins, and one more.
            last = APART_ROUNDS + len(pairs) + 2
            await cluster.wait_height(height, nodes=rest, within_s=rounds_s(cluster, 0, last + 1))
            took = cluster.checker.rounds[Height(height)]
            require(took <= last, f"height {height} took round {took}, {last} is allowed")
    guilty = {cluster.nodes[first].key.address for first, _ in pairs}
    for index in rest:
        accused = {evidence.author for evidence in cluster.nodes[index].disk.evidence}
        require(accused <= guilty, f"node {index} accuses an honest validator")


async def _key_on_two_machines(cluster: Cluster) -> None:
    """A second machine starts with the key alone, or with a copy of the whole disk: it refuses to sign, and the first one goes on."""
    first, second = cluster.nodes[0], cluster.nodes[-1]
    rest = range(len(cluster.nodes) - 1)
    witness = Witness(cluster)
    is_copy = cluster.random.random() < 0.5
    async with cluster.running(start=rest):
        await cluster.wait_height(cluster.random.randint(3, 8))
        await cluster.wait_s(cluster.random.randint(0, 2000) / 1000)
        if is_copy:
            second.disk.restore(first.disk.copy())
            await cluster.wait_s(cluster.random.randint(1, 30_000) / 1000)
        else:
            second.disk.has_watermark_file = False
        cluster.start(second.index)
        height = cluster.height + 12
        await cluster.wait_height(height, within_s=60)
        require(second.driver.is_key_shared, "the second machine does not know that its key is in use")
        require(not first.driver.is_key_shared, "the machine that was there first has stopped to sign")
        signed = [m for m in witness.of(second.index) if m.signature not in witness.signatures(first.index)]
        require(not signed, f"the second machine signed {len(signed)} messages of its own")
        later = [r for h, r in cluster.checker.rounds.items() if r]
        require(not later, "the second machine cost the chain a round")
        for node in cluster.nodes:
            require(not node.disk.evidence, "the key signed two things")


async def _key_in_two_hands(cluster: Cluster) -> None:
    """Two machines with one key and no guard: once it has proposed two blocks everybody has the proof, and the chain goes on."""
    pairs, rest = twin(cluster), honest(cluster)
    guilty = cluster.nodes[pairs[0][0]].key.address
    witness = Witness(cluster)
    rotation, height = len(rest) + 1, 4 * len(rest)
    async with cluster.running():
        await cluster.wait_height(height, nodes=rest, within_s=200)
        # A machine that hears the other one's proposal before its own block is built signs nothing else.
        while not _has_proposed_two(witness, guilty):
            height += rotation
            require(
                height <= TURNS_MAX * rotation, f"the key has proposed nothing twice in {TURNS_MAX} turns"
            )
            await cluster.wait_height(height, nodes=rest, within_s=200)
        await cluster.wait_height(height + 1, nodes=rest, within_s=200)
        for index in rest:
            accused = {evidence.author for evidence in cluster.nodes[index].disk.evidence}
            require(accused == {guilty}, f"node {index} accuses {len(accused)} validators")
    require(max(cluster.checker.rounds.values()) <= 1, "the shared key cost more than its own rounds")


def _has_proposed_two(witness: Witness, author: Address) -> bool:
    """Tell whether two blocks of one author stand in one height and round."""
    places: dict[tuple[Height, Round], Hash32] = {}
    for proposal in witness.messages(Proposal):
        place = (proposal.height, proposal.round)
        if proposal.author == author and places.setdefault(place, proposal.block_hash) != proposal.block_hash:
            return True
    return False


TWINS: Final[dict[str, Scenario]] = {
    "twins": Scenario(
        rows=(14,),
        claim="F of seven validators run twice under drawn partitions, and nothing is decided twice nor too late",
        draw=_drawing(7, 2),
        play=_twins,
    ),
    "key-on-two-machines": Scenario(
        rows=(28,),
        claim="of two machines with one key the one that comes second signs nothing",
        draw=_drawing(4, 1),
        play=_key_on_two_machines,
    ),
    "key-in-two-hands": Scenario(
        rows=(28,),
        claim="a key that signs on two machines is proven guilty by everybody else, and stops nothing",
        draw=_drawing(4, 1),
        play=_key_in_two_hands,
    ),
}
