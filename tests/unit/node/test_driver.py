"""The driver: order of disk, client and sight; bytes from peers; what stops a node. In virtual time, on the simulator's disk and links."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import structlog

from metanode.chain.attributes import PayloadAttributes
from metanode.chain.certificate import Certificate
from metanode.chain.signing import SigningDomain
from metanode.consensus import wire
from metanode.consensus.inputs import Mode
from metanode.consensus.justification import Electorate
from metanode.consensus.messages import Commit, Decision, Prepare, RoundChange
from metanode.consensus.phases.timers import RESEND_MS_MAX
from metanode.consensus.relay import RELAYED_MAX
from metanode.errors import InvalidCertificate, InvalidInput, SigningRefused
from metanode.execution.client import ExecutionPayload, Invalid, Valid
from metanode.execution.fake import FakeExecution
from metanode.node.driver import INPUTS_MAX
from metanode.node.imports import IMPORTS_AHEAD_MAX
from metanode.node.liveness import WAIT_FOR_PEERS_S, LiveGate
from metanode.node.ports import Reception
from metanode.primitives.types import Hash32, Height, Round
from metanode.simulation.cluster import GENESIS_TIME, Cluster
from metanode.simulation.virtual_time import VirtualTimeLoop

OTHER = Hash32(b"\x01" * 32)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


def play(scenario: Callable[[Cluster], Awaitable[None]], **kwargs: object) -> Cluster:
    cluster = Cluster(**{"seed": 1, **kwargs})
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario(cluster))
    return cluster


def vote_of(cluster: Cluster, index: int, kind: type, block_hash: Hash32, *, height: int, round_: int = 0):
    node = cluster.nodes[index]
    digest_of = {Prepare: node.rules.domain.prepare, Commit: node.rules.domain.commit}[kind]
    place = {"height": Height(height), "round": Round(round_), "block_hash": block_hash}
    return wire.encode(kind(**place, author=node.key.address, signature=node.key.sign(digest_of(**place))))


def round_change_of(cluster: Cluster, index: int, height: int, round_: int) -> bytes:
    node = cluster.nodes[index]
    digest = node.rules.domain.round_change(height=Height(height), round=Round(round_), prepared=None)
    change = RoundChange(
        height=Height(height),
        round=Round(round_),
        prepared=None,
        author=node.key.address,
        signature=node.key.sign(digest),
    )
    return wire.encode(change)


def test_a_decision_is_durable_then_final_then_visible():
    events: list[tuple[str, int]] = []

    async def scenario(cluster: Cluster) -> None:
        async with cluster.running():
            node = cluster.nodes[0]
            while not node.is_running:
                await cluster.wait_s(0.01)
            finalize = node.engine.finalize

            async def finalizing(execution_hash: Hash32):
                events.append(("final", node.disk.tip))
                return await finalize(execution_hash)

            node.engine.finalize = finalizing
            node.driver.subscribe(
                lambda decided: (
                    events.append(("visible", decided.block.height))
                    or events.append(("head", len(node.engine.decided)))
                )
            )
            await cluster.wait_height(2)

    play(scenario)
    assert events == [
        ("final", 1), ("visible", 1), ("head", 1),
        ("final", 2), ("visible", 2), ("head", 2),
    ]  # fmt: skip


def test_the_same_bytes_are_decoded_once():
    async def scenario(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_s(1)
            driver = cluster.nodes[0].driver
            raw = vote_of(cluster, 1, Commit, OTHER, height=1)
            assert driver.receive(raw, "a") is Reception.RELAY
            assert driver.receive(raw, "b") is Reception.DROP
            assert driver.statistics.rejected["commit", "duplicate"] == 1

    play(scenario)


@pytest.mark.parametrize(
    ("kind", "height", "round_", "reception"),
    [
        (Commit, 2, 0, Reception.RELAY),
        (Prepare, 2, 2, Reception.RELAY),
        (Prepare, 2, 3, Reception.DROP),
        (Commit, 2, 3, Reception.DROP),
        (Commit, 12, 0, Reception.RELAY),
        (Commit, 13, 0, Reception.DROP),
        (Commit, 1, 0, Reception.DROP),
    ],
    ids=[
        "current",
        "two rounds ahead",
        "three rounds",
        "commit three rounds",
        "ten heights",
        "eleven",
        "past",
    ],
)
def test_peers_relay_what_is_of_use_and_drop_the_rest(kind, height, round_, reception):
    async def scenario(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(1)
            raw = vote_of(cluster, 1, kind, OTHER, height=height, round_=round_)
            assert cluster.nodes[0].driver.receive(raw, "peer") is reception

    play(scenario)


def test_a_round_change_of_a_round_that_we_have_left_is_handed_on():
    """Whether a round has its quorum is for those in it to say, who may hear each other through us only."""

    async def scenario(cluster: Cluster) -> None:
        cluster.checker.checks_keys = cluster.checker.expects_evidence = False
        async with cluster.running():
            await cluster.wait_height(1)
            for index in (2, 3):
                cluster.crash(index)
            driver = cluster.nodes[0].driver
            while driver.snapshot.round < 2:
                await cluster.wait_s(1)
            height = driver.snapshot.height
            for round_ in (1, 2):
                assert driver.receive(round_change_of(cluster, 2, height, round_), "peer") is Reception.RELAY

    play(scenario)


def test_what_is_repeated_in_a_later_round_is_heard_and_handed_on_again():
    async def scenario(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(1)
            for index in (2, 3):
                cluster.crash(index)
            driver = cluster.nodes[0].driver
            while driver.snapshot.round < 1:
                await cluster.wait_s(1)
            await cluster.wait_s(20)
            (heard,) = [
                found
                for address, found in driver.statistics.last_messages.items()
                if address == cluster.nodes[1].key.address
            ]
            assert heard.round == 1
            now_ms = cluster.nodes[0].clock.wall_ms()
            assert now_ms - heard.at_ms <= RESEND_MS_MAX + 1_000

    play(scenario)


def test_a_follower_that_stands_in_round_0_hands_on_again_what_one_validator_repeats():
    """It leaves round 0 when F + 1 do, whom it may not hear before what it hands on has reached them."""

    async def scenario(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(1)
            for index in (1, 2, 3):
                cluster.crash(index)
            await cluster.wait_s(20)
            driver = cluster.nodes[4].driver
            assert driver.snapshot.round == 0
            assert list(driver.snapshot.round_change_rounds.values()) == [1]
            heard = driver.statistics.last_messages[cluster.nodes[0].key.address]
            assert cluster.nodes[4].clock.wall_ms() - heard.at_ms <= 2 * RESEND_MS_MAX

    play(scenario, followers=1)


@pytest.mark.parametrize("early_s", [0.0, 1e-9, 0.002])
def test_waiting_for_peers_ends_also_when_its_timer_comes_early(early_s):
    """As uvloop's do, which count milliseconds: nothing else asks again in a network that stands still."""

    class EarlyLoop(VirtualTimeLoop):
        def call_at(self, when, callback, *arguments, context=None):
            is_last_look = getattr(callback, "__name__", "") == "_update_mode"
            at = max(self.time(), when - early_s) if is_last_look else when
            return super().call_at(at, callback, *arguments, context=context)

    async def scenario() -> None:
        cluster = Cluster(seed=1, validators=4)
        async with cluster.running(start=[0]):
            await cluster.wait_s(WAIT_FOR_PEERS_S + 1)
            assert cluster.nodes[0].driver.mode is Mode.LIVE

    with asyncio.Runner(loop_factory=EarlyLoop) as runner:
        runner.run(scenario())


