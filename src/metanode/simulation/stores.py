"""The storage code of a real node within one life of a simulated one: its writes take time, and may be where the life ends."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TypeVar

from metanode.chain.genesis import Genesis
from metanode.consensus.effects import Decided
from metanode.consensus.evidence import Evidence
from metanode.consensus.fork import Fork
from metanode.consensus.watermark import SignedStep
from metanode.crypto.secp256k1 import PrivateKey
from metanode.primitives.types import Hash32, Height
from metanode.simulation.life import Life
from metanode.simulation.medium import DatabaseMedium
from metanode.storage.database import Database
from metanode.storage.node_store import NodeStore
from metanode.storage.signer import FileSigner
from metanode.storage.signer_log import SignerLog

Result = TypeVar("Result")


class AtOnce:
    """A storage thread for who looks at a disk from outside."""

    async def run(self, function: Callable[[], Result]) -> Result:
        """See StorageThread."""
        return function()

    def close(self) -> None:
        """See StorageThread."""


class ThreadInLife:
    """A storage thread of a simulated node: what it runs takes no time itself, and is not done after the end."""

    def __init__(self, life: Life, *, takes_a_turn: bool) -> None:
        self._life = life
        self._takes_a_turn = takes_a_turn

    async def run(self, function: Callable[[], Result]) -> Result:
        """See StorageThread."""
        if self._takes_a_turn:
            await asyncio.sleep(0)
        self._life.go_on()
        return function()

    def close(self) -> None:
        """See StorageThread."""


class StoreInLife(NodeStore):
    """node.db. Each write passes a boundary before, one with the transaction open, and one after."""

    def __init__(
        self,
        database: Database,
        genesis: Genesis,
        life: Life,
        medium: DatabaseMedium,
        evidence: list[Evidence],
    ) -> None:
        """`database` was begun before, when the disk was made."""
        super().__init__(database, genesis)
        self._life = life
        self._medium = medium
        self._kept = evidence

    async def save(
        self, *, record: bytes, bodies: Sequence[tuple[Height, Hash32, bytes]], decided: Decided | None
    ) -> None:
        """See NodeStore."""
        await self._write("save", partial(super().save, record=record, bodies=bodies, decided=decided))

    async def save_fork(self, fork: Fork) -> None:
        """See NodeStore."""
        await self._write("fork", partial(super().save_fork, fork))

    async def save_evidence(self, evidence: Evidence) -> None:
        """See NodeStore; keeps it for the scenario too, once it is durable."""
        await self._write("evidence", partial(super().save_evidence, evidence))
        if evidence not in self._kept:
            self._kept.append(evidence)

    async def _write(self, name: str, write: Callable[[], Coroutine[object, object, None]]) -> None:
        await self._life.pass_slowly(f"before {name}")
        # The write itself does not wait, so no other one comes between.
        self._medium.before_commit = partial(self._life.pass_by, f"uncommitted {name}")
        await write()
        self._medium.before_commit = None
        await self._life.pass_slowly(f"after {name}")


class SignerInLife(FileSigner):
    """The key with its file."""

    def __init__(self, key: PrivateKey, log: SignerLog, life: Life) -> None:
        super().__init__(key, log, _NoLock(), ThreadInLife(life, takes_a_turn=False))
        self._life = life

    async def advance(self, steps: Sequence[SignedStep]) -> None:
        """See FileSigner."""
        await self._life.pass_slowly("before watermark")
        await super().advance(steps)
        await self._life.pass_slowly("after watermark")


class _NoLock:
    """One process at a time has a simulated disk."""

    def close(self) -> None:
        """See Lock."""
