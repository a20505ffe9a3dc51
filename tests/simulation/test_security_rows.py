"""Rows 30, 34, 35 and 38 of docs/evidence/bad-inputs.md on whole simulated networks; 31 to 33: tests/unit/consensus."""

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest

from metanode.consensus import wire
from metanode.consensus.messages import Commit, Message, Prepare
from metanode.node.driver import Reception
from metanode.primitives.types import Hash32, Height, Round
from metanode.simulation.cluster import Cluster
from metanode.simulation.network import LinkFaults
from metanode.simulation.node import SimulatedNode
from metanode.simulation.virtual_time import VirtualTimeLoop

FIRST = int(os.environ.get("SEED", "1"))
SEEDS = range(FIRST, FIRST + 3)
HEALED_S = 30
"""From the end of a fault to the next block."""
KILLS = 100


def seed_id(seed: int) -> str:
    return f"seed={seed}"


every_seed = pytest.mark.parametrize("seed", SEEDS, ids=seed_id)


def play(story: Callable[[Cluster], Awaitable[None]], **kwargs: object) -> Cluster:
    cluster = Cluster(**kwargs)
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(story(cluster))
    return cluster


def vote_of(node: SimulatedNode, kind: type, number: int, *, height: int, round_: int = 0) -> bytes:
    domain = node.rules.domain
    digest_of = {Prepare: domain.prepare, Commit: domain.commit}[kind]
    place = {
        "height": Height(height),
        "round": Round(round_),
        "block_hash": Hash32(number.to_bytes(32, "big")),
    }
    return wire.encode(kind(**place, author=node.key.address, signature=node.key.sign(digest_of(**place))))


# --- row 30 --------------------------------------------------------------------------------------------------------------------------------


def test_row_30_malformed_bytes_and_what_nobody_waits_for_leave_a_driver_as_it_was() -> None:
    async def story(cluster: Cluster) -> None:
        async with cluster.running(start=[0, 1, 2, 3]):
            await cluster.wait_height(2)
            driver, liar, stranger = cluster.nodes[0].driver, cluster.nodes[1], cluster.nodes[4]
            good = vote_of(liar, Commit, 1, height=3)
            before, waiting = driver.snapshot, len(driver._inputs)
            for length in range(len(good)):
                assert driver.receive(good[:length], "peer") is Reception.MALFORMED, length
            assert driver.receive(good + b"\x00", "peer") is Reception.MALFORMED
            assert driver.receive(vote_of(stranger, Commit, 1, height=3), "peer") is Reception.DROP
            assert driver.snapshot == before
            assert len(driver._inputs) == waiting, "nothing of it is an input"
            assert len(driver._seen) <= 64, "what is refused is not remembered"

    play(story, seed=1, followers=1)


