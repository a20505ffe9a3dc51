"""Messages as bytes: one kind byte, then canonical RLP. Strict and bounded; the author is recovered here, once.

    0x01 PROPOSAL      [height, round, signature, header, block or "", justification or []]
    0x02 PREPARE       [height, round, block hash, signature]
    0x03 COMMIT        [height, round, block hash, signature]
    0x04 ROUND_CHANGE  [height, round, signature, prepared or []]
    0x05 DECISION      [certificate]

    justification = [[claim, ...], prepared or []]     claim = [prepared round, prepared hash or "", signature]
    prepared      = [round, block hash, proposal signature, prepare signatures, joined]

`decode` tells a malformed message (InvalidInput: the connection's fault) from one that nobody here waits for (Unwelcome). A question to
`may_author` comes before the expensive parts, so that only the round's proposer can make us decode a block.
"""

from collections.abc import Callable
from typing import Final

from metanode.chain.block import BLOCK_BYTES_MAX, Block
from metanode.chain.certificate import Certificate
from metanode.chain.header import ConsensusHeader
from metanode.chain.signing import SigningDomain, recover_signer
from metanode.chain.validators import VALIDATORS_MAX
from metanode.consensus.messages import (
    Commit,
    Decision,
    Justification,
    Message,
    Prepare,
    PreparedCertificate,
    Proposal,
    RoundChange,
    RoundChangeClaim,
    Seal,
    SignedMessage,
    Step,
)
from metanode.errors import InvalidEncoding, InvalidInput
from metanode.primitives import rlp
from metanode.primitives.types import SIGNATURE_BYTES, Address, Hash32, Height, Round

KIND_PROPOSAL: Final = 1
KIND_PREPARE: Final = 2
KIND_COMMIT: Final = 3
KIND_ROUND_CHANGE: Final = 4
KIND_DECISION: Final = 5

JUSTIFICATION_BYTES_MAX: Final = 128 * VALIDATORS_MAX + SIGNATURE_BYTES * VALIDATORS_MAX + 1_024
"""A claim has about 105 bytes, and the prepared certificate 65 for each validator."""
MESSAGE_BYTES_MAX: Final = BLOCK_BYTES_MAX + JUSTIFICATION_BYTES_MAX
"""Only a PROPOSAL comes near; it travels in parts."""
SMALL_BYTES_MAX: Final = SIGNATURE_BYTES * VALIDATORS_MAX + 1_024
"""Any other message; the largest are a ROUND_CHANGE with its certificate and a DECISION."""

_STEPS: Final = {
    KIND_PROPOSAL: Step.PROPOSAL,
    KIND_PREPARE: Step.PREPARE,
    KIND_COMMIT: Step.COMMIT,
    KIND_ROUND_CHANGE: Step.ROUND_CHANGE,
}
_ROUND_BITS: Final = 63
"""Rounds are unsigned 64-bit numbers in the digests; nobody reaches half of them."""

MayAuthor = Callable[[Step, Height, Round, Address], bool]


class Unwelcome(InvalidInput):
    """The message is well formed so far, but not by somebody who may send it now."""


def kind_of(raw: bytes) -> str:
    """Return the type that the first byte of a message claims, "unknown" when there is none such; for counting what was not decoded."""
    if raw[:1] == bytes((KIND_DECISION,)):
        return "decision"
    step = _STEPS.get(raw[0]) if raw else None
    return step.name.lower() if step is not None else "unknown"


def _anybody(step: Step, height: Height, round_: Round, author: Address) -> bool:
    del step, height, round_, author
    return True


def encode(message: Message) -> bytes:
    """Return the canonical bytes."""
    match message:
        case Proposal():
            return encode_proposal(message)
        case Prepare() | Commit():
            kind = KIND_PREPARE if isinstance(message, Prepare) else KIND_COMMIT
            return _encode(
                kind, [*_view(message.height, message.round), message.block_hash, message.signature]
            )
        case RoundChange():
            prepared = prepared_item(message.prepared)
            return _encode(
                KIND_ROUND_CHANGE, [*_view(message.height, message.round), message.signature, prepared]
            )
        case Decision():
            return _encode(KIND_DECISION, [message.certificate.to_item()])


def encode_again(message: Message) -> bytes:
    """Return the bytes of a message that was sent before, or is kept: a proposal goes without its body, to be asked for by those who miss it."""
    return encode_proposal(message, with_block=False) if isinstance(message, Proposal) else encode(message)