def test_of_one_author_only_so_much_is_handed_on_until_a_round_or_a_height_begins():
    """A validator that signs thousands of different votes reaches those whom it is connected with, and not the whole network through them."""

    async def scenario(cluster: Cluster) -> None:
        # Its key is used behind its back.
        cluster.checker.checks_keys = cluster.checker.expects_evidence = False
        async with cluster.running():
            await cluster.wait_height(1)
            driver = cluster.nodes[0].driver

            def flood(first: int) -> list[Reception]:
                hashes = [
                    Hash32(number.to_bytes(32, "big")) for number in range(first, first + 2 * RELAYED_MAX)
                ]
                height = driver.view[0]
                return [
                    driver.receive(vote_of(cluster, 1, Commit, one, height=height), "peer") for one in hashes
                ]

            assert flood(1).count(Reception.RELAY) == RELAYED_MAX
            other = vote_of(cluster, 2, Commit, OTHER, height=driver.view[0])
            assert driver.receive(other, "peer") is Reception.RELAY, "nobody else pays for it"
            await cluster.wait_height(2)
            assert flood(10_000).count(Reception.RELAY) > 0

    play(scenario)


def test_malformed_bytes_are_the_connections_fault_and_a_strangers_vote_is_not():
    async def scenario(cluster: Cluster) -> None:
        async with cluster.running(start=[0, 1, 2, 3]):
            await cluster.wait_s(1)
            driver = cluster.nodes[0].driver
            assert driver.receive(b"\x02nonsense", "peer") is Reception.MALFORMED
            assert driver.receive(b"", "peer") is Reception.MALFORMED
            raw = vote_of(cluster, 4, Commit, OTHER, height=1)
            assert driver.receive(raw, "peer") is Reception.DROP
            assert dict(driver.statistics.rejected) == {
                ("prepare", "malformed"): 1,
                ("unknown", "malformed"): 1,
                ("commit", "not_validator"): 1,
            }

    play(scenario, candidates=1)


