"""The disk of the simulator and the real one keep the same promises to the driver."""

import asyncio
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from metanode.chain.block import Block
from metanode.consensus.messages import Step
from metanode.consensus.watermark import SignedStep
from metanode.crypto.hashing import keccak256
from metanode.errors import SigningRefused
from metanode.primitives.types import Height, Round
from metanode.simulation.disk import Disk
from metanode.simulation.life import Life
from metanode.storage.node_store import NodeStore
from metanode.storage.signer import FileSigner
from metanode.storage.signer_log import make_signer_log


class RealDisk:
    """Files; a life ends when they are closed."""

    def __init__(self, folder: Path, genesis: Any, key: Any) -> None:
        self._folder, self._genesis, self._key = folder, genesis, key
        self._opened: list[Any] = []
        make_signer_log(folder / "signer.log", address=key.address, genesis_hash=genesis.hash)

    def begin(self) -> tuple[Any, Any]:
        self.end()
        store = NodeStore.open(self._folder / "node.db", self._genesis)
        self._opened.append(store)
        path = self._folder / "signer.log"
        signer = FileSigner.open(path, self._key, genesis_hash=self._genesis.hash, lock_folder=self._folder)
        self._opened.append(signer)
        return store, signer

    def end(self) -> None:
        while self._opened:
            self._opened.pop().close()


class SimulatedDisk:
    """The same code on files and a database in memory; a life ends with a power cut."""

    def __init__(self, _: Path, genesis: Any, key: Any) -> None:
        self._disk = Disk(genesis, key.address)
        self._key = key
        self._random = random.Random(1)

    def begin(self) -> tuple[Any, Any]:
        self.end()
        life = Life(self._random, lambda _: False)
        return self._disk.open_store(life), self._disk.open_signer(life, self._key)

    def end(self) -> None:
        self._disk.cut_power(self._random)


@pytest.fixture(params=[RealDisk, SimulatedDisk], ids=["files", "simulated"])
def disk(request: pytest.FixtureRequest, tmp_path: Path, genesis: Any, keys: Any) -> Iterator[Any]:
    made = request.param(tmp_path, genesis, keys[0])
    yield made
    made.end()


def run(action: Callable[..., Any], disk: Any) -> Any:
    """Give the action a store and a signer of a new life."""

    async def life() -> Any:
        return await action(*disk.begin())

    return asyncio.run(life())


def body(block: Block) -> tuple[Height, Any, bytes]:
    return block.height, block.hash, block.encode()


def test_a_life_finds_what_the_one_before_was_told_is_saved(disk: Any, decisions: Any, genesis: Any) -> None:
    blocks = [decisions.propose(round=round) for round in (0, 1)]
    fuller = decisions.certify(blocks[0], seals=4)
    first = decisions.decide(blocks[0], seals=3)
    decisions.certificate = fuller
    second = decisions.decide(decisions.propose(requests=(b"\1exit",)))

    async def empty(store: Any, _: Any) -> None:
        stored = await store.load()
        assert (stored.header, stored.state, stored.certificate) == (genesis.header, genesis.state, None)
        assert (stored.record, stored.bodies) == (None, ())
        assert await store.header(Height(0)) == genesis.header
        assert (
            await store.block(Height(1))
            is await store.certificate(Height(1))
            is await store.header(Height(1))
            is None
        )
        for block in (*blocks, blocks[0]):
            await store.save(record=b"proposed", bodies=[body(block)], decided=None)

    async def undecided(store: Any, _: Any) -> None:
        stored = await store.load()
        assert (stored.header, stored.record) == (genesis.header, b"proposed")
        assert stored.bodies == tuple(block.encode() for block in blocks)
        await store.save(record=b"decided", bodies=[], decided=first)

    async def decided(store: Any, _: Any) -> None:
        stored = await store.load()
        assert (stored.header, stored.state, stored.certificate) == (
            first.block.header,
            first.state,
            first.certificate,
        )
        assert (stored.record, stored.bodies) == (b"decided", ())
        assert await store.block(Height(1)) == first.block
        assert await store.certificate(Height(1)) == first.certificate
        await store.save(record=b"again", bodies=[], decided=second)
        assert await store.certificate(Height(1)) == fuller
        assert (await store.load()).certificate == second.certificate
        assert [await store.header(Height(h)) for h in (1, 2)] == [first.block.header, second.block.header]

    for life in (empty, undecided, decided):
        run(life, disk)


def test_the_watermark_outlives_a_life_and_forbids_what_could_contradict_it(disk: Any, keys: Any) -> None:
    def step(height: int, kind: Step, content: bytes = b"") -> SignedStep:
        digest = keccak256(bytes([height, kind]) + content)
        return SignedStep(
            height=Height(height), round=Round(0), step=kind, digest=digest, signature=keys[0].sign(digest)
        )

    async def sign(_: Any, signer: Any) -> None:
        assert (signer.watermark, signer.is_watermark_lost, signer.address) == (None, False, keys[0].address)
        await signer.advance([step(3, Step.PREPARE), step(3, Step.COMMIT)])
        assert signer.watermark == step(3, Step.COMMIT)

    async def sign_again(_: Any, signer: Any) -> None:
        assert signer.watermark == step(3, Step.COMMIT)
        assert signer.sign(signer.watermark.digest) == signer.watermark.signature
        await signer.advance([step(3, Step.COMMIT)])
        for refused in (step(3, Step.PREPARE), step(3, Step.COMMIT, b"other"), step(2, Step.COMMIT)):
            with pytest.raises(SigningRefused):
                await signer.advance([refused])
        with pytest.raises(SigningRefused):
            await signer.advance([step(4, Step.PREPARE), step(3, Step.PREPARE)])
        assert signer.watermark == step(3, Step.COMMIT)
        await signer.advance([])

    for life in (sign, sign_again):
        run(life, disk)
