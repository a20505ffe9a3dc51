"""Each invariant notices when it is broken: a rule is taken out of the program, or a false fact is given to the checker."""

import asyncio
import dataclasses
from typing import Any

import pytest

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.consensus.inputs import Persisted, VerdictGiven
from metanode.consensus.messages import Commit, Prepare, PreparedCertificate, RoundChange
from metanode.consensus.record import ConsensusRecord
from metanode.execution.client import Valid
from metanode.node.driver import Driver
from metanode.node.execution_worker import ExecutionWorker
from metanode.node.timers import Timers
from metanode.primitives.types import Hash32, Height, Round
from metanode.simulation.__main__ import run
from metanode.simulation.adversaries.corruption import corrupt
from metanode.simulation.cluster import Cluster
from metanode.simulation.files import SimulatedFiles
from metanode.simulation.invariants import InvariantBroken
from metanode.simulation.key_history import KeyHistory
from metanode.simulation.scenarios.story import Scenario
from metanode.simulation.stores import StoreInLife
from metanode.simulation.verifier import Verifier
from metanode.storage.node_store import NodeStore

Patch = pytest.MonkeyPatch
HASH, OTHER = Hash32(b"\1" * 32), Hash32(b"\2" * 32)


def simulate(heights: int = 5, *, lose_commits_of: int = 0, **parameters: Any) -> Cluster:
    """Decide some heights; on request one of them not in its first round, though it is prepared there."""
    cluster = Cluster(seed=3, **parameters)
    cluster.network.filters.append(
        lambda _sender, _receiver, message: (
            not (isinstance(message, Commit) and message.round == 0 and message.height == lose_commits_of)
        )
    )

    async def play(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(heights)

    run(Scenario(claim="", draw=lambda *_: cluster, play=play), cluster)
    return cluster


def breaks(match: str, **parameters: Any) -> None:
    with pytest.raises(InvariantBroken, match=match):
        simulate(**parameters)


def test_nothing_is_broken_without_a_mutation() -> None:
    assert simulate(lose_commits_of=3).height >= 5


# --- agreement, certificates, times ---


def twin(block: Block, **changes: Any) -> Block:
    return dataclasses.replace(block, header=dataclasses.replace(block.header, **changes))


def test_two_blocks_at_one_height_are_noticed() -> None:
    cluster = simulate()
    node, block = cluster.nodes[0], cluster.checker.blocks[2]
    cluster.checker._heights[0] = Height(2)

    async def see() -> None:
        cluster.checker._see(node, twin(block, evidence_root=HASH), node.disk.certificates[2])

    with pytest.raises(InvariantBroken, match="fork at height 3"):
        asyncio.run(see())


def test_a_height_that_is_left_out_is_noticed() -> None:
    cluster = simulate()
    cluster.checker._heights[0] = Height(1)
    with pytest.raises(InvariantBroken, match="shows height 3 after 1"):
        cluster.checker._see(
            cluster.nodes[0], cluster.checker.blocks[2], cluster.nodes[0].disk.certificates[2]
        )


def test_time_that_does_not_rise_is_noticed() -> None:
    cluster = simulate()
    last = cluster.checker.blocks[-1]
    with pytest.raises(InvariantBroken, match="time does not rise"):
        cluster.checker._extend(twin(last, height=last.height + 1), cluster.nodes[0].disk.certificates[-1])


@pytest.fixture(scope="module")
def decided() -> tuple[Cluster, Certificate, bytes, list[tuple[bytes, int]]]:
    cluster = simulate(2)
    members = cluster.rules.parameters.validators.validators
    certificate = cluster.nodes[0].disk.certificates[0]
    return (
        cluster,
        certificate,
        cluster.checker.blocks[0].header.encode(),
        [(v.address, v.power) for v in members],
    )


def verifier_of(cluster: Cluster, *, strict: bool = False) -> Verifier:
    return Verifier(
        chain_id=cluster.rules.chain_id,
        genesis_hash=cluster.rules.genesis_hash,
        needs_more_than_two_thirds=strict,
    )


def test_the_independent_verifier_accepts_what_was_decided(decided: Any) -> None:
    cluster, certificate, header, members = decided
    raw = certificate.encode()
    assert verifier_of(cluster).find_fault(raw, height=1, header=header, validators=members) is None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"round": Round(1)}, "is not its signer's"),
        ({"height": Height(2)}, "another height"),
        ({"block_hash": HASH}, "another height or block"),
    ],
)
def test_a_certificate_of_something_else_is_noticed(decided: Any, change: dict[str, Any], fault: str) -> None:
    cluster, certificate, header, members = decided
    raw = dataclasses.replace(certificate, **change).encode()
    found = verifier_of(cluster).find_fault(raw, height=1, header=header, validators=members)
    assert found is not None
    assert fault in found


