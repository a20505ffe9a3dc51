"""Who may fail, whose turn it was, and who has sealed: the words that stories about dead and silenced proposers are told in."""

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from metanode.chain.quorum import QuorumRule
from metanode.consensus.messages import Message
from metanode.primitives.types import Address, Height
from metanode.simulation.cluster import Cluster
from metanode.simulation.invariants import InvariantBroken
from metanode.simulation.network import LinkFaults
from metanode.simulation.scenarios.story import SETTLE_S, Drawing, drawing, require

ROTATIONS: Final = 3
"""Turns of everybody after which the dead must cost nothing: two in which they are missed, and one that is under way."""


async def wait_rotations(cluster: Cluster, rotations: int) -> None:
    """Wait until everybody could have had so many turns; at worst all turns of the dead fail."""
    size = len(cluster.checker.state_before(Height(cluster.height + 1)).validators)
    await cluster.wait_height(cluster.height + rotations * size, within_s=SETTLE_S + 12 * rotations * size)


async def wait_set(cluster: Cluster, address: Address, *, is_in: bool) -> None:
    """Wait until a vote has changed the set."""
    for _ in range(6 * len(cluster.nodes)):
        if (address in cluster.checker.state_before(Height(cluster.height + 1)).validators) is is_in:
            return
        await cluster.wait_height(cluster.height + 1)
    require(False, "the vote did not change the set")  # noqa: FBT003 - reached only when it failed


def require_round_0(cluster: Cluster, first: int) -> None:
    """Raise InvariantBroken unless every height from this one on was decided in round 0."""
    failed = {
        height: round_ for height, round_ in cluster.checker.rounds.items() if height >= first and round_
    }
    require(not failed, f"heights took more than round 0: {failed}")


def require_no_turn_missed(cluster: Cluster, address: Address, first: Height, last: Height) -> None:
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


def first_seal(cluster: Cluster, address: Address, since: int) -> int:
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


def as_many(
    cluster: Cluster, members: Sequence[int], may_all: Callable[[Cluster, Sequence[int]], bool]
) -> list[int]:
    """Return validators in a drawn order, as many as may fail together."""
    found: list[int] = []
    for index in cluster.random.sample(members, len(members)):
        if may_all(cluster, [*found, index]):
            found.append(index)
    return found


def may_die(cluster: Cluster, dead: Sequence[int]) -> bool:
    """Tell whether the rest is a quorum."""
    validators, rule = cluster.rules.parameters.validators, cluster.rules.quorum_rule
    gone = {cluster.nodes[index].key.address for index in dead}
    return validators.is_quorum([a for a in validators.addresses if a not in gone], rule)


def may_lie(cluster: Cluster, liars: Sequence[int]) -> bool:
    """Tell whether these are no more than safety and liveness bear."""
    validators, rule = cluster.rules.parameters.validators, cluster.rules.quorum_rule
    addresses = [cluster.nodes[index].key.address for index in liars]
    return not validators.has_honest(addresses, rule) and may_die(cluster, liars)


def slow_down(cluster: Cluster, index: int) -> None:
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


def any_size(sizes: Sequence[int]) -> Drawing:
    """Return the drawing of a cluster of one of these sizes."""

    def draw(seed: int, wanted: int | None, rule: QuorumRule) -> Cluster:
        size = wanted or Random(seed).choice(sizes)
        if size == 3:
            # One of three may be dead where a quorum is two thirds; under stakes it is more, and all three are needed.
            rule = QuorumRule.AUTHORITY
        return drawing(size)(seed, None, rule)

    return draw


def any_stakes(seed: int, wanted: int | None, _rule: QuorumRule) -> Cluster:
    """Draw a cluster with stakes, of which nobody holds a third."""
    random = Random(seed)
    size = wanted or random.choice([4, 5, 7, 10])
    powers = [random.randint(1, 100) for _ in range(size)]
    while 3 * max(powers) >= sum(powers):
        powers[powers.index(max(powers))] //= 2
    return Cluster(
        seed=seed,
        validators=size,
        powers=powers,
        faults=LinkFaults(delay_ms_max=random.choice([5, 20, 50, 100])),
    )
