"""Validator sets that change with the stakes, once an epoch. Row 34 of docs/evidence/catalogue.md.

The contract is a script: what it answers for each epoch is drawn. What the set of each epoch must be is worked out here again.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from metanode.chain.quorum import QuorumRule
from metanode.chain.validators import Validator, ValidatorSet
from metanode.primitives import rlp
from metanode.primitives.types import Address, Height
from metanode.simulation.cluster import Cluster
from metanode.simulation.scenarios.story import SETTLE_S, Scenario, drawing, require

EPOCH: Final = 8
ANSWERS: Final = ("replaced", "shuffled", "fails", "empty", "not a list", "no power")
"""What the contract does, one for each epoch from the second on; the first two are always the first two."""


@dataclass(slots=True)
class ScriptedStakes:
    """A contract that answers by a script. `read` may be called by anybody, any number of times, and is the same each time."""

    addresses: Sequence[Address]
    seed: int

    def read(self, height: Height) -> bytes | None:
        """See StakeSource."""
        epoch = self.epoch_of(height)
        match self.answer(epoch):
            case "fails":
                return None
            case "empty":
                return rlp.encode([])
            case "not a list":
                return b"\x81\xff"
            case "no power":
                return rlp.encode([[address, b""] for address in self.addresses])
            case _:
                members = list(self.members(epoch))
                random.Random(f"{self.seed} {epoch}").shuffle(members)
                return rlp.encode([[address, rlp.integer(power)] for address, power in members])

    @staticmethod
    def epoch_of(height: int) -> int:
        """Return the epoch that is decided by what the contract says after this height."""
        return height // EPOCH + 2

    def answer(self, epoch: int) -> str:
        """Return what the contract does for an epoch."""
        others = random.Random(f"answers {self.seed}").sample(ANSWERS[2:], len(ANSWERS) - 2)
        return ([*ANSWERS[:2], *others])[(epoch - 2) % len(ANSWERS)]

    def members(self, epoch: int) -> list[tuple[Address, int]]:
        """Return who has stakes: the later half from the second epoch on, then everybody."""
        half = len(self.addresses) // 3
        chosen = self.addresses[half:] if epoch == 2 else self.addresses
        draw = random.Random(f"powers {self.seed} {epoch}")
        return [(address, draw.randint(10, 14)) for address in chosen]


def _draw(seed: int, _wanted: int | None, rule: QuorumRule) -> Cluster:
    return Cluster(
        seed=seed,
        validators=4,
        powers=[10] * 4,
        candidates=2,
        epoch_length=EPOCH,
        stakes=lambda addresses: ScriptedStakes(addresses, seed),
        faults=drawing(4)(seed, None, rule).network.faults,
    )


def _expected(cluster: Cluster, epochs: int) -> list[ValidatorSet]:
    """Return the set of each epoch: what the script names, and the one before where it names none."""
    contract = cluster.rules.parameters.stakes
    assert isinstance(contract, ScriptedStakes)
    sets = [cluster.rules.parameters.validators] * 2
    for epoch in range(2, epochs):
        named = contract.answer(epoch) in {"replaced", "shuffled"}
        members = [Validator(address=a, power=p) for a, p in contract.members(epoch)]
        sets.append(ValidatorSet.of(members) if named else sets[-1])
    return sets


async def _epoch_changes(cluster: Cluster) -> None:
    """Two newcomers take the places of two validators; they may come as late as the epoch in which they are needed."""
    newcomers = [4, 5]
    epochs = len(ANSWERS) + 2
    expected = _expected(cluster, epochs)
    async with cluster.running(start=range(4)):
        await cluster.wait_height(cluster.random.randint(2, 2 * EPOCH - 1))
        await cluster.wait_s(cluster.random.choice([0, 1, 5]))
        for index in newcomers:
            # Whoever comes when it is needed already says that its new key has signed nothing; nobody else can know.
            cluster.nodes[index].may_sign_without_watermark = cluster.height >= 2 * EPOCH - 1
            cluster.start(index)
        await cluster.wait_height(2 * EPOCH + 2, within_s=SETTLE_S + 4 * EPOCH)
        # Whoever has lost its seat is not needed any more, and comes back for the next epoch.
        leaver = cluster.random.choice([0, 1])
        cluster.crash(leaver)
        await cluster.wait_height(2 * EPOCH + 5, within_s=SETTLE_S)
        cluster.start(leaver)
        await cluster.wait_height(epochs * EPOCH - 1, within_s=epochs * EPOCH * 3)
        for node in cluster.nodes:
            for block, certificate in zip(node.disk.blocks, node.disk.certificates, strict=True):
                members = expected[block.height // EPOCH]
                require(
                    block.header.validators_hash == members.hash,
                    f"node {node.index}: height {block.height} was not decided by its epoch's set",
                )
                weight = members.weight(certificate.addresses(members))
                require(
                    3 * weight > 2 * members.total_power,
                    f"height {block.height}: its own set has not decided it",
                )
    boundary = cluster.checker.blocks[2 * EPOCH - 1]
    require(boundary.parent_certificate is not None, "the first block of an epoch has no parent certificate")
    assert boundary.parent_certificate is not None
    old = set(boundary.parent_certificate.addresses(expected[1]))
    require(old <= set(expected[1].addresses), "the last block of an epoch was sealed by the next set")
    rounds = [r for h, r in cluster.checker.rounds.items() if h > 2 * EPOCH + 6]
    require(sum(rounds) <= 2, f"changes of the set cost {sum(rounds)} rounds")


EPOCHS: Final[dict[str, Scenario]] = {
    "epoch-changes": Scenario(
        rows=(34,),
        claim="stakes change the set at one height for all, and an answer that names no set leaves it as it is",
        draw=_draw,
        play=_epoch_changes,
    ),
}