@pytest.mark.timeout(600)  # half a minute of a processor, which may have much else to do
def test_row_30_a_hundred_thousand_messages_of_the_far_future_leave_nothing_behind() -> None:
    async def story(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(2)
            node, liar = cluster.nodes[0], cluster.nodes[1]
            liar.is_byzantine = True
            for number in range(100_000):
                raw = vote_of(
                    liar,
                    (Prepare, Commit)[number % 2],
                    number,
                    height=3 + number % 3 * (11 + number),
                    round_=number,
                )
                node.driver.receive(raw, "1")
                if number % 200 == 0:
                    await cluster.wait_s(0.05)
                    assert node.driver.kept <= 1_000
            height = cluster.height
            await cluster.wait_height(height + 3, within_s=8)
            assert not any(cluster.checker.rounds.values()), "the flood cost no round"

    play(story, seed=1)


# --- row 34 --------------------------------------------------------------------------------------------------------------------------------


@every_seed
def test_row_34_a_hundred_kills_between_the_write_and_the_send_contradict_nothing(seed: int) -> None:
    """The checker compares every signature of every life; each kill comes after a write is durable and before its messages leave."""

    async def story(cluster: Cluster) -> None:
        killed = 0
        async with cluster.running():
            while killed < KILLS:
                index = cluster.random.randrange(len(cluster.nodes))
                node, left = cluster.nodes[index], cluster.random.randint(0, 12)

                def crash_now(boundary: str) -> bool:
                    nonlocal left
                    left -= boundary in {"after watermark", "after save"}
                    return left < 0

                node.crash_at = crash_now
                for _ in range(800):
                    if not node.is_up:
                        break
                    await cluster.wait_s(0.05)
                node.crash_at = lambda _: False
                assert not node.is_up, "no write came"
                killed += 1
                cluster.start(index)
            height = cluster.height
            await cluster.wait_height(height + 3, within_s=40)

    cluster = play(story, seed=seed)
    assert sum(node.lives for node in cluster.nodes) == KILLS + 4


# --- row 35 --------------------------------------------------------------------------------------------------------------------------------


@every_seed
def test_row_35_a_database_rolled_back_a_day_signs_nothing_twice_and_is_filled_again(seed: int) -> None:
    """The database is that of long ago; the signer's file and the execution client stay as they are."""

    async def story(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(cluster.random.randint(60, 90), within_s=400)
            victim = cluster.random.randrange(len(cluster.nodes))
            node = cluster.nodes[victim]
            cluster.crash(victim)
            await cluster.wait_s(cluster.random.randint(0, 4_000) / 1_000)
            node.disk.forget_database(keep=cluster.random.randrange(10))
            cluster.start(victim)
            height = cluster.height
            await cluster.wait_height(height + 1, nodes=[victim], within_s=40)
            await cluster.wait_height(height + 12, within_s=60)
            state = cluster.checker.state_before(Height(cluster.height + 1))
            assert cluster.height - state.standing(node.key.address).last_active <= len(cluster.nodes) + 1

    play(story, seed=seed)


# --- row 38 --------------------------------------------------------------------------------------------------------------------------------


async def require_healed(cluster: Cluster) -> None:
    """Every node shows a new block in time; that there is one chain the checker has seen after each event."""
    height = cluster.height
    await cluster.wait_height(height + 1, within_s=HEALED_S)


@every_seed
def test_row_38_halves_for_five_minutes_make_no_fork_and_go_on_within_30_s(seed: int) -> None:
    async def story(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(cluster.random.randint(1, 4))
            mixed = cluster.random.sample(range(4), 4)
            await cluster.wait_s(cluster.random.randint(0, 2_000) / 1_000)
            cluster.network.partition(mixed[:2], mixed[2:])
            await cluster.wait_s(1)
            height = cluster.height
            await cluster.wait_s(300)
            assert cluster.height <= height + 1
            cluster.network.heal()
            await require_healed(cluster)

    play(story, seed=seed)


@every_seed
@pytest.mark.parametrize("is_deaf", [True, False], ids=["deaf", "mute"])
def test_row_38_nodes_that_only_send_or_only_hear_make_no_fork_and_the_chain_goes_on(
    is_deaf: bool, seed: int
) -> None:
    """For one to five minutes two of four nodes are only heard, or only hear, so that nobody has a quorum; then the links work."""

    async def story(cluster: Cluster) -> None:
        impaired = cluster.random.sample(range(4), 2)
        is_broken = True

        def lets_pass(sender: int, receiver: int, _message: Message) -> bool:
            return not is_broken or (receiver if is_deaf else sender) not in impaired

        async with cluster.running():
            await cluster.wait_height(cluster.random.randint(1, 4))
            cluster.network.filters.append(lets_pass)
            await cluster.wait_s(cluster.random.randint(60, 300))
            is_broken = False
            await require_healed(cluster)

    play(story, seed=seed)


@every_seed
def test_row_38_30_percent_lost_and_half_doubled_makes_no_fork_and_the_chain_grows(seed: int) -> None:
    async def story(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_s(300)
            assert cluster.height > 20
            cluster.network.faults = LinkFaults(delay_ms_max=100)
            await require_healed(cluster)

    faults = LinkFaults(delay_ms_max=300, loss_percent=30, duplicate_percent=50)
    play(story, seed=seed, faults=faults)
