"""A second decided block at one height, from every way in which its certificate can come: the node halts, keeps and shows both."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import structlog

from metanode.chain.certificate import Certificate
from metanode.consensus import wire
from metanode.consensus.inputs import Mode
from metanode.consensus.messages import Commit, Decision
from metanode.errors import InvalidCertificate
from metanode.node.ports import Reception
from metanode.primitives.types import Hash32, Height, Round
from metanode.simulation.cluster import Cluster
from metanode.simulation.node import SimulatedNode
from metanode.simulation.virtual_time import VirtualTimeLoop

OTHER = Hash32(b"\x66" * 32)
VICTIM = 0


@pytest.fixture(autouse=True)
def _quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


def play(scenario: Callable[[Cluster], Awaitable[None]], **kwargs: object) -> Cluster:
    cluster = Cluster(**{"seed": 1, **kwargs})
    cluster.checker.expects_halts = True
    cluster.checker.checks_keys = False  # Honest keys are used behind their nodes' backs.

    async def whole() -> None:
        async with cluster.running():
            await cluster.wait_height(3)
            # Alone, so that nothing but the test tells it anything.
            cluster.network.partition([i for i in range(len(cluster.nodes)) if i != VICTIM], [VICTIM])
            await scenario(cluster)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(whole())
    return cluster


def second_certificate(cluster: Cluster, height: int, *, by: tuple[int, ...] = (1, 2, 3), block_hash: Hash32 = OTHER) -> Certificate:  # fmt: skip
    """What these validators' seals on another block of a height make."""
    place = {"height": Height(height), "round": Round(0), "block_hash": block_hash}
    digest = cluster.rules.domain.commit(**place)
    seals = {cluster.nodes[i].key.address: cluster.nodes[i].key.sign(digest) for i in by}
    return Certificate.of(**place, seals=seals, validators=cluster.rules.parameters.validators)


def require_halted(node: SimulatedNode, height: int) -> None:
    driver = node.driver
    assert node.is_halted
    assert driver.mode is Mode.HALTED
    fork = driver.halted.fork
    assert (fork.height, fork.ours.block_hash) == (height, node.disk.blocks[height - 1].hash)
    assert fork.other.block_hash == OTHER
    assert node.disk.fork == fork, "it is durable"


def by_gossip(cluster: Cluster, certificate: Certificate) -> None:
    cluster.nodes[VICTIM].driver.upon_certificate(certificate, "1")


def by_message(cluster: Cluster, certificate: Certificate) -> None:
    raw = wire.encode(Decision(certificate=certificate))
    assert cluster.nodes[VICTIM].driver.receive(raw, "1") is Reception.DROP


def by_status(cluster: Cluster, certificate: Certificate) -> None:
    address = cluster.nodes[1].key.address
    cluster.nodes[VICTIM].driver.upon_peer_status("1", validator=address, certificate=certificate)


@pytest.mark.parametrize("way", [by_gossip, by_message, by_status])
@pytest.mark.parametrize("height", [3, 2, 1], ids=["tip", "below the tip", "long past"])
def test_a_certificate_of_another_block_halts_the_node(way, height):
    async def scenario(cluster: Cluster) -> None:
        node = cluster.nodes[VICTIM]
        assert node.disk.tip == 3
        way(cluster, second_certificate(cluster, height))
        await cluster.wait_s(1)
        require_halted(node, height)

    play(scenario)


@pytest.mark.parametrize("way", [by_gossip, by_message, by_status])
@pytest.mark.parametrize("height", [3, 1])
def test_a_certificate_that_proves_nothing_is_charged_to_its_sender_and_halts_nobody(way, height):
    async def scenario(cluster: Cluster) -> None:
        for by in ((1, 2), ()):
            way(cluster, second_certificate(cluster, height, by=by))
        good = second_certificate(cluster, height)
        way(cluster, replace(good, seals=tuple(reversed(good.seals))))
        await cluster.wait_s(1)
        assert not cluster.nodes[VICTIM].is_halted
        assert cluster.network.charged == [(VICTIM, 1)] * 3

    play(scenario)


def test_our_own_certificates_change_nothing_whatever_seals_they_have():
    async def scenario(cluster: Cluster) -> None:
        node = cluster.nodes[VICTIM]
        for height in (1, 2, 3):
            decided = node.disk.blocks[height - 1].hash
            by_gossip(cluster, second_certificate(cluster, height, block_hash=decided))
        await cluster.wait_s(1)
        assert not node.is_halted
        assert cluster.network.charged == []

    play(scenario)


