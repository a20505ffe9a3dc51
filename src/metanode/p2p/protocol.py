"""`mtn/1`, what Metanode nodes tell each other: the codec, and nothing else.

Each message is an RLP list behind its code. Every length has a bound that is checked before the message becomes an object; a message on the wire has at
most `MESSAGE_BYTES_MAX`, so whatever is larger (the body of a block, a proposal that holds one) travels in parts:

    Large(digest, size)  Part(digest, 0)  Part(digest, 1) ...

Who signs a message pushes it. Who relays it to another validator, or relays something large to anybody, sends an `Announce` and the message itself only after the
peer's `Want`, so that what everybody pushes to everybody crosses each link about once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from metanode.p2p import proofs
from metanode.p2p.errors import PeerFault
from metanode.p2p.ports import ForkId, Priority, Tip
from metanode.p2p.proofs import ValidatorRecord
from metanode.p2p.rlpx.messages import Capability
from metanode.primitives import rlp
from metanode.primitives.types import SIGNATURE_BYTES, Hash32, Height

CAPABILITY: Final = Capability(name="mtn", version=1, length=16)
"""13 of the 16 codes are used."""

MESSAGE_BYTES_MAX: Final = 256 * 1024
"""Longest message on the wire, unpacked; a vote never waits behind more than one of them."""
PART_BYTES: Final = 64 * 1024
"""CometBFT's block part."""
SMALL_BYTES_MAX: Final = PART_BYTES
"""Longest consensus message that is sent whole."""
LARGE_BYTES_MAX: Final = 12 * 1024 * 1024
"""Longest thing in parts: a block of EIP-7934's 8 MiB and its requests, with room for a round change's certificates."""
LARGES_AT_A_TIME_MAX: Final = 2
"""Consensus messages in parts on their way over one connection in one direction: a proposal, and the one of the next round."""
TRANSACTIONS_BYTES_MAX: Final = 192 * 1024
"""Longest batch: the longest transaction of the pool is 128 KiB."""
CERTIFICATE_BYTES_MAX: Final = 128 * 1024
"""Seals of 1,000 validators have 65 KB."""
BLOCKS_MAX: Final = 1024
"""Blocks in one answer, as in eth/68."""
RESPONSE_BYTES_SOFT: Final = 2 * 1024 * 1024
"""An answer takes no further block once it has this many bytes."""
RESPONSE_BYTES_MAX: Final = RESPONSE_BYTES_SOFT + LARGE_BYTES_MAX
"""... so it has at most this many."""
ANNOUNCED_MAX: Final = 256
"""Hashes in one announcement."""
RECORDS_MAX: Final = 64
"""Records in one message."""
_LIST_PREFIX_BYTES_MAX: Final = 4
"""Of a list under 16 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The first message of each side, sent without waiting for the other's."""

    genesis_hash: Hash32
    network_id: int
    chain_id: int
    fork_id: ForkId
    tip: Tip
    time_ms: int
    """The wall clock."""
    proof: bytes | None
    """The validator key's signature of `proofs.proof_digest`; None of a node that validates nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """What may change of a status, at intervals."""

    tip: Tip
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Validator records that the peer may not have."""

    records: tuple[ValidatorRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Consensus:
    """A consensus message, opaque here."""

    priority: Priority
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Large:
    """The parts of a message follow."""

    priority: Priority
    digest: Hash32
    """keccak256 of the whole."""
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """`PART_BYTES` of a large message, the last one less."""

    digest: Hash32
    index: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce:
    """I have these consensus messages."""

    digests: tuple[Hash32, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """Send me these of what you announced."""

    digests: tuple[Hash32, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A height is decided, and this proves it."""

    height: Height
    certificate: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Transactions:
    """A batch of transactions: one RLP list, opaque here."""

    batch: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class GetBlocks:
    """Send me decided blocks with their certificates."""

    request_id: int
    first: Height
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GetBody:
    """Send me the body of a block."""

    request_id: int
    block_hash: Hash32


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A part of the answer to a request; the parts come in order. An answer of no bytes (one empty part) means: I do not have it."""

    request_id: int
    size: int
    """Of the whole answer."""
    index: int
    data: bytes


Message = (
    Status
    | Heartbeat
    | Records
    | Consensus
    | Large
    | Part
    | Announce
    | Want
    | Certificate
    | Transactions
    | GetBlocks
    | GetBody
    | Response
)


def part_count(size: int) -> int:
    """Return in how many parts so many bytes travel; nothing travels in one empty part."""
    return max(1, -(-size // PART_BYTES))


def part_bytes(size: int, index: int) -> int:
    """Return the length of one part."""
    return min(PART_BYTES, size - index * PART_BYTES)


def large_messages(priority: Priority, digest: Hash32, raw: bytes) -> Iterator[Large | Part]:
    """Yield the messages that carry something large: its head, then its parts in order."""
    yield Large(priority=priority, digest=digest, size=len(raw))
    for index in range(part_count(len(raw))):
        yield Part(digest=digest, index=index, data=raw[index * PART_BYTES : (index + 1) * PART_BYTES])


def split_batch(batch: bytes, bytes_max: int = TRANSACTIONS_BYTES_MAX) -> Iterator[bytes]:
    """Yield an RLP list as one or more RLP lists of at most `bytes_max` bytes; raises InvalidEncoding when it is none.

    An item that is too long by itself is left out: no peer would take it.
    """
    if len(batch) <= bytes_max:
        yield batch
        return
    _, position, end = rlp.item_span(batch, 0, len(batch))
    start = position
    content_max = bytes_max - _LIST_PREFIX_BYTES_MAX
    while position < end:
        _, _, stop = rlp.item_span(batch, position, end)
        if stop - start > content_max:
            if position > start:
                yield rlp.list_of_encoded(batch[start:position])
            start = position
            if stop - start > content_max:
                start = stop
        position = stop
    if position > start:
        yield rlp.list_of_encoded(batch[start:position])


def encode_blocks(blocks: Sequence[bytes]) -> bytes:
    """Return the answer to GetBlocks."""
    return rlp.encode(list(blocks)) if blocks else b""


def decode_blocks(answer: bytes, count: int) -> list[bytes]:
    """Return the blocks of an answer; raises InvalidInput when it is no list of at most `count` strings."""
    if not answer:
        return []
    reader = rlp.Reader(rlp.decode(answer, items_max=count + 1, depth_max=1), "blocks")
    return [reader.bytes("block") for _ in range(len(reader))]


def priority_of(message: Message) -> Priority:
    """Return where a message stands in the order of what is sent."""
    match message:
        case Consensus(priority=priority) | Large(priority=priority):
            return priority
        case Status() | Heartbeat() | Announce() | Want():
            # Small, and the answer to each saves time or bandwidth.
            return Priority.VOTE
        case Part() | GetBody():
            return Priority.PART
        case Certificate():
            return Priority.CERTIFICATE
        case Transactions():
            return Priority.TRANSACTIONS
        case Records() | GetBlocks() | Response():
            return Priority.SYNC
        case _:
            assert_never(message)


def encode(message: Message) -> tuple[int, bytes]:
    """Return the code and the RLP of a message."""
    fields: list[rlp.Item]
    match message:
        case Status():
            fork_id = message.fork_id
            fields = [
                message.genesis_hash,
                rlp.integer(message.network_id),
                rlp.integer(message.chain_id),
                [fork_id.hash, rlp.integer(fork_id.next)],
                *_encode_tip(message.tip),
                rlp.integer(message.time_ms),
                message.proof or b"",
            ]
        case Heartbeat():
            fields = [*_encode_tip(message.tip), rlp.integer(message.time_ms)]
        case Records():
            fields = [proofs.encode_record(record) for record in message.records]
        case Consensus():
            fields = [rlp.integer(message.priority), message.raw]
        case Large():
            fields = [rlp.integer(message.priority), message.digest, rlp.integer(message.size)]
        case Part():
            fields = [message.digest, rlp.integer(message.index), message.data]
        case Announce() | Want():
            fields = list(message.digests)
        case Certificate():
            fields = [rlp.integer(message.height), message.certificate]
        case Transactions():
            fields = [message.batch]
        case GetBlocks():
            fields = [
                rlp.integer(message.request_id),
                rlp.integer(message.first),
                rlp.integer(message.count),
            ]
        case GetBody():
            fields = [rlp.integer(message.request_id), message.block_hash]
        case Response():
            fields = [
                rlp.integer(message.request_id),
                rlp.integer(message.size),
                rlp.integer(message.index),
                message.data,
            ]
        case _:
            assert_never(message)
    payload = rlp.encode(fields)
    assert len(payload) <= MESSAGE_BYTES_MAX, (type(message), len(payload))
    return _CODES[type(message)], payload


def decode(code: int, payload: bytes) -> Message:
    """Return the message of a code and RLP; raises InvalidInput when it is none."""
    if code >= len(_DECODERS):
        raise PeerFault(f"{CAPABILITY} has no message {code:#x}")
    kind, decoder = _DECODERS[code]
    reader = rlp.Reader(
        rlp.decode(payload, items_max=_ITEMS_MAX, depth_max=_DEPTH_MAX), kind.__name__.lower()
    )
    message = decoder(reader)
    if kind is not Status:
        # A later version may say more in its status; elsewhere each byte counts.
        reader.end()
    return message


_ITEMS_MAX: Final = 2048
"""64 records of at most 27 items each, and the list around them."""
_DEPTH_MAX: Final = 4


def _decode_status(reader: rlp.Reader) -> Status:
    genesis_hash = reader.hash32("genesis_hash")
    network_id = reader.integer("network_id")
    chain_id = reader.integer("chain_id")
    fork = reader.reader("fork_id")
    fork_id = ForkId(hash=fork.bytes("hash", length=4), next=fork.integer("next"))
    tip = _decode_tip(reader)
    time_ms = reader.integer("time_ms")
    proof = reader.bytes("proof", length_max=SIGNATURE_BYTES)
    if len(proof) not in {0, SIGNATURE_BYTES}:
        raise PeerFault(f"status.proof: expected 0 or {SIGNATURE_BYTES} bytes, found {len(proof)}")
    return Status(
        genesis_hash=genesis_hash,
        network_id=network_id,
        chain_id=chain_id,
        fork_id=fork_id,
        tip=tip,
        time_ms=time_ms,
        proof=proof or None,
    )


def _decode_heartbeat(reader: rlp.Reader) -> Heartbeat:
    return Heartbeat(tip=_decode_tip(reader), time_ms=reader.integer("time_ms"))


def _decode_records(reader: rlp.Reader) -> Records:
    if not 0 < len(reader) <= RECORDS_MAX:
        raise PeerFault(f"records: expected 1 to {RECORDS_MAX}, found {len(reader)}")
    return Records(records=tuple(proofs.decode_record(reader.item("record")) for _ in range(len(reader))))


def _decode_consensus(reader: rlp.Reader) -> Consensus:
    priority = _decode_priority(reader)
    return Consensus(priority=priority, raw=reader.bytes("raw", length_max=SMALL_BYTES_MAX))


def _decode_large(reader: rlp.Reader) -> Large:
    priority = _decode_priority(reader)
    return Large(priority=priority, digest=reader.hash32("digest"), size=_decode_size(reader))


def _decode_part(reader: rlp.Reader) -> Part:
    return Part(
        digest=reader.hash32("digest"),
        index=reader.integer("index", bits=16),
        data=reader.bytes("data", length_max=PART_BYTES),
    )


def _decode_announce(reader: rlp.Reader) -> Announce:
    return Announce(digests=_decode_digests(reader))


def _decode_want(reader: rlp.Reader) -> Want:
    return Want(digests=_decode_digests(reader))


def _decode_certificate(reader: rlp.Reader) -> Certificate:
    height = Height(reader.integer("height"))
    return Certificate(
        height=height, certificate=reader.bytes("certificate", length_max=CERTIFICATE_BYTES_MAX)
    )


def _decode_transactions(reader: rlp.Reader) -> Transactions:
    return Transactions(batch=reader.bytes("batch", length_max=TRANSACTIONS_BYTES_MAX))


def _decode_get_blocks(reader: rlp.Reader) -> GetBlocks:
    message = GetBlocks(
        request_id=reader.integer("request_id"),
        first=Height(reader.integer("first")),
        count=reader.integer("count"),
    )
    if not 1 <= message.count <= BLOCKS_MAX:
        raise PeerFault(f"getblocks.count: expected 1 to {BLOCKS_MAX}, found {message.count}")
    return message


def _decode_get_body(reader: rlp.Reader) -> GetBody:
    return GetBody(request_id=reader.integer("request_id"), block_hash=reader.hash32("block_hash"))


def _decode_response(reader: rlp.Reader) -> Response:
    message = Response(
        request_id=reader.integer("request_id"),
        size=reader.integer("size"),
        index=reader.integer("index", bits=16),
        data=reader.bytes("data", length_max=PART_BYTES),
    )
    if message.size > RESPONSE_BYTES_MAX:
        raise PeerFault(f"response.size: expected at most {RESPONSE_BYTES_MAX}, found {message.size}")
    return message


def _encode_tip(tip: Tip) -> list[rlp.Item]:
    return [rlp.integer(tip.height), tip.certificate_hash]


def _decode_tip(reader: rlp.Reader) -> Tip:
    return Tip(height=Height(reader.integer("height")), certificate_hash=reader.hash32("certificate_hash"))


def _decode_priority(reader: rlp.Reader) -> Priority:
    number = reader.integer("priority")
    if number > Priority.CERTIFICATE:
        raise PeerFault(f"priority: expected 0 to {Priority.CERTIFICATE}, found {number}")
    return Priority(number)


def _decode_digests(reader: rlp.Reader) -> tuple[Hash32, ...]:
    if not 0 < len(reader) <= ANNOUNCED_MAX:
        raise PeerFault(f"digests: expected 1 to {ANNOUNCED_MAX}, found {len(reader)}")
    return tuple(reader.hash32("digest") for _ in range(len(reader)))


def _decode_size(reader: rlp.Reader) -> int:
    size = reader.integer("size")
    if not SMALL_BYTES_MAX < size <= LARGE_BYTES_MAX:
        raise PeerFault(f"size: expected {SMALL_BYTES_MAX + 1} to {LARGE_BYTES_MAX}, found {size}")
    return size


_DECODERS: Final[tuple[tuple[type[Message], Callable[[rlp.Reader], Message]], ...]] = (
    (Status, _decode_status),
    (Heartbeat, _decode_heartbeat),
    (Records, _decode_records),
    (Consensus, _decode_consensus),
    (Large, _decode_large),
    (Part, _decode_part),
    (Announce, _decode_announce),
    (Want, _decode_want),
    (Certificate, _decode_certificate),
    (Transactions, _decode_transactions),
    (GetBlocks, _decode_get_blocks),
    (GetBody, _decode_get_body),
    (Response, _decode_response),
)
"""By code."""
_CODES: Final = {kind: code for code, (kind, _) in enumerate(_DECODERS)}
