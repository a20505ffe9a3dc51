"""What a validator can sign that no honest one signs, as bytes: rows 30 to 33 of docs/evidence/bad-inputs.md, and floods of what nobody waits for."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

from metanode.chain.header import EMPTY_EVIDENCE_ROOT, ConsensusHeader
from metanode.consensus import wire
from metanode.consensus.messages import (
    Commit,
    Justification,
    Prepare,
    PreparedCertificate,
    Proposal,
    RoundChange,
    RoundChangeClaim,
    Seal,
)
from metanode.crypto.secp256k1 import PrivateKey
from metanode.primitives.types import ZERO_HASH, Hash32, Height, Round

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from metanode.chain.genesis import Genesis

OUTSIDERS = tuple(PrivateKey(bytes((number,)) * 32) for number in (0x51, 0x52, 0x53))
"""Keys of nobody."""


class Lies:
    """Signs with one validator's key, and with keys of nobody."""

    def __init__(self, genesis: Genesis, key: PrivateKey) -> None:
        self._genesis, self._domain, self._key = genesis, genesis.rules.domain, key

    # --- floods ---

    def flood(self, kind: str, height: Callable[[], Height]) -> Iterator[bytes]:
        """Messages without end; `height` is the one that is being decided when the next message is made."""
        return {
            "rounds": self._rounds, "heights": self._heights, "duplicates": self._duplicates, "forgeries": self._forgeries,
        }[kind](height)  # fmt: skip

    def _rounds(self, height: Callable[[], Height]) -> Iterator[bytes]:
        """Votes and round changes for rounds that never come, each another one."""
        for number in itertools.count(1):
            make = (self.prepare, self.round_change, self.commit)[number % 3]
            yield wire.encode(make(height(), number))

    def _heights(self, height: Callable[[], Height]) -> Iterator[bytes]:
        """Votes for the next heights and a hundred thousand after them, each another one."""
        for number in itertools.count(1):
            yield wire.encode((self.prepare, self.commit)[number % 2](Height(height() + number), 0))

    def _duplicates(self, height: Callable[[], Height]) -> Iterator[bytes]:
        """One vote again and again while its height lasts."""
        known, raw = Height(0), b""
        while True:
            if height() != known:
                known = height()
                raw = wire.encode(self.prepare(known, 0))
            yield raw

    def _forgeries(self, height: Callable[[], Height]) -> Iterator[bytes]:
        """Rows 31 to 33 again and again, each time with other blocks."""
        while True:
            for number in (31, 32, 33):
                yield from self.row(number, height())

    # --- rows ---

    def row(self, number: int, height: Height) -> Iterator[bytes]:
        """The messages of one row, with the height that is being decided; 0 is what nobody can read."""
        return {0: self._unreadable, 30: self._row_30, 31: self._row_31, 32: self._row_32, 33: self._row_33}[
            number
        ](height)

    def _unreadable(self, height: Height) -> Iterator[bytes]:
        """Half a vote: who sends that is hung up on."""
        yield wire.encode(self.prepare(height, 0))[:50]

    def _row_30(self, height: Height) -> Iterator[bytes]:
        """A stranger's vote, a proposal of somebody else's turn, past heights, eleven heights ahead."""
        yield wire.encode(self.prepare(height, 0, key=OUTSIDERS[0]))
        yield wire.encode(self.commit(height, 0, key=OUTSIDERS[0]))
        for round_ in range(4):
            yield wire.encode(self.proposal(height, round_))
        for past in range(1, height):
            yield wire.encode(self.commit(Height(past), 0))
            yield wire.encode(self.round_change(Height(past), 1))
        yield wire.encode(self.prepare(Height(height + 11), 0))

    def _row_31(self, height: Height) -> Iterator[bytes]:
        """Two proposals for one round, in a round that is the liar's; two votes of each kind in one place."""
        for round_ in range(1, 5):
            yield wire.encode(self.proposal(height, round_))
            yield wire.encode(self.proposal(height, round_))
        for make in (self.prepare, self.commit):
            yield wire.encode(make(height, 0))
            yield wire.encode(make(height, 0))

    def _row_32(self, height: Height) -> Iterator[bytes]:
        """Proposals without their blocks, of times that no block may have. Those with blocks are a lying node's: tests/integration/faults."""
        for round_, timestamp in itertools.product(range(1, 5), (0, 1, 2**40)):
            yield wire.encode(self.proposal(height, round_, timestamp=timestamp))

    def _row_33(self, height: Height) -> Iterator[bytes]:
        """Certificates that prove nothing: too few, one signer twice, strangers, another height."""
        for round_ in range(1, 5):
            own = self._claim(height, round_)
            strangers = [self._claim(height, round_, key=key) for key in OUTSIDERS]
            for claims in (
                [own],
                [own, own, own],
                [own, *strangers],
                [own, self._claim(Height(height + 1), round_), self._claim(Height(height - 1), round_)],
            ):
                justification = Justification(claims=tuple(claims), prepared=None)
                yield wire.encode(self.proposal(height, round_, justification=justification))
        for seals in (1, 2, 3):
            yield wire.encode(self._prepared_change(height, 5, [self._key] * seals))
        yield wire.encode(self._prepared_change(height, 6, list(OUTSIDERS)))

    # --- single messages ---

    def prepare(self, height: Height, round_: int, *, key: PrivateKey | None = None) -> Prepare:
        """A vote for a block that is not there."""
        place = {"height": height, "round": Round(round_), "block_hash": _nobodys()}
        signer = key or self._key
        return Prepare(**place, author=signer.address, signature=signer.sign(self._domain.prepare(**place)))

    def commit(self, height: Height, round_: int, *, key: PrivateKey | None = None) -> Commit:
        """A seal for a block that is not there."""
        place = {"height": height, "round": Round(round_), "block_hash": _nobodys()}
        signer = key or self._key
        return Commit(**place, author=signer.address, signature=signer.sign(self._domain.commit(**place)))

    def round_change(self, height: Height, round_: int) -> RoundChange:
        """A wish for a round."""
        digest = self._domain.round_change(height=height, round=Round(round_), prepared=None)
        return RoundChange(
            height=height,
            round=Round(round_),
            prepared=None,
            author=self._key.address,
            signature=self._key.sign(digest),
        )

    def proposal(
        self,
        height: Height,
        round_: int,
        *,
        timestamp: int = 1,
        justification: Justification | None = None,
    ) -> Proposal:
        """A header, each time another one, whose block nobody has."""
        header = ConsensusHeader(
            version=1, chain_tag=self._genesis.rules.chain_tag, height=height, parent_hash=_nobodys(), execution_hash=_nobodys(),
            requests_hash=ZERO_HASH, timestamp=timestamp, proposer=self._key.address, proposal_round=Round(round_),
            validators_hash=ZERO_HASH, next_validators_hash=ZERO_HASH, consensus_state_root=ZERO_HASH,
            parent_certificate_hash=ZERO_HASH, vote=None, evidence_root=EMPTY_EVIDENCE_ROOT,
        )  # fmt: skip
        digest = self._domain.proposal(height=height, round=Round(round_), block_hash=header.hash)
        if round_ and justification is None:
            justification = Justification(claims=(self._claim(height, round_),), prepared=None)
        return Proposal(
            height=height, round=Round(round_), header=header, block=None, justification=justification,
            author=self._key.address, signature=self._key.sign(digest),
        )  # fmt: skip

    def _claim(self, height: Height, round_: int, *, key: PrivateKey | None = None) -> RoundChangeClaim:
        signer = key or self._key
        digest = self._domain.round_change(height=height, round=Round(round_), prepared=None)
        return RoundChangeClaim(prepared=None, author=signer.address, signature=signer.sign(digest))

    def _prepared_change(self, height: Height, round_: int, preparers: list[PrivateKey]) -> RoundChange:
        """A round change that claims a block was prepared, and holds these keys' prepares for it."""
        place = {"height": height, "round": Round(round_ - 1), "block_hash": _nobodys()}
        prepares = tuple(
            Seal(author=key.address, signature=key.sign(self._domain.prepare(**place))) for key in preparers
        )
        proposal = Seal(author=self._key.address, signature=self._key.sign(self._domain.proposal(**place)))
        prepared = PreparedCertificate(
            round=place["round"], block_hash=place["block_hash"], proposal=proposal, prepares=prepares
        )
        digest = self._domain.round_change(
            height=height, round=Round(round_), prepared=(prepared.round, prepared.block_hash)
        )
        return RoundChange(
            height=height, round=Round(round_), prepared=prepared, author=self._key.address, signature=self._key.sign(digest)
        )  # fmt: skip


def _nobodys() -> Hash32:
    """The hash of nothing that exists."""
    return Hash32(os.urandom(32))
