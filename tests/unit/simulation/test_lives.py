"""A simulated node dies where it is told to, does nothing afterwards, and finds what was durable then."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from metanode.consensus.messages import Step
from metanode.consensus.watermark import SignedStep
from metanode.crypto.hashing import keccak256
from metanode.primitives.types import Height, Round
from metanode.simulation.__main__ import run
from metanode.simulation.cluster import Cluster
from metanode.simulation.life import BOUNDARIES, Killed, Life
from metanode.simulation.scenarios.story import Scenario


def simulate(play: Callable[[Cluster], Any], **parameters: Any) -> Cluster:
    cluster = Cluster(seed=3, **parameters)
    run(Scenario(claim="", draw=lambda *_: cluster, play=play), cluster)
    return cluster


def save_in_life(crash_at: str) -> tuple[Cluster, bytes | None]:
    """Save a record in a life that ends at a boundary; return what the disk then has."""
    cluster = Cluster(seed=1, validators=1)
    disk, draws = cluster.nodes[0].disk, random.Random(1)
    life = Life(draws, lambda name: name == crash_at)

    async def save() -> None:
        store = disk.open_store(life)
        with pytest.raises(Killed):
            await store.save(record=b"record", bodies=(), decided=None)
        with pytest.raises(Killed):
            await store.load()

    asyncio.run(save())
    disk.cut_power(draws)
    return cluster, disk.record


@pytest.mark.parametrize(
    ("boundary", "expected"), [("before save", None), ("uncommitted save", None), ("after save", b"record")]
)
def test_a_transaction_is_there_when_it_was_committed_and_not_before(
    boundary: str, expected: bytes | None
) -> None:
    assert save_in_life(boundary)[1] == expected


@pytest.mark.parametrize("boundary", ["before watermark", "unsynced watermark", "after watermark"])
def test_a_watermark_is_there_when_it_was_synced(boundary: str) -> None:
    found = set()
    for seed in range(200):
        cluster = Cluster(seed=1, validators=1)
        node, draws = cluster.nodes[0], random.Random(seed)
        life = Life(draws, lambda name: name == boundary)
        signer = node.disk.open_signer(life, node.key)
        digest = keccak256(b"x")
        step = SignedStep(
            height=Height(1), round=Round(0), step=Step.PREPARE, digest=digest, signature=signer.sign(digest)
        )

        async def advance(signer: Any, step: SignedStep) -> None:
            with pytest.raises(Killed):
                await signer.advance([step])

        asyncio.run(advance(signer, step))
        node.disk.cut_power(draws)
        found.add(node.disk.watermark)
        if boundary != "unsynced watermark":
            break
    expected = {"before watermark": {None}, "unsynced watermark": {None, step}, "after watermark": {step}}
    assert found == expected[boundary]


def test_every_boundary_is_passed_in_a_few_heights() -> None:
    passed: set[str] = set()

    async def play(cluster: Cluster) -> None:
        for node in cluster.nodes:
            node.crash_at = lambda name: bool(passed.add(name))
        async with cluster.running():
            await cluster.wait_height(5)

    simulate(play)
    assert passed == set(BOUNDARIES)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_node_that_dies_at_a_boundary_sends_and_writes_nothing_more(boundary: str) -> None:
    async def play(cluster: Cluster) -> None:
        node = cluster.nodes[0]
        asked: list[str] = []
        at_death: tuple[Any, ...] = ()

        def look() -> tuple[Any, ...]:
            return cluster.checker.sent_by.get(0), node.disk.tip, node.disk.record, node.disk.watermark

        def crash(name: str) -> bool:
            nonlocal at_death
            asked.append(name)
            # Nobody reads while a transaction is open.
            if not name.startswith("uncommitted"):
                at_death = look()
            return bool(name == boundary and node.is_running and node.driver.final_height >= 2)

        node.crash_at = crash
        async with cluster.running():
            while node.is_up or not asked:
                await cluster.wait_s(0.01)
            assert asked[-1] == boundary, "it was asked nothing after it had died"
            await cluster.wait_s(3)
            assert at_death[:3] == look()[:3]
            # A signature that was written, though not synced, may have reached the disk.
            assert boundary == "unsynced watermark" or at_death == look()
            node.crash_at = lambda _: False
            cluster.start(0)
            await cluster.wait_height(cluster.height + 2)

    simulate(play, validators=4)
