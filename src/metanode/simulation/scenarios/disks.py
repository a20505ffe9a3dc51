"""What a disk may do to a validator's memory of its signatures: tear it, damage it, lose it, or be an old copy. Rows 26 and 27 of docs/evidence/catalogue.md."""

from typing import Final

from metanode.errors import StorageDamaged
from metanode.primitives.types import Height
from metanode.simulation.cluster import Cluster
from metanode.simulation.disk import SIGNER_LOG
from metanode.simulation.node import SimulatedNode
from metanode.simulation.scenarios.story import SETTLE_S, Scenario, drawing, require
from metanode.storage.signer_log import SLOT_BYTES


async def _wait_signs_again(cluster: Cluster, node: SimulatedNode) -> None:
    await cluster.wait_s(1)
    await cluster.wait_height(cluster.height + 8, within_s=2 * SETTLE_S)
    state = cluster.checker.state_before(Height(cluster.height + 1))
    silent_for = cluster.height - state.standing(node.key.address).last_active
    require(silent_for <= len(cluster.nodes) + 1, f"the node has not signed again for {silent_for} heights")


async def _torn_tail(cluster: Cluster) -> None:
    """Bytes of a signature that was being written when the power went are dropped; what stood before them holds."""
    node = cluster.nodes[cluster.random.randrange(len(cluster.nodes))]
    async with cluster.running():
        await cluster.wait_height(cluster.random.randint(2, 6))
        await cluster.wait_s(cluster.random.randint(0, 3000) / 1000)
        cluster.crash(node.index)
        await cluster.wait_s(0.01)
        mark, data = node.disk.watermark, node.disk.files.durable(SIGNER_LOG)
        assert data is not None
        torn = cluster.random.randbytes(cluster.random.randint(1, SLOT_BYTES))
        node.disk.files.put(SIGNER_LOG, data + torn)
        cluster.start(node.index)
        require(node.refusal is None, f"the node does not start: {node.refusal}")
        require(node.disk.watermark == mark, "the tear changed what the key has signed")
        await _wait_signs_again(cluster, node)


async def _damaged_middle(cluster: Cluster) -> None:
    """A slot that is not the last one does not match: the node refuses to start, and the others go on; without the file it observes first."""
    node = cluster.nodes[cluster.random.randrange(len(cluster.nodes))]
    others = [index for index in range(len(cluster.nodes)) if index != node.index]
    async with cluster.running():
        await cluster.wait_height(cluster.random.randint(3, 6))
        cluster.crash(node.index)
        await cluster.wait_s(0.01)
        data = bytearray(node.disk.files.durable(SIGNER_LOG) or b"")
        place = cluster.random.randrange(len(data) - SLOT_BYTES)
        data[place] ^= 1 << cluster.random.randrange(8)
        node.disk.files.put(SIGNER_LOG, bytes(data))
        cluster.start(node.index)
        require(isinstance(node.refusal, StorageDamaged), f"the node starts with byte {place} damaged")
        require(node.disk.files.durable(SIGNER_LOG) == bytes(data), "the damaged file was changed")
        await cluster.wait_height(cluster.height + 3, nodes=others, within_s=SETTLE_S)
        node.disk.has_watermark_file = False
        cluster.start(node.index)
        await _wait_signs_again(cluster, node)


async def _old_backup(cluster: Cluster) -> None:
    """A copy of the disk is put back when the chain has gone on by a height or more: without the signer's file, with an old one, or with none."""
    node = cluster.nodes[cluster.random.randrange(len(cluster.nodes))]
    part = ("database", "everything", "everything but signer.log")[cluster.seed % 3]
    async with cluster.running():
        await cluster.wait_height(cluster.random.randint(1, 4))
        await cluster.wait_s(cluster.random.randint(0, 2500) / 1000)
        cluster.crash(node.index)
        await cluster.wait_s(0.01)
        backup = node.disk.copy()
        cluster.start(node.index)
        await cluster.wait_height(cluster.height + cluster.random.randint(1, 6), within_s=SETTLE_S)
        await cluster.wait_s(cluster.random.randint(0, 2500) / 1000)
        cluster.crash(node.index)
        await cluster.wait_s(0.01)
        node.disk.restore(backup, signer_log=part == "everything", payloads=part != "database")
        if part == "everything but signer.log":
            node.disk.has_watermark_file = False
        cluster.start(node.index)
        require(node.refusal is None, f"the node does not start: {node.refusal}")
        await _wait_signs_again(cluster, node)


DISKS: Final[dict[str, Scenario]] = {
    "torn-signer-log": Scenario(
        rows=(26,),
        claim="a torn end of the signer's file is cut, and the key goes on from the signature before it",
        draw=drawing(4),
        play=_torn_tail,
    ),
    "damaged-signer-log": Scenario(
        rows=(26,),
        claim="a node whose signer's file is damaged in the middle does not start, and without the file observes before it signs",
        draw=drawing(4),
        play=_damaged_middle,
    ),
    "old-backup": Scenario(
        rows=(27,),
        claim="a node that is restored from an old copy contradicts nothing that it signed later, and signs again",
        draw=drawing(4),
        play=_old_backup,
    ),
}