@pytest.mark.parametrize("height", [3, 1])
def test_sync_that_brings_another_block_of_a_decided_height_halts_the_node(height):
    async def scenario(cluster: Cluster) -> None:
        node = cluster.nodes[VICTIM]
        block = node.disk.blocks[height - 1]
        twin = replace(block, header=replace(block.header, consensus_state_root=OTHER))
        certificate = second_certificate(cluster, height, block_hash=twin.hash)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await node.driver.import_decided(twin, certificate)
        assert node.driver.halted.fork.other == certificate
        assert node.disk.fork is not None

    play(scenario)


def test_sync_with_a_false_certificate_is_refused_and_halts_nobody():
    async def scenario(cluster: Cluster) -> None:
        node = cluster.nodes[VICTIM]
        block = node.disk.blocks[1]
        twin = replace(block, header=replace(block.header, consensus_state_root=OTHER))
        for certificate in (
            second_certificate(cluster, 2, by=(1, 2), block_hash=twin.hash),
            second_certificate(cluster, 2),
        ):
            with pytest.raises(InvalidCertificate):
                await node.driver.import_decided(twin, certificate)
        assert not node.is_halted

    play(scenario)


def test_sync_of_a_chain_that_left_ours_halts_with_the_certificates_below():
    async def scenario(cluster: Cluster) -> None:
        node = cluster.nodes[VICTIM]
        await cluster.wait_height(4, nodes=[1, 2, 3])
        block, below = cluster.nodes[1].disk.blocks[3], second_certificate(cluster, 3)
        header = replace(block.header, parent_hash=OTHER, parent_certificate_hash=below.hash)
        stray = replace(block, header=header, parent_certificate=below)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await node.driver.import_decided(stray, second_certificate(cluster, 4, block_hash=stray.hash))
        require_halted(node, 3)

    play(scenario)


def test_a_restart_shows_the_fork_signs_nothing_and_takes_nothing():
    async def scenario(cluster: Cluster) -> None:
        node = cluster.nodes[VICTIM]
        by_gossip(cluster, second_certificate(cluster, 3))
        await cluster.wait_s(1)
        mark = node.disk.watermark
        for _ in range(2):
            await cluster.restart(VICTIM, after_s=1)
            cluster.network.heal()
            await cluster.wait_s(10)
            require_halted(node, 3)
        assert node.disk.watermark == mark
        assert node.disk.tip == 3
        vote = Commit(
            height=Height(4), round=Round(0), block_hash=OTHER, author=cluster.nodes[1].key.address, signature=bytes(65)
        )  # fmt: skip
        assert node.driver.receive(wire.encode(vote), "1") is Reception.DROP

    play(scenario)


def test_a_halted_node_tells_every_peer_both_certificates_and_they_halt_as_well():
    async def scenario(cluster: Cluster) -> None:
        by_gossip(cluster, second_certificate(cluster, 3))
        await cluster.wait_s(1)
        decoded = [
            wire.decode(raw, cluster.rules.domain) for raw in cluster.nodes[VICTIM].driver.own_messages()
        ]
        assert [decision.certificate.block_hash for decision in decoded] == [
            cluster.nodes[VICTIM].disk.blocks[2].hash,
            OTHER,
        ]
        cluster.network.heal()
        await cluster.wait_s(2)
        assert all(node.is_halted for node in cluster.nodes)

    play(scenario)


def test_what_people_are_shown_names_both_blocks_and_all_signers():
    async def scenario(cluster: Cluster) -> None:
        by_gossip(cluster, second_certificate(cluster, 3))
        await cluster.wait_s(1)
        node = cluster.nodes[VICTIM]
        shown = node.driver.halted.to_json()
        fork = shown["fork"]
        assert fork["height"] == "0x3"
        assert fork["other"]["blockHash"] == "0x" + OTHER.hex()
        assert fork["ours"]["blockHash"] == "0x" + node.disk.blocks[2].hash.hex()
        assert set(fork["other"]["signers"]) == {"0x" + cluster.nodes[i].key.address.hex() for i in (1, 2, 3)}
        assert set(fork["sealedBoth"]) == set(fork["other"]["signers"]) & set(fork["ours"]["signers"])
        assert "What to do" in shown["reason"]

    play(scenario)
