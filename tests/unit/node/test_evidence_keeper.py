"""Proofs on their way to a disk that is slow: the first ones convict, so they stay."""

import asyncio
from dataclasses import replace

from structlog.testing import capture_logs

from metanode.consensus.evidence import Evidence, Statement
from metanode.consensus.messages import Step
from metanode.node.evidence_keeper import UNSAVED_MAX, EvidenceKeeper
from metanode.primitives.types import Address, Hash32, Height, Round

FIRST = Statement(step=Step.COMMIT, round=Round(0), block_hash=Hash32(b"\x01" * 32), signature=bytes(65))
SECOND = replace(FIRST, block_hash=Hash32(b"\x02" * 32))


def proof(height: int) -> Evidence:
    return Evidence(height=Height(height), author=Address(bytes(20)), first=FIRST, second=SECOND)


def test_of_more_proofs_than_can_wait_the_first_ones_are_saved():
    saved: list[int] = []
    open_ = asyncio.Event()

    class Store:
        async def save_evidence(self, evidence: Evidence) -> None:
            await open_.wait()
            saved.append(evidence.height)

    async def scenario() -> None:
        async with asyncio.TaskGroup() as tasks:
            keeper = EvidenceKeeper(store=Store(), spawn=tasks.create_task)
            for height in range(1, UNSAVED_MAX + 100):
                keeper.keep(proof(height))
            await asyncio.sleep(0)
            open_.set()

    asyncio.run(scenario())
    assert set(saved) == set(range(1, UNSAVED_MAX + 1))


def test_many_proofs_against_one_validator_at_one_height_are_one_line_of_the_log():
    """A liar completes 64 pairs at each height: the log of an honest node is not its to fill."""
    kept: list[Evidence] = []

    class Store:
        async def save_evidence(self, evidence: Evidence) -> None:
            kept.append(evidence)

    async def scenario() -> None:
        async with asyncio.TaskGroup() as tasks:
            keeper = EvidenceKeeper(store=Store(), spawn=tasks.create_task)
            for height in (1, 1, 1, 2, 2):
                keeper.keep(proof(height))

    with capture_logs() as lines:
        asyncio.run(scenario())
    assert [line["height"] for line in lines] == [1, 2]
    assert len(kept) == 5, "all of them are kept"