def encode_proposal(proposal: Proposal, *, with_block: bool = True) -> bytes:
    """Return a PROPOSAL's bytes, on request without the body."""
    block = proposal.block.encode() if proposal.block is not None and with_block else b""
    justification: rlp.Item = []
    if proposal.justification is not None:
        justification = [
            [_claim_item(claim) for claim in proposal.justification.claims],
            prepared_item(proposal.justification.prepared),
        ]
    return _encode(
        KIND_PROPOSAL,
        [
            *_view(proposal.height, proposal.round),
            proposal.signature,
            proposal.header.to_item(),
            block,
            justification,
        ],
    )


def decode(raw: bytes, domain: SigningDomain, *, may_author: MayAuthor = _anybody) -> Message:
    """Return the message of its bytes; raises InvalidInput, and Unwelcome as told above."""
    if not raw:
        raise InvalidEncoding("message: empty")
    kind = raw[0]
    bytes_max = MESSAGE_BYTES_MAX if kind == KIND_PROPOSAL else SMALL_BYTES_MAX
    if len(raw) > bytes_max:
        raise InvalidEncoding(f"message: expected at most {bytes_max} bytes, found {len(raw)}")
    fields = rlp.Reader(rlp.decode(raw[1:], items_max=8 * VALIDATORS_MAX), "message")
    if kind == KIND_DECISION:
        decision = Decision(certificate=Certificate.from_item(fields.item("certificate")))
        fields.end()
        return decision
    if kind not in _STEPS:
        raise InvalidEncoding(f"message: there is no kind {kind}")
    height = Height(fields.integer("height"))
    round_ = Round(fields.integer("round", bits=_ROUND_BITS))
    if height == 0:
        raise InvalidEncoding("message.height: nobody votes on height 0")
    message: SignedMessage
    match kind:
        case 1:
            message = _decode_proposal(fields, height, round_, domain, may_author)
        case 4:
            message = _decode_round_change(fields, height, round_, domain, may_author)
        case _:
            message = _decode_vote(kind, fields, height, round_, domain, may_author)
    fields.end()
    return message


def _decode_vote(
    kind: int, fields: rlp.Reader, height: Height, round_: Round, domain: SigningDomain, may_author: MayAuthor
) -> Prepare | Commit:
    block_hash = fields.hash32("block_hash")
    signature = fields.bytes("signature", length=SIGNATURE_BYTES)
    digest_of = domain.prepare if kind == KIND_PREPARE else domain.commit
    author = recover_signer(digest_of(height=height, round=round_, block_hash=block_hash), signature)
    _welcome(may_author, _STEPS[kind], height, round_, author)
    made = Prepare if kind == KIND_PREPARE else Commit
    return made(height=height, round=round_, block_hash=block_hash, author=author, signature=signature)


def _decode_proposal(
    fields: rlp.Reader, height: Height, round_: Round, domain: SigningDomain, may_author: MayAuthor
) -> Proposal:
    signature = fields.bytes("signature", length=SIGNATURE_BYTES)
    header = ConsensusHeader.from_item(fields.item("header"))
    if header.height != height:
        raise InvalidEncoding(f"message.header.height: expected {height}, found {header.height}")
    author = recover_signer(domain.proposal(height=height, round=round_, block_hash=header.hash), signature)
    _welcome(may_author, Step.PROPOSAL, height, round_, author)
    encoded = fields.bytes("block", length_max=BLOCK_BYTES_MAX)
    found = fields.list("justification", length_max=2)
    if bool(found) != (round_ > 0):
        raise InvalidEncoding(f"message.justification: round {round_} with {len(found)} parts of one")
    justification = _decode_justification(rlp.Reader(found, "justification"), height, round_, domain)
    block = Block.decode(encoded, expected=header.hash) if encoded else None
    return Proposal(
        height=height,
        round=round_,
        header=header,
        block=block,
        justification=justification,
        author=author,
        signature=signature,
    )


def _decode_round_change(
    fields: rlp.Reader, height: Height, round_: Round, domain: SigningDomain, may_author: MayAuthor
) -> RoundChange:
    if round_ == 0:
        raise InvalidEncoding("message.round: nobody changes to round 0")
    signature = fields.bytes("signature", length=SIGNATURE_BYTES)
    found = fields.list("prepared", length_max=4)
    parts = _prepared_parts(found) if found else None
    claimed = (parts[0], parts[1]) if parts else None
    author = recover_signer(domain.round_change(height=height, round=round_, prepared=claimed), signature)
    _welcome(may_author, Step.ROUND_CHANGE, height, round_, author)
    prepared = _open_prepared(parts, height, domain) if parts else None
    return RoundChange(height=height, round=round_, prepared=prepared, author=author, signature=signature)