def test_too_little_weight_is_noticed(decided: Any) -> None:
    cluster, certificate, header, members = decided
    weak = dataclasses.replace(certificate, signers=b"\3", seals=certificate.seals[:2]).encode()
    assert "weight is 2 of 4" in str(
        verifier_of(cluster).find_fault(weak, height=1, header=header, validators=members)
    )
    # Exactly two thirds is enough for authorities and too little for stakes.
    raw, signers = certificate.encode(), certificate.positions()
    powers = [(address, 2 if i in signers else len(signers)) for i, (address, _) in enumerate(members)]
    total, weight = sum(p for _, p in powers), sum(powers[i][1] for i in signers)
    if len(signers) == 3:
        assert (weight, total) == (6, 9)
        assert verifier_of(cluster).find_fault(raw, height=1, header=header, validators=powers) is None
        assert "weight is 6 of 9" in str(
            verifier_of(cluster, strict=True).find_fault(raw, height=1, header=header, validators=powers)
        )


def test_every_changed_byte_of_a_certificate_is_noticed(decided: Any) -> None:
    cluster, certificate, header, members = decided
    verifier, raw = verifier_of(cluster), certificate.encode()
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        assert verifier.find_fault(changed, height=1, header=header, validators=members), place
        assert verifier.find_fault(raw[:place], height=1, header=header, validators=members), place
    assert verifier.find_fault(raw + b"\0", height=1, header=header, validators=members)


def test_a_node_that_decides_with_too_few_seals_is_noticed(patched: Patch) -> None:
    patched.setattr(
        "metanode.chain.quorum.QuorumRule.is_quorum", lambda _self, weight, total: 2 * weight >= total
    )
    breaks("the certificate proves nothing: its weight is 2 of 4")


# --- keys ---


def vote(kind: type, height: int, round_: int, block_hash: Hash32 = HASH) -> Any:
    signature = bytes([height, round_]) + block_hash + bytes(31)
    return kind(
        height=Height(height),
        round=Round(round_),
        block_hash=block_hash,
        signature=signature,
        author=b"a" * 20,
    )


def round_change(height: int, round_: int, prepared: int | None) -> RoundChange:
    made = object.__new__(RoundChange)
    certificate = None
    if prepared is not None:
        certificate = object.__new__(PreparedCertificate)
        object.__setattr__(certificate, "round", Round(prepared))
    fields = {"height": height, "round": round_, "prepared": certificate, "author": b"a" * 20}
    for name, value in {**fields, "signature": bytes([height, round_, 9])}.items():
        object.__setattr__(made, name, value)
    return made


@pytest.mark.parametrize(
    ("messages", "broken"),
    [
        ([vote(Prepare, 1, 0), vote(Prepare, 1, 0, OTHER)], "signed two messages"),
        ([vote(Commit, 1, 0), vote(Commit, 1, 0, OTHER)], "signed two messages"),
        ([vote(Prepare, 1, 1), vote(Commit, 1, 0)], r"signed at \(1, 0, 3\) after"),
        ([vote(Commit, 2, 0), vote(Prepare, 1, 5)], r"signed at \(1, 5, 2\) after"),
        ([round_change(1, 2, 1), round_change(1, 3, 0)], "forgot a prepared round"),
        ([round_change(1, 2, 1), round_change(1, 3, None)], "forgot a prepared round"),
        ([vote(Commit, 1, 1), round_change(1, 2, None)], "committed in round 1 of height 1 and forgot it"),
        ([vote(Commit, 1, 1), round_change(1, 2, 0)], "committed in round 1 of height 1 and forgot it"),
    ],
)
def test_a_key_that_contradicts_itself_is_noticed(messages: list[Any], broken: str) -> None:
    history = KeyHistory()
    assert history.add(messages[0])
    assert not history.add(messages[0]), "the same again is no contradiction"
    with pytest.raises(InvariantBroken, match=broken):
        history.add(messages[1])


