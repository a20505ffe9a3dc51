"""Who lies is proven to have lied, and nobody else can be. Rows 36 and 37 of docs/evidence/catalogue.md.

Judged by `verify_evidence` alone, with the set of the height. A contract that punishes is not here yet; it will be given the same pairs.
"""

import itertools
from collections.abc import Sequence
from random import Random
from typing import Final

from metanode.chain.quorum import QuorumRule
from metanode.consensus.evidence import Evidence, InvalidEvidence, Rule, find_rule, verify_evidence
from metanode.consensus.messages import Commit, Decision, Message, Prepare
from metanode.primitives.types import Address, Height
from metanode.simulation.adversaries.corruption import honest
from metanode.simulation.adversaries.equivocating import conspire, equivocate, forget_prepared
from metanode.simulation.adversaries.framing import Signed, frame
from metanode.simulation.adversaries.twins import twin
from metanode.simulation.cluster import Cluster
from metanode.simulation.network import Filter, LinkFaults
from metanode.simulation.scenarios.story import SETTLE_S, Drawing, Scenario, drawing, require

FORGERIES: Final = 400
"""False proofs tried in a run; each costs up to two recoveries."""
HEIGHTS: Final = 6


def accused(cluster: Cluster, nodes: Sequence[int]) -> dict[Address, set[Rule]]:
    """Return who is proven guilty, and of what, by what these nodes keep; each proof is verified with the set, which does not change here."""
    found: dict[Address, set[Rule]] = {}
    for index in nodes:
        for evidence in cluster.nodes[index].disk.proofs:
            validators = cluster.rules.parameters.validators
            rule = verify_evidence(evidence, domain=cluster.rules.domain, validators=validators)
            found.setdefault(evidence.author, set()).add(rule)
    return found


def heard(cluster: Cluster, nodes: Sequence[int]) -> list[Signed]:
    """Return every signature that these nodes keep of decided heights, once each, in a fixed order."""
    found = {
        (height, author, statement)
        for index in nodes
        for height in map(Height, range(1, cluster.nodes[index].disk.tip + 1))
        for author, statement in cluster.nodes[index].disk.heard(height)
    }
    return sorted(found, key=lambda entry: (entry[0], entry[1], entry[2].step, entry[2].signature))


async def _liars_are_convicted(cluster: Cluster) -> None:
    """One validator proposes and votes twice, another one forgets that it committed; the rest is honest, and its signatures are bent."""
    equivocator, amnesiac = cluster.proposer(1, 0), cluster.proposer(1, 1)
    equivocate(cluster, equivocator, votes_twice=True)
    forget_prepared(cluster, amnesiac)
    rest = honest(cluster)

    def lets_pass(sender: int, _receiver: int, message: Message) -> bool:
        # Now and then nobody hears of anybody's commit in round 0 but the amnesiac's, so that it has one to forget.
        is_apart = message.height % 2 == 0 and message.round == 0
        return not is_apart or sender == amnesiac or not isinstance(message, Commit | Decision)

    cluster.network.filters.append(lets_pass)
    async with cluster.running():
        await cluster.wait_height(HEIGHTS, nodes=rest, within_s=150)
        await cluster.wait_s(1)
    guilty = accused(cluster, rest)
    keys = [cluster.nodes[index].key.address for index in (equivocator, amnesiac)]
    require(Rule.EQUIVOCATION in guilty.get(keys[0], ()), "nobody can prove that a validator voted twice")
    require(
        Rule.FORGOTTEN_COMMIT in guilty.get(keys[1], ()),
        "nobody can prove that a validator forgot its commit",
    )
    require(set(guilty) == set(keys), "an honest validator is accused")
    require_unpunishable(cluster, rest)


