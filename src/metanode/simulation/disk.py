"""Disks in memory that survive the crash of their node, and lose what was not yet durable.

A write takes time, and counts only when that is over: a node that is killed in between finds the disk as it was.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.chain.header import ConsensusHeader
from metanode.chain.parameters import ConsensusParameters
from metanode.chain.state import ConsensusState, next_state
from metanode.chain.validators import ValidatorSet
from metanode.consensus.effects import Decided
from metanode.consensus.evidence import Evidence
from metanode.consensus.fork import Fork
from metanode.consensus.stored import Stored
from metanode.consensus.watermark import SignedStep, permits
from metanode.consensus.witness import Heard, decode_heard
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import SigningRefused
from metanode.execution.client import ExecutionPayload
from metanode.primitives.types import Address, Hash32, Height

Boundary = Callable[[str], Awaitable[None]]
"""Awaited at each step of a write, by its name: where the simulator waits, and kills."""


@dataclass(slots=True, kw_only=True)
class Disk:
    """What one node finds again after a crash."""

    genesis: ConsensusHeader
    genesis_state: ConsensusState
    parameters: ConsensusParameters
    blocks: list[Block] = field(default_factory=list)
    """Decided blocks from height 1 on."""
    certificates: list[Certificate] = field(default_factory=list)
    state: ConsensusState | None = None
    record: bytes | None = None
    bodies: dict[Hash32, tuple[Height, bytes]] = field(default_factory=dict)
    watermark: SignedStep | None = None
    has_watermark_file: bool = True
    forgets: bool = False
    """Loses record and watermark in every crash: to show that the network then forks."""
    evidence: list[Evidence] = field(default_factory=list)
    heard: dict[Height, bytes] = field(default_factory=dict)
    """What everybody has signed at decided heights."""
    fork: Fork | None = None
    payloads: list[ExecutionPayload] = field(default_factory=list)
    """The execution client's own chain."""

    @property
    def tip(self) -> Height:
        """The highest decided height."""
        return Height(len(self.blocks))

    def state_after(self, height: int) -> ConsensusState:
        """Return the state after a decided height, derived again."""
        state = self.genesis_state
        for block in self.blocks[:height]:
            state = next_state(state, block, self.parameters)
        return state

    def forget_database(self, *, keep: int) -> None:
        """Become an old backup of the database, with this many blocks; the signer's file and the execution client stay as they are."""
        state = self.state_after(keep)
        self.blocks, self.certificates = self.blocks[:keep], self.certificates[:keep]
        self.state = state
        self.record = None
        self.bodies = {}


class DiskStore:
    """The node's database on a Disk."""

    def __init__(self, disk: Disk, boundary: Boundary) -> None:
        self._disk = disk
        self._boundary = boundary

    async def load(self) -> Stored:
        """See ConsensusStore."""
        disk = self._disk
        await asyncio.sleep(0)
        return Stored(
            header=disk.blocks[-1].header if disk.blocks else disk.genesis,
            state=disk.state or disk.genesis_state,
            certificate=disk.certificates[-1] if disk.certificates else None,
            record=disk.record,
            bodies=tuple(body for _, body in disk.bodies.values()),
            fork=disk.fork,
            heard=tuple((height, decode_heard(data)) for height, data in list(disk.heard.items())[-16:]),
        )

    async def save(
        self, *, record: bytes, bodies: Sequence[tuple[Height, Hash32, bytes]], decided: Decided | None
    ) -> None:
        """See ConsensusStore."""
        await self._boundary("before save")
        disk = self._disk
        disk.record = None if disk.forgets else record
        for height, block_hash, body in bodies:
            disk.bodies[block_hash] = (height, body)
        if decided is not None:
            block = decided.block
            assert block.height == disk.tip + 1, (block.height, disk.tip)
            if disk.certificates and block.parent_certificate is not None:
                disk.certificates[-1] = block.parent_certificate
            disk.blocks.append(block)
            disk.certificates.append(decided.certificate)
            disk.state = decided.state
            disk.bodies = {h: entry for h, entry in disk.bodies.items() if entry[0] > block.height}
        await self._boundary("after save")

    async def block(self, height: Height) -> Block | None:
        """See ConsensusStore."""
        await asyncio.sleep(0)
        return self._disk.blocks[height - 1] if 0 < height <= self._disk.tip else None

    async def header(self, height: Height) -> ConsensusHeader | None:
        """See ConsensusStore."""
        if height == 0:
            return self._disk.genesis
        block = await self.block(height)
        return block.header if block else None

    async def certificate(self, height: Height) -> Certificate | None:
        """See ConsensusStore."""
        await asyncio.sleep(0)
        return self._disk.certificates[height - 1] if 0 < height <= self._disk.tip else None

    async def validators(self, height: Height) -> ValidatorSet | None:
        """See ConsensusStore."""
        await asyncio.sleep(0)
        disk = self._disk
        return disk.state_after(height - 1).validators if 0 < height <= disk.tip + 1 else None

    async def save_fork(self, fork: Fork) -> None:
        """See ConsensusStore."""
        await self._boundary("before fork")
        self._disk.fork = fork

    async def save_evidence(self, evidence: Evidence) -> None:
        """See ConsensusStore."""
        await asyncio.sleep(0)
        if evidence not in self._disk.evidence:
            self._disk.evidence.append(evidence)

    async def save_heard(self, rows: Sequence[tuple[Height, bytes]]) -> None:
        """See ConsensusStore."""
        await asyncio.sleep(0)
        self._disk.heard.update(rows)

    async def heard(self, height: Height) -> Heard:
        """See ConsensusStore."""
        await asyncio.sleep(0)
        data = self._disk.heard.get(height)
        return () if data is None else decode_heard(data)


class DiskSigner:
    """A key with its watermark on a Disk."""

    def __init__(self, key: PrivateKey, disk: Disk, boundary: Boundary) -> None:
        self._key = key
        self._disk = disk
        self._boundary = boundary

    @property
    def address(self) -> Address:
        """See Signer."""
        return self._key.address

    @property
    def watermark(self) -> SignedStep | None:
        """See Signer."""
        return self._disk.watermark

    @property
    def is_watermark_lost(self) -> bool:
        """See Signer."""
        return not self._disk.has_watermark_file

    def sign(self, digest: Hash32) -> bytes:
        """See Signer."""
        return self._key.sign(digest)

    async def advance(self, steps: Sequence[SignedStep]) -> None:
        """See Signer."""
        await self._boundary("before watermark")
        mark = self._disk.watermark
        for step in steps:
            if not permits(mark, height=step.height, round=step.round, step=step.step, digest=step.digest):
                raise SigningRefused(f"{step.position} after {mark.position if mark else None}")
            mark = step
        self._disk.watermark = None if self._disk.forgets else mark
        self._disk.has_watermark_file = True
        await self._boundary("after watermark")
