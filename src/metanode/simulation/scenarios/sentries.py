"""Validators that hear each other only through others: what is repeated has to be handed on again (docs/adr/0014)."""

from collections.abc import Sequence
from random import Random
from typing import Final

from metanode.chain.quorum import QuorumRule
from metanode.consensus.phases.timers import RESEND_MS_MAX
from metanode.simulation.cluster import Cluster
from metanode.simulation.network import LinkFaults
from metanode.simulation.scenarios.story import Scenario, require, rounds_s

APART_S: Final = 90
"""A wait alone, and most of the next, which is four times as long: what is repeated has to pass before it ends."""
HOPS: Final = 3
"""From a validator to its sentry, to another's, to that one. Each may have heard the message just before, and hands it on when it is said next."""


def _draw(seed: int, wanted: int | None, rule: QuorumRule) -> Cluster:
    """Each validator hears its own sentry only; the sentries, which are followers, hear each other."""
    count = wanted or 4
    links = LinkFaults(delay_ms_max=Random(seed).choice([5, 20, 50]))
    cluster = Cluster(seed=seed, rule=rule, validators=count, followers=count, does_relay=True, faults=links)
    for hidden in range(count):
        for other in range(2 * count):
            if other not in (hidden, hidden + count):
                cluster.network.strangers |= {(hidden, other), (other, hidden)}
        # Behind sentries nobody sees the proofs of a quorum: the operator of a new network says that the keys are new.
        cluster.nodes[hidden].may_sign_without_watermark = True
    return cluster


async def _cut_apart(cluster: Cluster) -> None:
    """The sentries are in two groups or more, in halves or all alone, so that none has a quorum, and come together."""
    validators = _validators(cluster)
    drawn = cluster.random.sample(validators, len(validators))
    size = cluster.random.randint(1, len(drawn) // 2)
    groups = [drawn[first : first + size] for first in range(0, len(drawn), size)]
    async with cluster.running():
        await cluster.wait_height(cluster.random.randint(1, 5))
        await cluster.wait_s(cluster.random.randint(0, 3_000) / 1000)
        cluster.network.partition(*(_with_sentries(cluster, group) for group in groups))
        await cluster.wait_s(cluster.random.randint(10, APART_S))
        cluster.network.heal()
        await _require_blocks(cluster, validators)


async def _come_and_go(cluster: Cluster) -> None:
    """As many as may crash are dead for good; of the others one comes back to those who wait, and they are started anew meanwhile."""
    validators = _validators(cluster)
    crashes = cluster.rules.parameters.validators.tolerance(cluster.rules.quorum_rule).crashes
    chosen = cluster.random.sample(validators, len(validators))
    dead, away, waiting = chosen[:crashes], chosen[crashes], chosen[crashes + 1 :]
    async with cluster.running():
        await cluster.wait_height(cluster.random.randint(1, 5))
        for index in dead:
            cluster.crash(index)
        await cluster.wait_s(cluster.random.randint(0, 5_000) / 1000)
        cluster.crash(away)
        await cluster.wait_s(cluster.random.randint(5, APART_S))
        for index in cluster.random.sample(waiting, cluster.random.randint(0, len(waiting))):
            await cluster.restart(index)
        await cluster.wait_s(cluster.random.randint(1, 10))
        cluster.start(away)
        await _require_blocks(cluster, [away, *waiting])


def _validators(cluster: Cluster) -> list[int]:
    return list(range(len(cluster.nodes) // 2))


def _with_sentries(cluster: Cluster, validators: Sequence[int]) -> list[int]:
    return [*validators, *(index + len(cluster.nodes) // 2 for index in validators)]


async def _require_blocks(cluster: Cluster, nodes: Sequence[int]) -> None:
    began_s, height = cluster.now_s, cluster.height
    repeats_s = HOPS * RESEND_MS_MAX / 1000
    within_s = repeats_s + rounds_s(cluster, 1, cluster.max_faulty + 2)
    await cluster.wait_height(height + 1, nodes=nodes, within_s=within_s)
    require(cluster.now_s - began_s <= within_s, "the first block came too late")
    await cluster.wait_height(height + 4, nodes=nodes, within_s=within_s + 3 * rounds_s(cluster, 0, 2))


SENTRIES: Final[dict[str, Scenario]] = {
    "sentries-cut-apart": Scenario(
        claim="validators that hear each other only through sentries go on when a cut between these ends, into halves or into single ones",
        draw=_draw,
        play=_cut_apart,
    ),
    "sentries-come-and-go": Scenario(
        claim="with F dead for good, and all others behind sentries, blocks go on when the one that was away is back, whoever was started anew meanwhile",
        draw=_draw,
        play=_come_and_go,
    ),
}
