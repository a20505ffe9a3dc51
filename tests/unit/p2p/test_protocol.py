"""The codec of mtn/1: what is written is read, and nothing else is."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput
from metanode.p2p import proofs, protocol
from metanode.p2p.enode import Enode, NodeId
from metanode.p2p.ports import ForkId, Priority, Tip
from metanode.p2p.protocol import (
    Announce,
    Certificate,
    Consensus,
    GetBlocks,
    GetBody,
    Heartbeat,
    Large,
    Message,
    Part,
    Records,
    Response,
    Status,
    Transactions,
    Want,
)
from metanode.primitives import rlp
from metanode.primitives.types import Hash32, Height

KEY = PrivateKey(b"\x01" * 32)
NODE = NodeId(PrivateKey(b"\x02" * 32).public_key)


class Signer:
    address = KEY.address

    def sign_proof(self, digest: bytes) -> bytes:
        return KEY.sign(digest)


def record(seq: int = 1, host: str = "validator-1.example") -> proofs.ValidatorRecord:
    return proofs.sign_record(
        Signer(),
        genesis_hash=keccak256(b"genesis"),
        chain_id=1337,
        node_id=NODE,
        endpoints=(Enode(node_id=NODE, host=host, tcp_port=30304, udp_port=30305),),
        seq=seq,
    )


hashes = st.binary(min_size=32, max_size=32).map(Hash32)
numbers = st.integers(0, 2**64 - 1)
heights = numbers.map(Height)
tips = st.builds(Tip, height=heights, certificate_hash=hashes)
priorities = st.sampled_from([Priority.VOTE, Priority.PROPOSAL, Priority.PART, Priority.CERTIFICATE])
digests = st.lists(hashes, min_size=1, max_size=4).map(tuple)
proof = st.none() | st.binary(min_size=65, max_size=65)
fork_ids = st.builds(ForkId, hash=st.binary(min_size=4, max_size=4), next=numbers)
sizes = st.integers(protocol.SMALL_BYTES_MAX + 1, protocol.LARGE_BYTES_MAX)
data = st.binary(max_size=200)

MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        Status,
        genesis_hash=hashes,
        network_id=numbers,
        chain_id=numbers,
        fork_id=fork_ids,
        tip=tips,
        time_ms=numbers,
        proof=proof,
    ),
    st.builds(Heartbeat, tip=tips, time_ms=numbers),
    st.integers(0, 2**64 - 1).map(lambda seq: Records(records=(record(seq), record(seq, "::1")))),
    st.builds(Consensus, priority=priorities, raw=data),
    st.builds(Large, priority=priorities, digest=hashes, size=sizes),
    st.builds(Part, digest=hashes, index=st.integers(0, 2**16 - 1), data=data),
    st.builds(Announce, digests=digests),
    st.builds(Want, digests=digests),
    st.builds(Certificate, height=heights, certificate=data),
    st.builds(Transactions, batch=data),
    st.builds(GetBlocks, request_id=numbers, first=heights, count=st.integers(1, 1024)),
    st.builds(GetBody, request_id=numbers, block_hash=hashes),
    st.builds(
        Response,
        request_id=numbers,
        size=st.integers(0, protocol.RESPONSE_BYTES_MAX),
        index=st.integers(0, 2**16 - 1),
        data=data,
    ),
)


@given(MESSAGES)
def test_every_message_is_read_as_it_was_written(message: Message) -> None:
    code, payload = protocol.encode(message)
    assert protocol.decode(code, payload) == message
    assert protocol.encode(protocol.decode(code, payload)) == (code, payload)


@given(MESSAGES)
def test_no_message_is_read_from_a_part_of_it_or_with_more_behind_it(message: Message) -> None:
    code, payload = protocol.encode(message)
    for length in range(len(payload)):
        with pytest.raises(InvalidInput):
            protocol.decode(code, payload[:length])
    with pytest.raises(InvalidInput):
        protocol.decode(code, payload + b"\x00")


@settings(max_examples=300)
@given(st.integers(0, 255), st.binary(max_size=300) | MESSAGES.map(lambda m: protocol.encode(m)[1]))
def test_any_bytes_are_a_message_or_refused(code: int, payload: bytes) -> None:
    try:
        message = protocol.decode(code, payload)
    except InvalidInput:
        return
    assert protocol.encode(message) == (code, payload) or isinstance(message, Status)


@settings(max_examples=100)
@given(MESSAGES, st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused(message: Message, position: int, byte: int) -> None:
    code, payload = protocol.encode(message)
    changed = bytearray(payload)
    changed[position % len(payload)] = byte
    with contextlib.suppress(InvalidInput):
        protocol.decode(code, bytes(changed))


@pytest.mark.parametrize("count", [0, 1025, 2**32, 2**64 - 1])
def test_row_24_a_range_of_no_or_too_many_blocks_is_refused(count: int) -> None:
    payload = rlp.encode([rlp.integer(1), rlp.integer(0), rlp.integer(count)])
    with pytest.raises(InvalidInput, match=r"getblocks.count: expected 1 to 1024, found"):
        protocol.decode(protocol.encode(GetBlocks(request_id=1, first=Height(0), count=1))[0], payload)


@pytest.mark.parametrize(
    ("code", "fields", "message"),
    [
        (0, [bytes(31)], r"status.genesis_hash: expected 32 bytes, found 31"),
        (2, [], "records: expected 1 to 64, found 0"),
        (3, [b"", bytes(protocol.SMALL_BYTES_MAX + 1)], "consensus.raw: expected at most 65536 bytes"),
        (3, [b"\x04", b"raw"], "priority: expected 0 to 3, found 4"),
        (4, [b"", bytes(32), rlp.integer(2**32)], "size: expected 65537 to 12582912, found 4294967296"),
        (4, [b"", bytes(32), rlp.integer(100)], "size: expected 65537"),
        (5, [bytes(32), b"", bytes(protocol.PART_BYTES + 1)], "part.data: expected at most 65536 bytes"),
        (6, [], "digests: expected 1 to 256, found 0"),
        (7, [bytes(32)] * 257, "digests: expected 1 to 256, found 257"),
        (8, [b"\x01", bytes(131_073)], "certificate.certificate: expected at most 131072 bytes"),
        (9, [bytes(196_609)], "transactions.batch: expected at most 196608 bytes"),
        (12, [b"\x01", rlp.integer(2**40), b"", b""], "response.size: expected at most"),
        (13, [], "mtn/1 has no message 0xd"),
    ],
)
def test_bounds_are_checked(code: int, fields: list[rlp.Item], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        protocol.decode(code, rlp.encode(fields))


def test_a_list_of_a_million_empty_items_is_refused_before_it_is_built() -> None:
    payload = b"\xfa\x03\xff\xf0" + b"\x80" * 0x3FFF0
    for code in range(13):
        with pytest.raises(InvalidInput, match=r"too many items|expected"):
            protocol.decode(code, payload)


def test_the_longest_messages_fit_the_wire() -> None:
    longest: list[Message] = [
        Consensus(priority=Priority.PART, raw=bytes(protocol.SMALL_BYTES_MAX)),
        Part(digest=Hash32(bytes(32)), index=255, data=bytes(protocol.PART_BYTES)),
        Certificate(height=Height(2**64 - 1), certificate=bytes(protocol.CERTIFICATE_BYTES_MAX)),
        Transactions(batch=bytes(protocol.TRANSACTIONS_BYTES_MAX)),
        Records(records=(record(2**64 - 1, "a" * 60 + ".example"),) * protocol.RECORDS_MAX),
        Announce(digests=(Hash32(bytes(32)),) * protocol.ANNOUNCED_MAX),
    ]
    for message in longest:
        _, payload = protocol.encode(message)
        assert len(payload) <= protocol.MESSAGE_BYTES_MAX


def test_a_status_may_say_more_than_we_know() -> None:
    status = Status(
        genesis_hash=keccak256(b"g"),
        network_id=1,
        chain_id=1,
        fork_id=ForkId(hash=b"1234", next=0),
        tip=Tip(height=Height(1), certificate_hash=keccak256(b"c")),
        time_ms=1,
        proof=None,
    )
    code, payload = protocol.encode(status)
    fields = rlp.decode(payload)
    assert isinstance(fields, list)
    assert protocol.decode(code, rlp.encode([*fields, b"later", [b"list"]])) == status


@given(st.lists(st.binary(min_size=1, max_size=90), max_size=40), st.integers(100, 500))
def test_a_batch_is_split_into_whole_transactions_in_order(items: list[bytes], bytes_max: int) -> None:
    pieces = list(protocol.split_batch(rlp.encode(items), bytes_max))
    assert all(len(piece) <= bytes_max for piece in pieces)
    assert [item for piece in pieces for item in rlp.decode(piece)] == items


def test_a_transaction_that_fits_no_message_is_left_out_of_a_batch() -> None:
    batch = rlp.encode([b"first", bytes(1000), b"last"])
    assert [rlp.decode(piece) for piece in protocol.split_batch(batch, 100)] == [[b"first"], [b"last"]]


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_blocks_are_read_as_they_were_written(blocks: list[bytes]) -> None:
    assert protocol.decode_blocks(protocol.encode_blocks(blocks), 20) == blocks


def test_more_blocks_than_were_asked_for_are_refused() -> None:
    with pytest.raises(InvalidInput):
        protocol.decode_blocks(protocol.encode_blocks([b"a", b"b"]), 1)


@pytest.mark.parametrize("size", [65_537, 131_072, 131_073, 1_000_000])
def test_something_large_travels_in_parts_that_make_it_up_again(size: int) -> None:
    raw = bytes(range(256)) * (size // 256) + bytes(size % 256)
    head, *parts = protocol.large_messages(Priority.PROPOSAL, keccak256(raw), raw)
    assert head == Large(priority=Priority.PROPOSAL, digest=keccak256(raw), size=size)
    assert len(parts) == protocol.part_count(size)
    assert b"".join(part.data for part in parts if isinstance(part, Part)) == raw