def test_a_straggler_is_answered_with_the_decision_at_most_once_a_second():
    async def scenario(cluster: Cluster) -> None:
        # Its key is used behind its back.
        cluster.checker.checks_keys = False
        async with cluster.running():
            await cluster.wait_height(2)
            await cluster.wait_s(0.5)
            node, straggler = cluster.nodes[0], cluster.nodes[1]
            answers: list[tuple[str, object]] = []
            node.driver._network.send = lambda peer, _raw, message: answers.append((peer, message))
            for round_ in range(1, 5):
                digest = node.rules.domain.round_change(height=Height(1), round=Round(round_), prepared=None)
                change = RoundChange(
                    height=Height(1), round=Round(round_), prepared=None,
                    author=straggler.key.address, signature=straggler.key.sign(digest),
                )  # fmt: skip
                node.driver.receive(wire.encode(change), "1")
            await cluster.wait_s(0.5)
            assert [peer for peer, _ in answers] == ["1"]
            assert isinstance(answers[0][1], Decision)
            assert answers[0][1].height == 1

    play(scenario)


def test_a_flood_of_certificates_waits_in_a_bounded_queue():
    async def scenario(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(2)
            node = cluster.nodes[0]
            certificate = node.driver._running().tip.certificate
            for _ in range(INPUTS_MAX + 10):
                node.driver.upon_certificate(certificate, "1")
            assert len(node.driver._inputs) == INPUTS_MAX
            await cluster.wait_height(3)

    play(scenario)


class Contrary(FakeExecution):
    """Finds every block invalid."""

    async def validate(self, payload: ExecutionPayload) -> Invalid:
        return Invalid(f"I do not like 0x{payload.hash.hex()}")


def failure_of(cluster: Cluster, index: int) -> str:
    assert cluster.nodes[index].is_halted, cluster.nodes[index].failure
    return str(cluster.nodes[index].driver.halted)


def test_a_decided_block_that_the_client_calls_invalid_halts_this_node_alone():
    async def scenario(cluster: Cluster) -> None:
        cluster.checker.expects_halts = True
        async with cluster.running():
            node = cluster.nodes[3]
            while not node.is_running:
                await cluster.wait_s(0.01)
            contrary = Contrary(node._execution_genesis)
            node.driver._worker._client = contrary
            await cluster.wait_height(4, nodes=[0, 1, 2])
            assert node.driver.mode is Mode.HALTED
            assert "invalid for this client: I do not like" in failure_of(cluster, 3)
            assert node.disk.tip == 1, "the decision itself is durable"

    play(scenario)


@pytest.mark.parametrize("validators", [1, 2, 3, 4])
def test_a_client_with_another_block_at_a_decided_height_halts_with_both_hashes(validators: int):
    async def scenario(cluster: Cluster) -> None:
        cluster.checker.expects_halts = True
        async with cluster.running():
            await cluster.wait_height(3)
            cluster.crash(0)
            await cluster.wait_s(0.1)
            disk = cluster.nodes[0].disk
            decided = disk.payloads[-1].hash
            other = FakeExecution(cluster.nodes[0]._execution_genesis, decided=disk.payloads[:-1])
            other.submit_local([b"\x02another"])
            block = disk.blocks[-1].execution
            attributes = PayloadAttributes(
                timestamp=block.header.timestamp, prev_randao=block.header.mix_hash,
                fee_recipient=block.header.beneficiary, withdrawals=block.withdrawals,
                parent_beacon_block_root=block.header.parent_beacon_block_root, gas_limit=block.header.gas_limit,
            )  # fmt: skip
            build_id = await other.start_build((await other.head()).hash, attributes)
            foreign = await other.take_build(build_id, deadline_s=1)
            assert await other.validate(foreign) == Valid()
            disk.payloads[-1] = foreign
            cluster.start(0)
            await cluster.wait_s(1)
            error = failure_of(cluster, 0)
            assert decided.hex() in error
            assert foreign.hash.hex() in error
            assert "remove engine/" in error
            assert cluster.nodes[0].driver.tip.header.height == disk.tip, "readers still see what was decided"

    play(scenario, validators=validators)


def test_a_refused_signature_stops_the_node_and_nothing_leaves():
    async def scenario(cluster: Cluster) -> None:
        cluster.checker.check_all = lambda: None
        async with cluster.running():
            node = cluster.nodes[0]
            while not node.is_running:
                await cluster.wait_s(0.01)

            async def refuse(_: object) -> None:
                raise SigningRefused("not this")

            node.driver._signer.advance = refuse
            sent: list[object] = []
            node.driver._network.broadcast = lambda *_, **__: sent.append(None)
            await cluster.wait_s(10)
            assert isinstance(node.failure.exceptions[0], SigningRefused)
            assert sent == []

    play(scenario)


def test_building_begins_after_the_parent_and_again_400_ms_before_the_slot():
    started: list[int] = []

    async def scenario(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_s(1.9)
            proposer = cluster.nodes[0]
            start = proposer.engine.start_build

            async def starting(*arguments: object) -> object:
                started.append(round(cluster.now_s * 1000))
                return await start(*arguments)

            proposer.engine.start_build = starting
            await cluster.wait_height(2)

    play(scenario, validators=1)
    assert 2_000 <= started[0] < 2_100, "right after height 1"
    assert started[1] == 3_600


def test_sync_imports_only_what_is_proven():
    async def scenario(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(3)
            disk = cluster.nodes[0].disk
            cluster.network.partition([0, 1, 2, 3])
            cluster.start(4)
            await cluster.wait_s(1)
            driver = cluster.nodes[4].driver
            block, certificate = disk.blocks[0], disk.certificates[0]
            bits = int.from_bytes(certificate.signers, "little")
            assert bits & 1
            lame = Certificate(
                height=certificate.height, round=certificate.round, block_hash=certificate.block_hash,
                signers=(bits & ~1).to_bytes(len(certificate.signers), "little"), seals=certificate.seals[1:],
            )  # fmt: skip
            # The same validators have decided it, on another chain: another genesis is another signing domain.
            elsewhere = SigningDomain(chain_id=4242, genesis_hash=OTHER)
            digest = elsewhere.commit(height=block.height, round=Round(0), block_hash=block.hash)
            foreign = Certificate.of(
                height=block.height, round=Round(0), block_hash=block.hash,
                seals={node.key.address: node.key.sign(digest) for node in cluster.nodes[:4]},
                validators=driver._running().electorate.validators,
            )  # fmt: skip
            for wrong in (
                disk.certificates[1],
                lame if len(lame.seals) < 3 else disk.certificates[1],
                foreign,
            ):
                with pytest.raises(InvalidCertificate):
                    await driver.import_decided(block, wrong)
            with pytest.raises(InvalidInput, match="height 1 comes next"):
                await driver.import_decided(disk.blocks[1], disk.certificates[1])
            for known, proof in zip(disk.blocks[:3], disk.certificates[:3], strict=True):
                await driver.import_decided(known, proof)
            await driver.import_decided(block, certificate)
            assert driver.tip.header.height == 3

    play_with_late_follower(scenario)


def test_imported_blocks_wait_for_disk_and_client_in_a_bounded_number():
    async def scenario(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(2 * IMPORTS_AHEAD_MAX, within_s=300)
            disk = cluster.nodes[0].disk
            cluster.network.partition([0, 1, 2, 3])
            cluster.start(4)
            await cluster.wait_s(1)
            driver = cluster.nodes[4].driver
            is_stuck = asyncio.Event()
            finalize = driver._worker._client.finalize

            async def waiting(execution_hash: Hash32):
                await is_stuck.wait()
                return await finalize(execution_hash)

            driver._worker._client.finalize = waiting

            async def import_all() -> None:
                blocks = disk.blocks[: 2 * IMPORTS_AHEAD_MAX]
                for block, certificate in zip(blocks, disk.certificates, strict=False):
                    await driver.import_decided(block, certificate)

            async with asyncio.TaskGroup() as tasks:
                importing = tasks.create_task(import_all())
                await cluster.wait_s(30)
                assert not importing.done()
                assert driver.final_height == 0
                assert driver.tip.header.height == IMPORTS_AHEAD_MAX + 1
                is_stuck.set()
            assert driver.tip.header.height == 2 * IMPORTS_AHEAD_MAX

    play_with_late_follower(scenario)


def test_a_validator_that_sync_holds_back_signs_nothing_until_it_is_let_go():
    async def scenario(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(2)
            driver = cluster.nodes[0].driver
            driver.hold_back(is_behind=True)
            await cluster.wait_s(1)
            assert driver.mode is Mode.SYNCING
            height = driver.tip.header.height
            await cluster.wait_height(height + 3, nodes=[1, 2, 3])
            assert driver.mode is Mode.SYNCING
            watermark = cluster.nodes[0].disk.watermark
            assert watermark is None or watermark.height <= height + 1
            driver.hold_back(is_behind=False)
            await cluster.wait_s(5)
            assert driver.mode is Mode.LIVE

    play(scenario)


def play_with_late_follower(scenario: Callable[[Cluster], Awaitable[None]]) -> None:
    cluster = Cluster(seed=1, validators=4, followers=1)
    running = cluster.running
    cluster.running = lambda: running(start=[0, 1, 2, 3])
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario(cluster))


@pytest.mark.parametrize("step_s", [-3_600, -10, 10, 3_600])
def test_a_step_of_the_wall_clock_neither_mutes_nor_hurries_a_follower(step_s):
    async def scenario(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(2)
            cluster.nodes[0].clock.offset_ms = step_s * 1000
            before = cluster.height
            await cluster.wait_s(20)
            assert cluster.height >= before + 8, "the others' turns go on"

    play(scenario)


def test_a_follower_without_a_key_follows():
    async def scenario(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(5, nodes=[4])
            assert cluster.nodes[4].driver.mode is Mode.LIVE

    play(scenario, followers=1)


def test_the_slot_of_the_first_block_is_one_period_after_the_genesis():
    async def scenario(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(1)

    cluster = play(scenario)
    assert cluster.checker.blocks[0].header.timestamp == GENESIS_TIME + 2


# --- the gate ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("validators", "seen", "is_open"),
    [
        (1, 0, True),
        (2, 0, True),
        (3, 0, False),
        (3, 1, True),
        (4, 0, False),
        (4, 1, True),
        (7, 1, False),
        (7, 2, True),
    ],
)
def test_a_node_is_live_at_once_when_the_weight_it_cannot_see_is_below_a_quorum(validators, seen, is_open):
    cluster = Cluster(seed=1, validators=validators)
    electorate = Electorate.after(cluster.checker.state_before(Height(1)), cluster.rules.quorum_rule)
    gate = LiveGate(own=cluster.nodes[0].key.address, started_at=0.0)
    for node in cluster.nodes[1 : 1 + seen]:
        gate.see(str(node.index), node.key.address, Height(0))
    assert gate.is_open(Height(0), electorate, 0.1) is is_open
    assert gate.is_open(Height(0), electorate, WAIT_FOR_PEERS_S)


def test_a_decided_height_above_closes_the_gate_until_it_is_reached():
    cluster = Cluster(seed=1, validators=1)
    electorate = Electorate.after(cluster.checker.state_before(Height(1)), cluster.rules.quorum_rule)
    gate = LiveGate(own=cluster.nodes[0].key.address, started_at=0.0)
    gate.raise_target(Height(7))
    assert not gate.is_open(Height(6), electorate, 60.0)
    assert gate.is_open(Height(7), electorate, 60.0)


def test_a_validator_that_claims_to_be_ahead_counts_only_when_we_are_there():
    cluster = Cluster(seed=1, validators=4)
    electorate = Electorate.after(cluster.checker.state_before(Height(1)), cluster.rules.quorum_rule)
    gate = LiveGate(own=cluster.nodes[0].key.address, started_at=0.0)
    gate.see("1", cluster.nodes[1].key.address, Height(9))
    assert not gate.is_open(Height(8), electorate, 0.1)
    assert gate.is_open(Height(9), electorate, 0.1)


@pytest.mark.parametrize("validators", [1, 4])
def test_a_key_that_knows_of_no_signature_and_whose_seal_is_in_the_chain_has_forgotten(validators):
    """It was wiped, and sync brings what its former life has sealed: alone, it never knows how far that went."""
    cluster = Cluster(seed=1, validators=validators)
    state = cluster.checker.state_before(Height(1))
    electorate = Electorate.after(state, cluster.rules.quorum_rule)
    own, *others = [node.key for node in cluster.nodes]

    def certificate(*keys):
        return Certificate.of(
            height=Height(1), round=Round(0), block_hash=OTHER,
            seals={key.address: key.sign(OTHER) for key in keys}, validators=state.validators,
        )  # fmt: skip

    fresh = LiveGate(own=own.address, started_at=0.0, has_signed=False)
    knowing = LiveGate(own=own.address, started_at=0.0)
    for gate in (fresh, knowing):
        for number, other in enumerate(others[:2]):
            gate.see(str(number), other.address, Height(1))
        assert gate.is_certain(Height(1), electorate)
    for gate in (fresh, knowing):
        gate.look_for_own(None, state.validators)
        gate.look_for_own(certificate(*others), state.validators) if others else None
        assert gate.is_certain(Height(1), electorate)
        gate.look_for_own(certificate(own, *others), state.validators)
    assert knowing.is_certain(Height(1), electorate)
    assert fresh.is_certain(Height(1), electorate) is (validators == 4), "three of four see each other"


def test_whoever_has_lost_its_past_does_not_count_itself():
    cluster = Cluster(seed=1, validators=4)
    electorate = Electorate.after(cluster.checker.state_before(Height(1)), cluster.rules.quorum_rule)
    gate = LiveGate(own=None, started_at=0.0)
    gate.see("1", cluster.nodes[1].key.address, Height(0))
    assert not gate.is_certain(Height(0), electorate)
    gate.see("2", cluster.nodes[2].key.address, Height(0))
    assert gate.is_certain(Height(0), electorate)
