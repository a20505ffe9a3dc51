"""What the driver needs of the outside, each of only the methods that it calls. Storage and p2p implement these, the simulator too."""

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.chain.header import ConsensusHeader
from metanode.chain.validators import ValidatorSet
from metanode.consensus.effects import Decided
from metanode.consensus.evidence import Evidence
from metanode.consensus.fork import Fork
from metanode.consensus.messages import Message
from metanode.consensus.stored import Stored
from metanode.consensus.watermark import SignedStep
from metanode.consensus.witness import Heard
from metanode.primitives.types import Address, Hash32, Height


class ConsensusStore(Protocol):
    """node.db. Every call returns when the disk has it (writes) or has answered (reads); raises errors.Unavailable."""

    async def load(self) -> Stored:
        """Return what a life begins with."""
        ...

    async def save(
        self, *, record: bytes, bodies: Sequence[tuple[Height, Hash32, bytes]], decided: Decided | None
    ) -> None:
        """Save in one durable transaction: the decision if there is one, the record in place of the old one, and more bodies.

        A decision becomes the tip, brings its block and its state, drops bodies up to its height, and its block's parent certificate
        replaces the one stored for the parent.
        """
        ...

    async def block(self, height: Height) -> Block | None:
        """Return a decided block whose payload is still kept."""
        ...

    async def header(self, height: Height) -> ConsensusHeader | None:
        """Return a decided block's header, from height 0 on."""
        ...

    async def certificate(self, height: Height) -> Certificate | None:
        """Return a decided height's certificate."""
        ...

    async def validators(self, height: Height) -> ValidatorSet | None:
        """Return the set that decides a height, up to the one after the tip."""
        ...

    async def save_evidence(self, evidence: Evidence) -> None:
        """Keep a proof; a repetition changes nothing."""
        ...

    async def save_heard(self, rows: Sequence[tuple[Height, bytes]]) -> None:
        """Keep what everybody has signed at these heights, in place of what was kept of them; of older heights only so many are kept."""
        ...

    async def heard(self, height: Height) -> Heard:
        """Return what everybody has signed at a height, as far as it is kept."""
        ...

    async def save_fork(self, fork: Fork) -> None:
        """Keep the proof that a height was decided twice: `load` gives it back in every later life."""
        ...


class Signer(Protocol):
    """One validator key and its watermark file."""

    @property
    def address(self) -> Address:
        """The validator's address."""
        ...

    @property
    def watermark(self) -> SignedStep | None:
        """The last signature durably written; None for a file that has none yet."""
        ...

    @property
    def is_watermark_lost(self) -> bool:
        """True when the file was not there: nobody knows what the key has signed."""
        ...

    def sign(self, digest: Hash32) -> bytes:
        """Return the 65-byte signature, the same for the same digest, always. Nothing leaves this process before `advance` returns."""
        ...

    async def advance(self, steps: Sequence[SignedStep]) -> None:
        """Write these signatures durably, in order. Raises errors.SigningRefused, with nothing written, if the watermark forbids one."""
        ...


class Reception(Enum):
    """What p2p does with bytes that a peer sent."""

    RELAY = "relay"
    """New, by a validator, and of use: hand on, and remember."""
    DROP = "drop"
    """Known, late, early or not wanted here; it may come again."""
    MALFORMED = "malformed"
    """The connection's fault."""


class Network(Protocol):
    """The peers, for consensus. Nothing here waits for a peer but `request_block`."""

    def broadcast(self, raw: bytes, message: Message, *, is_repeat: bool) -> None:
        """Send bytes to all peers, with the priority of their kind."""
        ...

    def send(self, peer: str, raw: bytes, message: Message) -> None:
        """Send bytes to one peer, with the priority of their kind; a peer that has gone is no error."""
        ...

    def charge(self, peer: str) -> None:
        """Charge a peer for a certificate that proves nothing."""
        ...

    async def request_block(
        self, height: Height, block_hash: Hash32, holders: tuple[Address, ...]
    ) -> bytes | None:
        """Ask one peer after another for an encoded block, holders first; None when nobody has it now."""
        ...


class Synchroniser(Protocol):
    """Fetches certified blocks and gives them to `Driver.import_decided`."""

    def fall_behind(self, height: Height) -> None:
        """Others are at this height, or above: fetch from our own tip on. Called again and again while we are behind."""
        ...


class Clock(Protocol):
    """Wall time. Waits use the event loop's own, monotonic, clock."""

    def wall_ms(self) -> int:
        """Return milliseconds since the Unix epoch."""
        ...