def _decode_justification(
    fields: rlp.Reader, height: Height, round_: Round, domain: SigningDomain
) -> Justification | None:
    if not len(fields):
        return None
    claims = []
    for index, item in enumerate(fields.list("claims", length_max=VALIDATORS_MAX)):
        claim = rlp.Reader(item, f"justification.claims[{index}]")
        prepared_round = Round(claim.integer("prepared_round", bits=_ROUND_BITS))
        prepared_hash = claim.bytes("prepared_hash", length_max=32)
        signature = claim.bytes("signature", length=SIGNATURE_BYTES)
        claim.end()
        if len(prepared_hash) not in {0, 32} or (not prepared_hash and prepared_round):
            raise InvalidEncoding(f"justification.claims[{index}]: expected a round and a hash, or neither")
        prepared = (prepared_round, Hash32(prepared_hash)) if prepared_hash else None
        digest = domain.round_change(height=height, round=round_, prepared=prepared)
        claims.append(
            RoundChangeClaim(prepared=prepared, author=recover_signer(digest, signature), signature=signature)
        )
    found = fields.list("prepared", length_max=4)
    fields.end()
    return Justification(
        claims=tuple(claims),
        prepared=_open_prepared(_prepared_parts(found), height, domain) if found else None,
    )


_PreparedParts = tuple[Round, Hash32, bytes, tuple[bytes, ...]]


def decode_prepared(item: list[rlp.Decoded], height: Height, domain: SigningDomain) -> PreparedCertificate:
    """Return the prepared certificate of decoded RLP, with its authors recovered; raises InvalidInput."""
    return _open_prepared(_prepared_parts(item), height, domain)


def _prepared_parts(item: list[rlp.Decoded]) -> _PreparedParts:
    fields = rlp.Reader(item, "prepared")
    round_ = Round(fields.integer("round", bits=_ROUND_BITS))
    block_hash = fields.hash32("block_hash")
    proposal = fields.bytes("proposal", length=SIGNATURE_BYTES)
    joined = fields.bytes("prepares", length_max=VALIDATORS_MAX * SIGNATURE_BYTES)
    fields.end()
    if len(joined) % SIGNATURE_BYTES:
        raise InvalidEncoding(f"prepared.prepares: expected a multiple of {SIGNATURE_BYTES} bytes")
    prepares = tuple(joined[i : i + SIGNATURE_BYTES] for i in range(0, len(joined), SIGNATURE_BYTES))
    return round_, block_hash, proposal, prepares


def _open_prepared(parts: _PreparedParts, height: Height, domain: SigningDomain) -> PreparedCertificate:
    round_, block_hash, proposal, prepares = parts
    proposed = domain.proposal(height=height, round=round_, block_hash=block_hash)
    prepared = domain.prepare(height=height, round=round_, block_hash=block_hash)
    return PreparedCertificate(
        round=round_,
        block_hash=block_hash,
        proposal=Seal(author=recover_signer(proposed, proposal), signature=proposal),
        prepares=tuple(
            Seal(author=recover_signer(prepared, signature), signature=signature) for signature in prepares
        ),
    )


def _welcome(may_author: MayAuthor, step: Step, height: Height, round_: Round, author: Address) -> None:
    if not may_author(step, height, round_, author):
        raise Unwelcome(f"{step.name} of height {height} round {round_} by 0x{author.hex()}: not wanted")


def _encode(kind: int, items: rlp.Item) -> bytes:
    return bytes((kind,)) + rlp.encode(items)


def _view(height: Height, round_: Round) -> tuple[bytes, bytes]:
    return rlp.integer(height), rlp.integer(round_)


def _claim_item(claim: RoundChangeClaim) -> rlp.Item:
    round_, block_hash = claim.prepared or (0, b"")
    return [rlp.integer(round_), block_hash, claim.signature]


def prepared_item(prepared: PreparedCertificate | None) -> rlp.Item:
    """Return a prepared certificate as RLP, None as the empty list."""
    if prepared is None:
        return []
    return [
        rlp.integer(prepared.round),
        prepared.block_hash,
        prepared.proposal.signature,
        b"".join(seal.signature for seal in prepared.prepares),
    ]