def require_unpunishable(cluster: Cluster, nodes: Sequence[int]) -> None:
    """Nothing that honest validators have signed proves anything against them: pair by pair as it is, and bent at random."""
    keys = {cluster.nodes[index].key.address for index in nodes}
    signed = [entry for entry in heard(cluster, nodes) if entry[1] in keys]
    require(len({author for _, author, _ in signed}) == len(keys), "not every honest validator was heard")
    for _, group in itertools.groupby(signed, key=lambda entry: entry[:2]):
        for (_, author, first), (_, _, second) in itertools.combinations(list(group), 2):
            require(
                find_rule(first, second) is None, f"0x{author.hex()} is honest and signed a punishable pair"
            )
    validators = cluster.rules.parameters.validators
    tried = 0
    for _ in range(FORGERIES):
        evidence = frame(cluster.random, signed)
        tried += evidence.rule is not None
        require(not _is_accepted(evidence, cluster), f"an honest validator is framed by {evidence}")
    require(tried >= FORGERIES // 20, f"only {tried} of {FORGERIES} forgeries looked like a lie")
    require(all(key in validators for key in keys), "the honest ones are validators")


def _is_accepted(evidence: Evidence, cluster: Cluster) -> bool:
    try:
        verify_evidence(evidence, domain=cluster.rules.domain, validators=cluster.rules.parameters.validators)
    except InvalidEvidence:
        return False
    return True


# --- over the limit ----------------------------------------------------------------------------------------------------------------------


def _drawing(*, twins: int = 0) -> Drawing:
    """Four validators and a follower."""

    def draw(seed: int, wanted: int | None, rule: QuorumRule) -> Cluster:
        faults = LinkFaults(delay_ms_max=Random(seed).choice([5, 20, 50]))
        return Cluster(seed=seed, rule=rule, validators=wanted or 4, followers=1, twins=twins, faults=faults)

    return draw


def _sides(*groups: list[int]) -> Filter:
    """Let only those hear each other who are in one group; whoever is in none, as the follower, hears the first one."""
    members = {index for group in groups for index in group}

    def lets_pass(sender: int, receiver: int, _message: Message) -> bool:
        return any(
            all(
                index in group or (group is groups[0] and index not in members)
                for index in (sender, receiver)
            )
            for group in groups
        )

    return lets_pass


async def _fork_in_one_round(cluster: Cluster) -> None:
    """Two of four propose and vote twice; the honest ones hear nothing of each other until both have decided."""
    liars = [cluster.proposer(1, round_) for round_ in range(2)]
    one, other = (cluster.proposer(1, round_) for round_ in (2, 3))
    conspire(cluster, liars, [other])
    sides = _sides([*liars, one], [*liars, other])
    await _fork(cluster, [one, other], liars, sides, Rule.EQUIVOCATION, alone=True)


async def _fork_across_rounds(cluster: Cluster) -> None:
    """Two of four commit to a block that one honest validator alone decides, and then help to decide another one as if they never had."""
    victim, bystander = cluster.proposer(1, 0), cluster.proposer(1, 1)
    liars = [cluster.proposer(1, round_) for round_ in (2, 3)]
    for liar in liars:
        forget_prepared(cluster, liar)

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        if message.height > 1 or message.round > 0:
            return victim not in (sender, receiver)
        # The bystander must not see that the first block is prepared, and nobody but the victim may see it committed.
        if receiver == bystander and isinstance(message, Prepare):
            return False
        return receiver == victim or not isinstance(message, Commit)

    await _fork(cluster, [victim, bystander], liars, lets_pass, Rule.FORGOTTEN_COMMIT, alone=False)


async def _fork_by_twins(cluster: Cluster) -> None:
    """Two of four run twice: each instance is honest, with one half of the network."""
    pairs = twin(cluster)
    ends = [index for index in honest(cluster) if cluster.nodes[index].address is not None]
    sides = _sides([ends[0], *(first for first, _ in pairs)], [ends[1], *(second for _, second in pairs)])
    await _fork(cluster, ends, [first for first, _ in pairs], sides, None, alone=False)


async def _fork(
    cluster: Cluster, ends: list[int], liars: list[int], lets_pass: Filter, rule: Rule | None, *, alone: bool
) -> None:
    """Let the two honest ones decide different blocks, then let all meet, and look who halts and who is convicted.

    `alone`: what each honest node keeps convicts the liars; else what the honest ones keep together.
    """
    cluster.checker.expects_halts = True
    follower = next(node.index for node in cluster.nodes if node.address is None)
    is_open = False

    def until_forked(sender: int, receiver: int, message: Message) -> bool:
        return is_open or (lets_pass(sender, receiver, message) and not isinstance(message, Decision))

    cluster.network.filters.append(until_forked)
    async with cluster.running():
        await cluster.wait_height(1, nodes=ends, within_s=120)
        decided = {cluster.nodes[index].disk.blocks[0].hash for index in ends}
        require(len(decided) == 2, "two of four liars made no fork: the harness has no power")
        is_open = True
        await cluster.wait_s(SETTLE_S)
        for index in (*ends, follower):
            node = cluster.nodes[index]
            require(node.is_halted, f"node {index} saw two decided blocks and raised no alarm")
            fork = node.disk.fork
            require(
                fork is not None and fork.ours.block_hash != fork.other.block_hash,
                f"node {index} keeps no two certificates",
            )
        # What was proven survives the lives in which it was found.
        before = accused(cluster, ends)
        for index in ends:
            await cluster.restart(index)
        await cluster.wait_s(1)
        require(accused(cluster, ends) == before, "a restart forgot a proof")
    for group in [[index] for index in ends] if alone else [ends]:
        _require_convicted(cluster, accused(cluster, group), liars, rule)


def _require_convicted(
    cluster: Cluster, found: dict[Address, set[Rule]], liars: list[int], rule: Rule | None
) -> None:
    validators = cluster.rules.parameters.validators
    guilty = {cluster.nodes[liar].key.address for liar in liars}
    require(set(found) <= guilty, "an honest validator is accused of the fork")
    weight, total = validators.weight(sorted(found)), validators.total_power
    require(
        3 * weight > total,
        f"a weight of {weight} of {total} is proven guilty of the fork; expected more than a third",
    )
    require(
        rule is None or all(rule in rules for rules in found.values()),
        f"the liars are not convicted by {rule}",
    )


ACCOUNTABILITY: Final[dict[str, Scenario]] = {
    "liars-are-convicted": Scenario(
        rows=(36,),
        claim="who votes twice or forgets a commit is proven guilty, and no honest signature can be bent into a proof",
        draw=drawing(7, does_relay=True),
        play=_liars_are_convicted,
    ),
    "fork-in-one-round": Scenario(
        rows=(37,),
        claim="two of four fork the chain in one round, all who see it halt, followers too, and over a third is convicted by each honest node",
        draw=_drawing(),
        play=_fork_in_one_round,
    ),
    "fork-across-rounds": Scenario(
        rows=(37,),
        claim="two of four fork the chain across rounds by forgetting, and over a third is convicted of it",
        draw=_drawing(),
        play=_fork_across_rounds,
    ),
    "fork-by-twins": Scenario(
        rows=(37,),
        claim="two of four run twice and fork the chain, and over a third is convicted of it",
        draw=_drawing(twins=2),
        play=_fork_by_twins,
    ),
}
