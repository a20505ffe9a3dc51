"""`metanode node`, whose validator lies when it is told to: `python lying_node.py node HOME`.

HOME/lie holds the name of a lie. In the validator's next turn the file is taken away, and in place of the block that it has proposed it sends what the lie makes of
it; HOME/lied says at which height. All else in the process is the ordinary node's, which thinks that it has proposed honestly.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from metanode.chain.block import Block
from metanode.chain.execution_header import (
    decode_execution_block,
    encode_execution_block,
    transactions_root,
)
from metanode.consensus import wire
from metanode.consensus.messages import Message, Proposal
from metanode.crypto.hashing import keccak256
from metanode.crypto.keystore import load_key
from metanode.crypto.secp256k1 import PrivateKey
from metanode.node.peering import ConsensusLink, priority_of
from metanode.primitives import rlp

if TYPE_CHECKING:
    from collections.abc import Callable

    from metanode.chain.certificate import Certificate
    from metanode.primitives.types import Height, Round

TWICE: Final = "two proposals"
STRANGER: Final = PrivateKey(b"\x66" * 32)
FAR_AHEAD_S: Final = 3_600
INVALID_TRANSACTION: Final = b"\x02" + rlp.encode(
    [b"\x05\x39", b"", b"", b"", b"", b"", b"", b"", [], b"", b"", b""]
)
"""Of another chain's rules in nothing, but signed by nobody."""


def with_execution(block: Block, *more: bytes, **changes: object) -> Block:
    """The block around an execution block with other fields in its header, and with more transactions."""
    decoded = decode_execution_block(block.execution_rlp)
    raws = [*_transactions(block.execution_rlp), *more]
    if more:
        changes["transactions_root"] = transactions_root(raws)
    header = dataclasses.replace(decoded.header, **changes)  # type: ignore[arg-type] # each lie gives its field
    return Block(
        header=dataclasses.replace(block.header, execution_hash=header.hash, timestamp=header.timestamp),
        execution_rlp=encode_execution_block(header, raws, decoded.withdrawals),
        requests=block.requests,
        parent_certificate=block.parent_certificate,
    )


def with_seals(block: Block, change: Callable[[Certificate], Certificate]) -> Block:
    """The block with another certificate of its parent."""
    assert block.parent_certificate is not None
    certificate = change(block.parent_certificate)
    header = dataclasses.replace(block.header, parent_certificate_hash=certificate.hash)
    return dataclasses.replace(block, header=header, parent_certificate=certificate)


def _transactions(execution_rlp: bytes) -> list[bytes]:
    items = rlp.decode(execution_rlp, items_max=1_000_000)[1]
    return [rlp.encode(item) if isinstance(item, list) else item for item in items]


def _two_seals(certificate: Certificate) -> Certificate:
    """One fewer than a quorum of four."""
    first, second, *_ = certificate.positions()
    bits = (1 << first | 1 << second).to_bytes(len(certificate.signers), "little")
    return dataclasses.replace(certificate, signers=bits, seals=certificate.seals[:2])


def _one_twice(certificate: Certificate) -> Certificate:
    """The first seal in the second one's place too."""
    first, _, *rest = certificate.seals
    return dataclasses.replace(certificate, seals=(first, first, *rest))


def _strangers(certificate: Certificate) -> Certificate:
    """A seal of nobody in the first one's place."""
    return dataclasses.replace(
        certificate, seals=(STRANGER.sign(certificate.block_hash), *certificate.seals[1:])
    )


LIES: Final[dict[str, Callable[[Block], Block]]] = {
    TWICE: lambda block: with_execution(block, extra_data=b"another block"),
    "an invalid transaction": lambda block: with_execution(block, INVALID_TRANSACTION),
    "a wrong state root": lambda block: with_execution(block, state_root=keccak256(b"of nothing")),
    "the parent's timestamp": lambda block: with_execution(block, timestamp=block.header.timestamp - 2),
    "a timestamp an hour ahead": lambda block: with_execution(
        block, timestamp=block.header.timestamp + FAR_AHEAD_S
    ),
    "a foreign validator set": lambda block: dataclasses.replace(
        block, header=dataclasses.replace(block.header, validators_hash=keccak256(b"of nobody"))
    ),
    "too few seals": lambda block: with_seals(block, _two_seals),
    "a seal twice": lambda block: with_seals(block, _one_twice),
    "a stranger's seal": lambda block: with_seals(block, _strangers),
}
"""By name, what becomes of the block that was to be proposed."""


class Liar:
    """Stands between the validator and its peers."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._key = load_key(home / "validator.json", (home / "validator.password").read_text().strip())
        self._lied: set[tuple[Height, Round]] = set()
        self._honest = ConsensusLink.broadcast

    def broadcast(self, link: ConsensusLink, raw: bytes, message: Message, *, is_repeat: bool) -> None:
        """In place of the link's own."""
        told = self._home / "lie"
        is_turn = isinstance(message, Proposal) and message.block is not None and message.round == 0
        if isinstance(message, Proposal) and (message.height, message.round) in self._lied:
            return  # What it thinks that it has proposed is not repeated.
        if is_turn and not is_repeat and told.exists():
            self._lie(link, message, told)
        else:
            self._honest(link, raw, message, is_repeat=is_repeat)

    def _lie(self, link: ConsensusLink, proposal: Proposal, told: Path) -> None:
        name = told.read_text()
        told.unlink()
        assert proposal.block is not None
        assert link._network is not None
        block = LIES[name](proposal.block)
        genesis_domain = link._network._chain._genesis.rules.domain  # type: ignore[attr-defined] # this node's own
        digest = genesis_domain.proposal(height=block.height, round=proposal.round, block_hash=block.hash)
        forged = dataclasses.replace(
            proposal, header=block.header, block=block, signature=self._key.sign(digest)
        )
        self._lied.add((proposal.height, proposal.round))
        validators = sorted(peer.node_id for peer in link._network.peers() if peer.is_validator)
        for place, node_id in enumerate(validators):
            said = proposal if name == TWICE and place == 0 else forged
            link._network.send(node_id, wire.encode(said), priority_of(said))
        about = {
            "height": int(proposal.height), "hash": "0x" + proposal.block_hash.hex(), "forged": "0x" + block.hash.hex(),
            "execution": "0x" + proposal.header.execution_hash.hex(), "forged_execution": "0x" + block.header.execution_hash.hex(),
            "heard_by": len(validators), "at": time.time(),
        }  # fmt: skip
        unfinished = self._home / "lied.new"
        unfinished.write_text(json.dumps(about))
        unfinished.replace(self._home / "lied")


if __name__ == "__main__":
    from metanode.cli import main

    liar = Liar(Path(sys.argv[-1]))
    ConsensusLink.broadcast = lambda link, raw, message, *, is_repeat: liar.broadcast(  # type: ignore[method-assign] # the lie
        link, raw, message, is_repeat=is_repeat
    )
    sys.exit(main())
