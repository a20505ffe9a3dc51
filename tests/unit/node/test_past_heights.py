"""Certificates of heights that are over: those that this node cannot know, and more questions than it can answer."""

import asyncio
from types import SimpleNamespace

import pytest
import structlog

from metanode.chain.certificate import Certificate
from metanode.node.past_heights import ANSWERS_MAX, COMPARISONS_MAX, PastHeights
from metanode.primitives.types import Hash32, Height, Round
from metanode.simulation.virtual_time import VirtualTimeLoop

HASH = Hash32(b"\x01" * 32)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


class Store:
    """A node that began from a snapshot without headers, at height 100."""

    def __init__(self) -> None:
        self.looks = 0
        self.open = asyncio.Event()

    async def header(self, height):
        self.looks += 1
        return SimpleNamespace(hash=HASH) if height >= 100 else None

    async def certificate(self, _):
        await self.open.wait()


def certificate(height: int) -> Certificate:
    return Certificate(
        height=Height(height), round=Round(0), block_hash=HASH, signers=b"\x07", seals=(bytes(65),) * 3
    )


class Held:
    """The part under test, with what it says."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.store, self.charged, self.fed = Store(), [], []
        self.past = PastHeights(
            rules=None, store=self.store, network=SimpleNamespace(charge=self.charged.append),
            feed=self.fed.append, spawn=tasks.create_task,
        )  # fmt: skip


def play(scenario) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())


def test_a_certificate_of_before_our_snapshot_proves_nothing_and_blames_nobody():
    """Anybody may send one: a straggler does. To wait for its header for ever ended every later comparison."""

    async def scenario() -> None:
        async with asyncio.TaskGroup() as tasks:
            held = Held(tasks)
            for height in range(1, 2 * COMPARISONS_MAX):
                held.past.compare(certificate(height), "peer")
            await asyncio.sleep(60)
            looked = held.store.looks
            await asyncio.sleep(60)
            assert held.store.looks == looked, "it looks for nothing any more"
            held.past.compare(certificate(100), "peer")
            await asyncio.sleep(1)
            assert held.store.looks == looked + 1, "and later ones are compared"
            assert held.charged == held.fed == []

    play(scenario)


def test_questions_of_stragglers_that_wait_for_the_disk_are_bounded():
    """Votes of all past heights are public: anybody can send one of each."""

    async def scenario() -> None:
        started = 0

        async with asyncio.TaskGroup() as tasks:

            def spawn(coroutine):
                nonlocal started
                started += 1
                return tasks.create_task(coroutine)

            held = Held(tasks)
            held.past._spawn = spawn
            for height in range(1, 100_000):
                held.past.send_decision("peer", Height(height))
            assert started == ANSWERS_MAX
            held.store.open.set()
            await asyncio.sleep(1)
            held.past.send_decision("peer", Height(99_999))
            assert started == ANSWERS_MAX + 1, "who was not answered may ask again"

    play(scenario)
