"""A validator that proposes what nobody may: two blocks at once, and blocks that break a rule each. Rows 31 and 32 of docs/evidence/bad-inputs.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.acceptance.processes import wait_until
from tests.integration.faults import lying_node
from tests.integration.faults.catalogue.case import Case, Figures, Group

if TYPE_CHECKING:
    import random

    from tests.integration.faults.cluster import Cluster

LIAR = 3
TURN_WITHIN_S = 60.0
"""Each proposes once in four blocks, and a turn in which it lies costs a round."""
LOG_LINES_A_SECOND_MAX = 4.0
"""Each lie costs a round, is refused by three, or proven by them: lines of the fault's own."""


def lie(cluster: Cluster, name: str) -> dict[str, Any]:
    """Have the liar's next block be a lie, and wait until the height is decided all the same; what it has done."""
    home = cluster.nodes[LIAR].home
    done = home / "lied"
    done.unlink(missing_ok=True)
    (home / "lie.new").write_text(name)
    (home / "lie.new").replace(home / "lie")
    wait_until(done.exists, within_s=TURN_WITHIN_S, what=f"the liar has a turn for {name}")
    about: dict[str, Any] = json.loads(done.read_text())
    assert about["heard_by"] == len(cluster.nodes) - 1, about
    cluster.wait_height(about["height"] + 1, within_s=TURN_WITHIN_S)
    proofs = [node.rpc.call("ibft_getCommitCertificate", hex(about["height"])) for node in cluster.nodes]
    about["decided"] = proofs[0]["blockHash"]
    about["rounds"] = {int(proof["round"], 16) for proof in proofs}
    return about


def proposes_twice(cluster: Cluster, _chance: random.Random) -> Figures:
    """One block to one validator and another one to two: one at most is decided, in the next round, and all who heard both have the proof."""
    about = lie(cluster, lying_node.TWICE)
    assert about["rounds"] == {1}, f"decided in round {about['rounds']}"
    place = (hex(about["height"]), cluster.validators[LIAR])

    def is_proven(index: int) -> bool:
        found = cluster.nodes[index].rpc.call("ibft_getEvidence")
        return any((proof["height"], str(proof["validator"]).lower()) == place for proof in found)

    honest = [node.index for node in cluster.nodes if node.index != LIAR]
    for index in honest:
        wait_until(
            lambda index=index: is_proven(index),
            within_s=10.0,
            what=f"{cluster.nodes[index].name} has the proof of {place}",
        )
    names = {about["hash"]: "the first", about["forged"]: "the second"}
    return {
        "decided in round 1": names.get(about["decided"], "another one"),
        "nodes with the proof": float(len(honest)),
    }


def breaks_rules(cluster: Cluster, _chance: random.Random) -> Figures:
    """One forged block after the other: none is imported, each costs its round and no more."""
    forged = [name for name in lying_node.LIES if name != lying_node.TWICE]
    for name in forged:
        about = lie(cluster, name)
        assert about["rounds"] == {1}, f"{name}: decided in round {about['rounds']}"
        assert about["decided"] not in {about["forged"], about["hash"]}, (
            f"{name}: the liar's block was decided"
        )
        for node in cluster.nodes:
            assert node.rpc.call("eth_getBlockByHash", about["forged_execution"], False) is None, (
                f"{node.name} shows the block with {name}"
            )
            assert node.is_running, f"{node.name} ended on {name}"
    return {"forged blocks": float(len(forged))}


GROUP = Group(
    name="liars",
    liars={LIAR: Path(lying_node.__file__)},
    cases=(
        *(
            Case(
                fault="equivocating proposer", dose="one block to one, another to two", run=proposes_twice, repetition=number, in_ci=number == 1,
                must_hold="no fork; decided in round 1; ibft_getEvidence of all three has the proof", log_lines_a_second_max=LOG_LINES_A_SECOND_MAX,
            )
            for number in (1, 2, 3)
        ),
        Case(
            fault="forged blocks", dose=f"{len(lying_node.LIES) - 1} kinds, one turn each", run=breaks_rules,
            must_hold="never imported; decided in round 1 without the liar's block", log_lines_a_second_max=LOG_LINES_A_SECOND_MAX,
        ),
    ),
)  # fmt: skip
