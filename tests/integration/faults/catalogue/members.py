"""Nodes that lose what they have, one after the other under load; validators that are voted out and in again while others fail."""

from __future__ import annotations

import shutil
import time
from functools import partial
from typing import TYPE_CHECKING

from tests.acceptance.processes import RPCError, slowness, wait_until
from tests.integration.faults.catalogue.case import Case, Figures, Group, repeat
from tests.integration.faults.catalogue.damage import start_again

if TYPE_CHECKING:
    import random

    from tests.integration.faults.cluster import Cluster, Node

BACK_WITHIN_S = 20.0
CHANGED_WITHIN_S = 60.0
TRANSFERS = 100


def wiped(cluster: Cluster, _chance: random.Random, *, keep_signer_log: bool) -> Figures:
    """Wipe each node in turn while transfers go on; it fetches the chain again, has the same states, and signs again before the next loses its own."""
    worst_s, fetched = 0.0, 0
    for victim in cluster.nodes:
        other = cluster.nodes[(victim.index + 1) % len(cluster.nodes)]
        cluster.pay(TRANSFERS, node=other.index)
        victim.kill()
        for path in victim.data.iterdir():
            if path.name == "signer.log" and keep_signer_log:
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        begun = time.monotonic()
        said = start_again(cluster, victim)
        assert said is None, said
        took_s = time.monotonic() - begun
        assert took_s <= BACK_WITHIN_S * slowness(), f"{victim.name} is back after {took_s:.0f} s"
        worst_s, fetched = max(worst_s, took_s), fetched + (victim.height() or 0)
        cluster.wait_settled()
    # The audit compares every block and state root of all four again.
    cluster.audited = 0
    return {"back at the head, the slowest_s": worst_s, "blocks fetched again": float(fetched)}


def voted(cluster: Cluster, chance: random.Random, *, add: bool, fault: str) -> Figures:
    """Vote the last validator out, or in again, while something else goes wrong; all have the same set at each height."""
    subject = cluster.validators[-1]
    first = cluster.top()
    voters = cluster.nodes[:-1]
    if fault == "loss":
        cluster.links.lose(0.1)
    killed: Node | None = chance.choice(voters) if fault == "kill" else None
    for node in voters:
        _vote(node, subject, add=add)
    if killed is not None:
        # Its wish goes with it: what is asked for again after its return.
        killed.kill()
        killed.start()
        killed.wait_answers()
        _vote(killed, subject, add=add)
    begun = time.monotonic()
    for node in cluster.nodes:
        wait_until(
            lambda node=node: (subject in _set(node, "latest")) is add,
            within_s=CHANGED_WITHIN_S,
            what=lambda node=node: (
                f"{node.name} has {subject} {'in' if add else 'out of'} the set: {_set(node, 'latest')}"
            ),
        )
    changed_s = time.monotonic() - begun
    cluster.links.heal()
    last = cluster.top()
    cluster.wait_height(last, within_s=30.0)
    for height in range(first, last + 1):
        sets = {tuple(sorted(_set(node, hex(height)))) for node in cluster.nodes}
        assert len(sets) == 1, f"at height {height} the nodes have different sets: {sets}"
    return {"changed after_s": changed_s}


def _vote(node: Node, subject: str, *, add: bool) -> None:
    """Ask for it until it is taken: a node that has just come back has to see the candidate's proof first."""

    def is_taken() -> bool:
        if (subject in _set(node, "latest")) is add:
            return True
        try:
            return bool(node.private.call("ibft_proposeValidatorVote", subject, add))
        except RPCError:
            return False

    wait_until(is_taken, within_s=CHANGED_WITHIN_S, what=f"{node.name} takes the vote")


def _set(node: Node, height: str) -> list[str]:
    return [str(each).lower() for each in node.rpc.call("ibft_getValidatorsByBlockNumber", height)]


CHANGES = 20
FAULTS = ("nothing else", "loss", "kill")
DOSES = {"nothing else": "nothing else wrong", "loss": "10 % loss", "kill": "a voter is killed"}


def _votes() -> tuple[Case, ...]:
    """Out and in by turns; each leaves the set to the next as that expects it, so they are one case each pair."""

    def pair(cluster: Cluster, chance: random.Random, *, fault: str) -> Figures:
        out = voted(cluster, chance, add=False, fault=fault)
        back = voted(cluster, chance, add=True, fault=fault)
        return {"voted out after_s": out["changed after_s"], "voted in after_s": back["changed after_s"]}

    return tuple(
        case
        for position, fault in enumerate(FAULTS)
        for case in repeat(
            len(range(position, CHANGES // 2, len(FAULTS))), partial(pair, fault=fault), fault="validator voted out and in", dose=DOSES[fault],
            must_hold="the set changes at one height everywhere; all agree on it at each height", needs_packets=fault == "loss",
        )
    )  # fmt: skip


GROUP = Group(
    name="members",
    cases=(
        *(
            Case(
                fault="wiped and synced again", dose=dose, must_hold="each is at the head in 20 s, with the blocks and state roots of the others",
                run=partial(wiped, keep_signer_log=keep),
            )
            for dose, keep in (("each in turn, signer.log kept", True), ("each in turn, signer.log lost", False))
        ),
        *_votes(),
    ),
)  # fmt: skip
