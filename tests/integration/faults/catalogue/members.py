"""Nodes that lose what they have, one after the other under load; validators that are voted out and in again while others fail."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import httpx
from tests.acceptance.processes import RPCError, slowness, wait_until
from tests.integration.faults.catalogue.case import Case, Figures, Group, repeat
from tests.integration.faults.catalogue.damage import start_again
from tests.integration.faults.cluster import Door

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tests.integration.faults.cluster import Cluster, Node

BACK_WITHIN_S = 20.0
CHANGED_WITHIN_S = 60.0
TRANSFERS = 100
PREPARED_BLOCKS = 1_500
"""Fetched at the least rate they take most of the time in which a node must be back."""
WIPES = 5
BLOCKS_A_SECOND_MIN = 100
LOOK_S = 0.02


def wiped(cluster: Cluster, _chance: random.Random, *, keep_signer_log: bool) -> Figures:
    """Wipe one node after the other, five times, while transfers go on; it fetches the chain again, has the same states, and signs again before the next loses its own."""
    worst_s, slowest, fetched = 0.0, float("inf"), 0
    for number in range(WIPES):
        victim = cluster.nodes[number % len(cluster.nodes)]
        other = cluster.nodes[(victim.index + 1) % len(cluster.nodes)]
        cluster.pay(TRANSFERS, node=other.index)
        victim.kill()
        for path in victim.data.iterdir():
            if path.name == "signer.log" and keep_signer_log:
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        begun, top = time.monotonic(), cluster.top()
        with fetching(victim, top) as rate:
            said = start_again(cluster, victim)
        assert said is None, said
        took_s = time.monotonic() - begun
        slow = slowness()
        assert took_s <= BACK_WITHIN_S * slow, f"{victim.name} is back after {took_s:.0f} s"
        assert rate.blocks_a_second * slow >= BLOCKS_A_SECOND_MIN, (
            f"{victim.name} has fetched {rate.blocks_a_second:.0f} blocks a second, at least {BLOCKS_A_SECOND_MIN} by {slow:.1f} are asked"
        )
        worst_s, slowest = max(worst_s, took_s), min(slowest, rate.blocks_a_second)
        fetched += victim.height() or 0
        cluster.wait_settled()
    # The audit compares every block and state root of all four again.
    cluster.audited = 0
    return {
        "back at the head, the slowest_s": worst_s,
        "blocks fetched again": float(fetched),
        "blocks a second, the slowest": slowest,
    }


@dataclass
class Rate:
    """How fast a node fetches a chain."""

    seen: list[tuple[float, int]] = field(default_factory=list)
    """When it had which height, from its first answer on."""

    @property
    def blocks_a_second(self) -> float:
        """From the last look at which it had nothing, or the first one, to the first one at which it had all."""
        (began, low), (ended, high) = self.seen[0], self.seen[-1]
        return (high - low) / max(ended - began, LOOK_S)


@contextlib.contextmanager
def fetching(victim: Node, top: int) -> Iterator[Rate]:
    """Look beside how high a node is, until it has this height."""
    rate, ended = Rate(), threading.Event()
    door = Door(victim.rpc.url, victim.rpc.space)

    def look() -> None:
        if door.space is not None:
            door.space.enter()
        plain = Door(door.url, client=door.client)
        while not ended.wait(LOOK_S):
            try:
                height = int(plain.call("eth_blockNumber"), 16)
            except (httpx.HTTPError, RPCError, ValueError):
                continue
            if height == 0:
                rate.seen = [(time.monotonic(), 0)]
                continue
            rate.seen.append((time.monotonic(), height))
            if height >= top:
                return

    thread = threading.Thread(target=look, name="looks at a height", daemon=True)
    thread.start()
    try:
        yield rate
        thread.join(timeout=5.0)
    finally:
        ended.set()
        thread.join(timeout=5.0)
        door.client.close()
    assert rate.seen, f"{victim.name} was not seen while it fetched the chain"


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
    prepared_blocks=PREPARED_BLOCKS,
    cases=(
        *(
            Case(
                fault="wiped and synced again", dose=dose, must_hold="at least 100 blocks a second; each is at the head in 20 s, with the blocks and state roots of the others",
                run=partial(wiped, keep_signer_log=keep),
            )
            for dose, keep in ((f"{WIPES} in turn, signer.log kept", True), (f"{WIPES} in turn, signer.log lost", False))
        ),
        *_votes(),
    ),
)  # fmt: skip
