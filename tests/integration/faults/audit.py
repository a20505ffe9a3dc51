"""What must hold whatever was done: one chain, height by height, and no key that has signed two things in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from metanode.storage.signer_log import SLOT_BYTES, _decode

if TYPE_CHECKING:
    from tests.integration.faults.cluster import Cluster, Node


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What was compared."""

    height: int
    """All nodes have the same chain up to here."""
    blocks: int
    """Hashes compared in this audit."""
    places: int
    """Places (key, height, round, step) whose signature the listener has compared so far."""


def audit(cluster: Cluster, nodes: list[Node] | None = None) -> Audit:
    """Compare the chains of the nodes that run, what their keys have signed, and what they and the listener say about lies.

    Every hash that an audit has seen stays for the next: what was final once is final in every later audit, on every node.
    """
    compared = running = cluster.running() if nodes is None else nodes
    heights = {node.index: node.height() for node in running}
    compared = [node for node in running if heights[node.index] is not None]
    assert compared, "no node answers"
    blocks, liars = 0, {cluster.validators[index] for index in cluster.liars}
    for node in compared:
        blocks += _compare_chain(cluster, node, heights[node.index] or 0)
        accused = {str(proof["validator"]).lower() for proof in node.rpc.call("ibft_getEvidence")}
        assert accused <= liars, f"{node.name} holds proofs of two signatures in one place: {accused}"
    _compare_signer_logs(cluster)
    report = cluster.listener_report()
    assert report["highest"] >= min(heights[node.index] or 0 for node in compared), (
        f"the listener hears nothing: {report}"
    )
    others = [said for said in report["contradictions"] if said.split()[0] not in liars]
    assert not others, others
    if len(compared) == len(cluster.nodes):
        # A node that could not be asked this time is asked for these heights next time.
        cluster.audited = min(heights[node.index] or 0 for node in compared)
    return Audit(
        height=min(heights[node.index] or 0 for node in compared), blocks=blocks, places=report["places"]
    )


def _compare_chain(cluster: Cluster, node: Node, height: int) -> int:
    numbers = range(max(1, cluster.audited - 1), height + 1)
    # Headers alone: after hours of load, a hundred blocks with the hashes of all their transactions are more than one response holds.
    found = node.rpc.batch([("eth_getHeaderByNumber", [hex(number)]) for number in numbers])
    proofs = node.rpc.batch([("ibft_getCommitCertificate", [hex(number)]) for number in numbers])
    parent: str | None = None
    for number, block, proof in zip(numbers, found, proofs, strict=True):
        assert block is not None, f"{node.name} says that it has {height} and does not have {number}"
        assert proof is not None, f"{node.name} has block {number} without a certificate"
        both = f"{block['hash']} {block['stateRoot']} {proof['blockHash']}"
        known = cluster.known.setdefault(number, both)
        assert known == both, (
            f"fork at height {number}: {node.name} has {both}, before or elsewhere it was {known}"
        )
        assert parent in (None, block["parentHash"]), (
            f"{node.name}: block {number} does not follow the one before"
        )
        parent = block["hash"]
    return len(numbers)


def _compare_signer_logs(cluster: Cluster) -> None:
    """The watermarks of all lives, as far as the files still have them; a last slot may be half written at this moment."""
    for node in cluster.nodes:
        path = node.data / "signer.log"
        data = path.read_bytes() if path.exists() else b""
        for begin in range(SLOT_BYTES, len(data) - SLOT_BYTES + 1, SLOT_BYTES):
            step = _decode(data[begin : begin + SLOT_BYTES])
            if step is None:
                continue
            place = (node.name.encode(), step.height, step.round, int(step.step))
            before = cluster.signed.setdefault(place, bytes(step.digest))
            assert before == step.digest, (
                f"{node.name} has signed two things at {place[1:]}: its signer.log says so"
            )