def test_a_key_that_keeps_the_rules_is_left_alone() -> None:
    history = KeyHistory()
    for message in (
        vote(Prepare, 1, 0),
        vote(Commit, 1, 0),
        round_change(1, 1, 0),
        vote(Prepare, 1, 1, OTHER),
        vote(Commit, 1, 1, OTHER),
        round_change(1, 5, 1),
        vote(Prepare, 2, 0),
    ):
        assert history.add(message)


# --- durability ---


@pytest.fixture
def patched(monkeypatch: Patch) -> Patch:
    return monkeypatch


def test_a_signers_file_that_is_not_synced_is_noticed(patched: Patch) -> None:
    patched.setattr(SimulatedFiles, "sync", lambda _self, _descriptor: None)
    breaks("before its signature is durable")


def test_a_driver_that_does_not_wait_for_the_disk_is_noticed(patched: Patch) -> None:
    perform = Driver._perform

    def hurry(self: Driver, effect: Any) -> None:
        perform(self, effect)
        if type(effect).__name__ == "Persist":
            self._feed(Persisted(number=effect.number))

    patched.setattr(Driver, "_perform", hurry)
    breaks("before .* is durable")


def test_a_message_that_is_not_in_the_record_is_noticed(patched: Patch) -> None:
    encode = ConsensusRecord.encode
    patched.setattr(ConsensusRecord, "encode", lambda self: encode(dataclasses.replace(self, messages=())))
    breaks("before the message itself is durable")


def test_a_block_that_is_not_kept_is_noticed(patched: Patch) -> None:
    save = NodeStore.save

    async def forget_bodies(self: NodeStore, *, record: bytes, bodies: Any, decided: Any) -> None:
        del bodies
        await save(self, record=record, bodies=(), decided=decided)

    patched.setattr(NodeStore, "save", forget_bodies)
    breaks("before its block is durable")


def test_a_certificate_that_is_not_kept_is_noticed(patched: Patch) -> None:
    encode = ConsensusRecord.encode
    patched.setattr(ConsensusRecord, "encode", lambda self: encode(dataclasses.replace(self, prepared=None)))
    breaks("Commit .* before its prepared certificate is durable")


def test_a_round_that_is_not_kept_is_noticed(patched: Patch) -> None:
    encode = ConsensusRecord.encode
    patched.setattr(ConsensusRecord, "encode", lambda self: encode(dataclasses.replace(self, round=Round(0))))
    breaks("RoundChange .* before its round is durable", lose_commits_of=3)


def test_a_decision_that_is_not_kept_is_noticed(patched: Patch) -> None:
    save = StoreInLife.save

    async def forget_decision(self: StoreInLife, *, record: bytes, bodies: Any, decided: Any) -> None:
        del decided
        await save(self, record=record, bodies=bodies, decided=None)

    patched.setattr(StoreInLife, "save", forget_decision)
    breaks("height 1 before it is durable")


# --- the rest ---


def test_a_vote_for_a_block_that_nobody_executed_is_noticed(patched: Patch) -> None:
    async def trust(self: ExecutionWorker) -> bool:
        block = self._to_check.popleft()
        self._feed(VerdictGiven(block_hash=block.hash, is_valid=True))
        return True

    async def trust_own(_self: ExecutionWorker, _payload: Any) -> Any:
        return Valid()

    patched.setattr(ExecutionWorker, "_check_next", trust)
    patched.setattr(ExecutionWorker, "_verdict", trust_own)
    breaks("votes for a block that nobody honest has executed")


def test_the_word_of_a_liars_execution_client_does_not_count() -> None:
    cluster = simulate(2)
    node = corrupt(cluster, 0)
    cluster.checker.upon_valid(node, HASH)
    assert HASH not in cluster.checker._valid


@pytest.mark.parametrize(
    ("owner", "name", "value", "match"),
    [
        (Timers, "is_armed", False, "is live without a deadline"),
        (Driver, "kept", 10**6, "keeps 1000000 messages"),
    ],
)
def test_a_missing_deadline_and_a_growing_memory_are_noticed(
    patched: Patch, owner: type, name: str, value: object, match: str
) -> None:
    patched.setattr(owner, name, property(lambda _self: value))
    breaks(match)


def test_a_round_that_falls_is_noticed(patched: Patch) -> None:
    count = iter(range(10**9))
    patched.setattr(Driver, "view", property(lambda _self: (1, 10**6 - next(count))))
    breaks("goes from height and round")
