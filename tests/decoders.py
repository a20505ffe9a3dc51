"""Everything that turns bytes of others, or of a disk, into objects: one catalogue, so that each gets the same tests.

`tests/unit/test_decoders.py` runs them whole, changed, cut and fuzzed; `tests/arch/test_decoders.py` fails for a decoder that is not here.
"""

import functools
import ipaddress
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tests.unit.consensus.conftest import Bench

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.chain.execution_header import (
    ExecutionHeader,
    decode_execution_block,
    encode_execution_block,
)
from metanode.chain.forks import ForkId
from metanode.chain.header import ConsensusHeader
from metanode.chain.stakes import set_of_answer
from metanode.chain.state import ConsensusState, OpenVote
from metanode.chain.validators import ValidatorSet
from metanode.chain.voting import Vote
from metanode.consensus import wire
from metanode.consensus.evidence import Evidence, Statement
from metanode.consensus.fork import Fork
from metanode.consensus.messages import Decision, Step
from metanode.consensus.record import ConsensusRecord
from metanode.consensus.watermark import SignedStep
from metanode.consensus.witness import Witness, decode_heard
from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidEncoding, InvalidInput, StorageDamaged
from metanode.node.snapshots.contents import (
    ExecutionFrame,
    NetworkFrame,
    TipFrame,
    ValidatorsFrame,
    decode_headers,
    encode_headers,
)
from metanode.node.sync import decode_decided, encode_decided
from metanode.p2p import proofs, protocol, snappy
from metanode.p2p.discv4 import packets
from metanode.p2p.enode import Enode, NodeId
from metanode.p2p.ports import ForkId as PeerForkId
from metanode.p2p.ports import Priority, Tip
from metanode.p2p.rlpx import handshake, messages
from metanode.p2p.rlpx.handshake import Initiator, NodeKey, Recipient
from metanode.p2p.rlpx.messages import Capability, Hello
from metanode.primitives import rlp
from metanode.primitives.types import Address, Hash32, Height, Round
from metanode.storage import signer_log
from metanode.storage.packed_header import pack_header, unpack_header

ANY_HASH: Final = Hash32(b"\x11" * 32)
NODE: Final = NodeKey(b"\x0a" * 32)
OTHER_NODE: Final = NodeKey(b"\x0b" * 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """One way in for bytes."""

    name: str
    covers: tuple[str, ...]
    """Functions of the program that it reaches: module, a colon, the qualified name."""
    decode: Callable[[bytes], object]
    samples: tuple[bytes, ...]
    """Each decodes."""
    encode: Callable[[Any], bytes] | None = None
    """Where given, an object has exactly one encoding, and nothing else decodes to it."""
    refuses: tuple[type[Exception], ...] = (InvalidInput,)
    """What it may raise, whatever the bytes."""
    takes_cut: bool = False
    """A standard, or a torn write, lets the end be missing: then a cut may still be something, or is refused."""
    takes_more: bool = False
    """A standard lets more follow, for later versions."""
    is_slow: bool = False
    """Asymmetric cryptography in each try: fewer of them."""


def _domain() -> Any:
    return _bench().domain


@functools.cache
def _bench() -> Bench:
    return Bench()


# --- consensus -----------------------------------------------------------------------------------------------------------------------------


def _wire() -> Decoder:
    bench = _bench()
    block, later = bench.block(), bench.block(1)
    prepared = bench.prepared(block.hash)
    sent = (
        bench.proposal(block),
        replace(bench.proposal(block), block=None),
        bench.proposal(later, 1, justification=bench.justification(1)),
        bench.proposal(block, 2, justification=bench.justification(2, {1: prepared})),
        bench.prepare(1, block.hash),
        bench.commit(2, block.hash, 7),
        bench.round_change(3, 9),
        bench.round_change(3, 9, prepared),
        Decision(certificate=bench.certificate(block.hash)),
    )
    return Decoder(
        name="consensus message",
        covers=(
            "metanode.consensus.wire:decode",
            "metanode.consensus.wire:_decode_vote",
            "metanode.consensus.wire:_decode_proposal",
            "metanode.consensus.wire:_decode_round_change",
            "metanode.consensus.wire:_decode_justification",
            "metanode.chain.voting:Vote.from_item",
        ),
        decode=lambda data: wire.decode(data, _domain()),
        encode=wire.encode,
        samples=tuple(wire.encode(message) for message in sent),
    )


def _records_of_consensus() -> tuple[Decoder, ...]:
    bench = _bench()
    block, other = bench.block(), bench.block(recipient=2)
    prepared = bench.prepared(block.hash)
    record = ConsensusRecord(
        height=Height(1),
        round=Round(2),
        prepared=prepared,
        messages=(
            replace(bench.proposal(block), block=None),
            bench.prepare(1, block.hash),
            bench.commit(1, block.hash),
            bench.round_change(1, 2, prepared),
        ),
    )
    first, second = bench.commit(1, block.hash), bench.commit(1, other.hash)
    said = [
        Statement(step=Step.COMMIT, round=Round(0), block_hash=c.block_hash, signature=c.signature)
        for c in (first, second)
    ]
    evidence = Evidence(height=Height(1), author=first.author, first=said[0], second=said[1])
    step = SignedStep(
        height=Height(7), round=Round(300), step=Step.COMMIT, digest=ANY_HASH, signature=first.signature
    )
    fork = Fork(
        validators=bench.state.validators,
        ours=bench.certificate(block.hash),
        other=bench.certificate(other.hash),
    )
    witness = Witness()
    for message in (first, bench.proposal(block), bench.round_change(2, 3, prepared)):
        witness.hear(message, lambda _: True)
    return (
        Decoder(
            name="consensus record",
            covers=(
                "metanode.consensus.record:ConsensusRecord.decode",
                "metanode.consensus.wire:decode_prepared",
            ),
            decode=lambda data: ConsensusRecord.decode(data, _domain()),
            encode=ConsensusRecord.encode,
            samples=(record.encode(), replace(record, prepared=None, messages=()).encode()),
        ),
        Decoder(
            name="evidence",
            covers=(
                "metanode.consensus.evidence:Evidence.decode",
                "metanode.consensus.evidence:Statement.from_item",
            ),
            decode=Evidence.decode,
            encode=Evidence.encode,
            samples=(evidence.encode(),),
        ),
        Decoder(
            name="heard statements",
            covers=("metanode.consensus.witness:decode_heard",),
            decode=decode_heard,
            samples=(witness.encode(Height(1)),),
        ),
        Decoder(
            name="signed step",
            covers=("metanode.consensus.watermark:SignedStep.decode",),
            decode=SignedStep.decode,
            encode=SignedStep.encode,
            samples=(step.encode(),),
        ),
        Decoder(
            name="proof of a fork",
            covers=("metanode.consensus.fork:Fork.decode",),
            decode=Fork.decode,
            encode=Fork.encode,
            samples=(fork.encode(),),
        ),
    )


# --- chain ---------------------------------------------------------------------------------------------------------------------------------


def _chain() -> tuple[Decoder, ...]:
    bench = _bench()
    block = bench.block()
    voting = replace(block.header, vote=Vote(subject=Address(b"\x77" * 20), add=True))
    certificate = bench.certificate(block.hash, 3)
    certified = replace(
        block,
        parent_certificate=certificate,
        header=replace(block.header, parent_certificate_hash=certificate.hash, height=Height(2)),
    )
    subject, voter = Address(b"\x01" * 20), bench.state.validators.addresses[0]
    state = replace(
        bench.state, open_votes=(OpenVote(subject=subject, voter=voter, add=True),), next_withdrawal_index=9
    )
    return (
        Decoder(
            name="consensus header",
            covers=(
                "metanode.chain.header:ConsensusHeader.decode",
                "metanode.chain.header:ConsensusHeader.from_item",
            ),
            decode=ConsensusHeader.decode,
            encode=ConsensusHeader.encode,
            samples=(block.header.encode(), voting.encode(), bench.header.encode()),
        ),
        Decoder(
            name="block",
            covers=("metanode.chain.block:Block.decode",),
            decode=Block.decode,
            encode=Block.encode,
            samples=(block.encode(),),
        ),
        Decoder(
            name="certificate",
            covers=(
                "metanode.chain.certificate:Certificate.decode",
                "metanode.chain.certificate:Certificate.from_item",
            ),
            decode=Certificate.decode,
            encode=Certificate.encode,
            samples=(certificate.encode(),),
        ),
        Decoder(
            name="decided block",
            covers=("metanode.node.sync:decode_decided",),
            decode=decode_decided,
            encode=lambda pair: encode_decided(pair[0].encode(), pair[1]),
            samples=(encode_decided(block.encode(), certificate),),
        ),
        Decoder(
            name="consensus state",
            covers=("metanode.chain.state:ConsensusState.decode",),
            decode=ConsensusState.decode,
            encode=ConsensusState.encode,
            samples=(bench.state.encode(), state.encode()),
        ),
        Decoder(
            name="validator set",
            covers=("metanode.chain.validators:ValidatorSet.from_item",),
            decode=lambda data: ValidatorSet.from_item(rlp.decode(data)),
            encode=lambda validators: rlp.encode(validators.to_item()),
            samples=(rlp.encode(bench.state.validators.to_item()),),
        ),
        Decoder(
            name="answer of the staking contract",
            covers=("metanode.chain.stakes:set_of_answer",),
            decode=lambda data: set_of_answer(data, bench.state.validators),
            samples=(rlp.encode(bench.state.validators.to_item()), b""),
            # What names no set that can decide keeps the one that is: nothing is refused, and nothing stops the chain.
            takes_cut=True,
            takes_more=True,
        ),
        Decoder(
            name="fork id",
            covers=("metanode.chain.forks:ForkId.from_item",),
            decode=lambda data: ForkId.from_item(rlp.decode(data)),
            encode=lambda fork_id: rlp.encode(fork_id.to_item()),
            samples=(rlp.encode(ForkId(hash=b"abcd", next=1_800_000_000).to_item()),),
        ),
        Decoder(
            name="execution header",
            covers=("metanode.chain.execution_header:ExecutionHeader.decode",),
            decode=ExecutionHeader.decode,
            encode=ExecutionHeader.encode,
            samples=(block.execution.header.encode(),),
        ),
        Decoder(
            name="execution block",
            covers=("metanode.chain.execution_header:decode_execution_block",),
            decode=decode_execution_block,
            samples=(
                block.execution_rlp,
                encode_execution_block(block.execution.header, (), block.execution.withdrawals),
            ),
        ),
        Decoder(
            name="packed header",
            covers=("metanode.storage.packed_header:unpack_header",),
            decode=lambda data: unpack_header(
                data, anchor=bench.header.encode(), parent_certificate=certificate
            ),
            samples=(
                pack_header(certified.header, anchor=bench.header.encode(), parent_certificate=certificate),
            ),
        ),
    )


# --- the signer's file ---------------------------------------------------------------------------------------------------------------------


def _signer_log() -> Decoder:
    path = Path("signer.log")
    head = signer_log._Head(address=Address(b"\x05" * 20), genesis_hash=ANY_HASH, is_after_loss=False)
    steps = [
        SignedStep(
            height=Height(height), round=Round(0), step=Step.COMMIT, digest=ANY_HASH, signature=b"\x01" * 65
        )
        for height in (1, 2, 3)
    ]
    return Decoder(
        name="signer's log",
        covers=(
            "metanode.storage.signer_log:read_watermark",
            "metanode.storage.signer_log:_parse",
            "metanode.storage.signer_log:_decode_head",
            "metanode.storage.signer_log:_decode",
        ),
        decode=lambda data: signer_log.read_watermark(data, path),
        samples=(head.encode(), head.encode() + b"".join(map(signer_log._encode, steps))),
        refuses=(StorageDamaged,),
        # A torn last write is forgotten: nothing was sent on its strength.
        takes_cut=True,
        takes_more=True,
    )


# --- peers ---------------------------------------------------------------------------------------------------------------------------------


def _record() -> proofs.ValidatorRecord:
    key = _bench().keys[0]

    class Signer:
        address = key.address

        def sign_proof(self, digest: bytes) -> bytes:
            return key.sign(Hash32(digest))

    node_id = NodeId(NODE.node_id)
    return proofs.sign_record(
        Signer(),
        genesis_hash=ANY_HASH,
        chain_id=1,
        node_id=node_id,
        endpoints=(Enode(node_id=node_id, host="validator-1.example", tcp_port=30304, udp_port=30305),),
        seq=3,
    )


def _peer_messages() -> tuple[Decoder, ...]:
    tip = Tip(height=Height(9), certificate_hash=ANY_HASH)
    sent: tuple[protocol.Message, ...] = (
        protocol.Heartbeat(tip=tip, time_ms=1_700_000_000_000),
        protocol.Records(records=(_record(),)),
        protocol.Consensus(priority=Priority.VOTE, raw=b"raw"),
        protocol.Large(priority=Priority.PROPOSAL, digest=ANY_HASH, size=protocol.SMALL_BYTES_MAX + 1),
        protocol.Part(digest=ANY_HASH, index=3, data=b"part"),
        protocol.Announce(digests=(ANY_HASH, Hash32(bytes(32)))),
        protocol.Want(digests=(ANY_HASH,)),
        protocol.Certificate(height=Height(5), certificate=b"certificate"),
        protocol.Transactions(batch=rlp.encode([b"one", b"two"])),
        protocol.GetBlocks(request_id=7, first=Height(8), count=64),
        protocol.GetBody(request_id=7, block_hash=ANY_HASH),
        protocol.Response(request_id=7, size=300, index=0, data=b"answer"),
    )
    status = protocol.Status(
        genesis_hash=ANY_HASH,
        network_id=1,
        chain_id=1,
        fork_id=PeerForkId(hash=b"abcd", next=0),
        tip=tip,
        time_ms=5,
        proof=b"\x01" * 65,
    )
    decoders = tuple(
        "_decode_" + name
        for name in [
            "status",
            "heartbeat",
            "records",
            "consensus",
            "large",
            "part",
            "announce",
            "want",
            "certificate",
            "transactions",
            "get_blocks",
            "get_body",
            "response",
            "tip",
            "priority",
            "digests",
            "size",
        ]
    )
    return (
        Decoder(
            name="peer message",
            covers=(
                "metanode.p2p.protocol:decode",
                *(f"metanode.p2p.protocol:{name}" for name in decoders),
                "metanode.p2p.proofs:decode_record",
                "metanode.p2p.proofs:_decode_endpoint",
            ),
            decode=_decode_peer_message,
            encode=_encode_peer_message,
            samples=tuple(_encode_peer_message(message) for message in sent),
        ),
        Decoder(
            name="status of a peer",
            covers=("metanode.p2p.protocol:_decode_status",),
            decode=_decode_peer_message,
            samples=(_encode_peer_message(status), _encode_peer_message(replace(status, proof=None))),
            takes_cut=True,
        ),
        Decoder(
            name="answer of blocks",
            covers=("metanode.p2p.protocol:decode_blocks",),
            decode=lambda data: protocol.decode_blocks(data, 4),
            samples=(protocol.encode_blocks([b"one", b"two"]),),
            # No bytes at all mean: I have none.
            takes_cut=True,
        ),
        Decoder(
            name="snappy",
            covers=("metanode.p2p.snappy:decompress",),
            decode=lambda data: snappy.decompress(data, 1_000),
            samples=(snappy.compress(b"text " * 100), snappy.compress(b"")),
        ),
    )


def _decode_peer_message(data: bytes) -> protocol.Message:
    if not data:
        raise InvalidEncoding("no code")
    return protocol.decode(data[0], data[1:])


def _encode_peer_message(message: protocol.Message) -> bytes:
    code, payload = protocol.encode(message)
    return bytes((code,)) + payload


def _discovery() -> tuple[Decoder, ...]:
    endpoint = packets.Endpoint(ip=ipaddress.ip_address("127.0.0.1"), udp_port=30303, tcp_port=30303)
    contact = packets.Contact(
        ip=ipaddress.ip_address("2001:db8::1"), udp_port=1, tcp_port=2, node_id=NodeId(NODE.node_id)
    )
    sent: tuple[packets.Packet, ...] = (
        packets.Ping(source=endpoint, target=endpoint, expiration=5, record_seq=1),
        packets.Pong(target=endpoint, ping_hash=ANY_HASH, expiration=5, record_seq=1),
        packets.FindNode(target=NODE.node_id, expiration=5),
        packets.Neighbours(contacts=(contact,) * 3, expiration=5),
        packets.RecordRequest(expiration=5),
        packets.RecordResponse(request_hash=ANY_HASH, record=[b"signature", b"\x01"]),
    )
    datagrams = tuple(packets.encode(NODE, packet)[0] for packet in sent)
    return (
        Decoder(
            name="datagram",
            covers=("metanode.p2p.discv4.packets:decode",),
            decode=packets.decode,
            samples=datagrams,
        ),
        Decoder(
            name="signed content of a datagram",
            covers=(
                "metanode.p2p.discv4.packets:_decode_body",
                "metanode.p2p.discv4.packets:_decode_seq",
                "metanode.p2p.discv4.packets:_decode_endpoint",
                "metanode.p2p.discv4.packets:_decode_contact",
            ),
            decode=_decode_content,
            samples=tuple(datagram[packets.HEAD_BYTES - 1 :] for datagram in datagrams),
            # EIP-8: more items, and bytes after the list, are for later versions.
            takes_more=True,
        ),
    )


def _decode_content(content: bytes) -> packets.Signed:
    """Sign what stands in a datagram, so that fuzzing gets behind hash and signature."""
    signed = NODE.signing.sign(keccak256(content)) + content
    return packets.decode(keccak256(signed) + signed)


def _rlpx() -> tuple[Decoder, ...]:
    hello = Hello(
        client="test", capabilities=(Capability(name="mtn", version=1, length=16),), node_id=NODE.node_id
    )
    initiator = Initiator(NODE, OTHER_NODE.node_id)
    auth = initiator.auth()
    ack, _ = Recipient(OTHER_NODE).process(auth, is_plain=False)

    def process_ack(data: bytes) -> object:
        return initiator.process(data, is_plain=False)

    def process_auth(data: bytes) -> object:
        return Recipient(OTHER_NODE).process(data, is_plain=False)

    def process_auth_text(text: bytes) -> object:
        return process_auth(handshake._seal(OTHER_NODE.node_id, text, os.urandom))

    def process_ack_text(text: bytes) -> object:
        return process_ack(handshake._seal(NODE.node_id, text, os.urandom))

    auth_text = OTHER_NODE.agreement.decrypt(auth[2:], auth[:2])
    ack_text = NODE.agreement.decrypt(ack[2:], ack[:2])
    return (
        Decoder(
            name="hello",
            covers=("metanode.p2p.rlpx.messages:decode_hello",),
            decode=messages.decode_hello,
            samples=(messages.encode_hello(hello),),
        ),
        Decoder(
            name="disconnect",
            covers=("metanode.p2p.rlpx.messages:decode_disconnect",),
            decode=messages.decode_disconnect,
            samples=(messages.encode_disconnect(messages.DisconnectReason.TOO_MANY_PEERS), b"\x04", b""),
            # Who leaves has left, whatever its reason looks like.
            takes_cut=True,
            takes_more=True,
        ),
        Decoder(
            name="auth packet",
            covers=("metanode.p2p.rlpx.handshake:Recipient.process", "metanode.crypto.ecies:_load_point"),
            decode=process_auth,
            samples=(auth,),
            is_slow=True,
        ),
        Decoder(
            name="ack packet",
            covers=("metanode.p2p.rlpx.handshake:Initiator.process",),
            decode=process_ack,
            samples=(ack,),
            is_slow=True,
        ),
        Decoder(
            name="text of an auth packet",
            covers=("metanode.p2p.rlpx.handshake:_body",),
            decode=process_auth_text,
            samples=(auth_text[: rlp.item_span(auth_text, 0, len(auth_text))[2]],),
            # EIP-8: random padding follows the list, and may take the place of an end that is missing.
            takes_cut=True,
            takes_more=True,
            is_slow=True,
        ),
        Decoder(
            name="text of an ack packet",
            covers=("metanode.p2p.rlpx.handshake:_body",),
            decode=process_ack_text,
            samples=(ack_text[: rlp.item_span(ack_text, 0, len(ack_text))[2]],),
            takes_cut=True,
            takes_more=True,
            is_slow=True,
        ),
    )


def _primitives() -> Decoder:
    return Decoder(
        name="rlp",
        covers=(),
        decode=rlp.decode,
        encode=rlp.encode,
        samples=(rlp.encode([b"one", [b"", [b"\x80"]], b"x" * 60]), b"\x80", b"\xc0", b"\x05"),
    )


def _snapshots() -> tuple[Decoder, ...]:
    bench = _bench()
    block = bench.block()
    certificate = bench.certificate(block.hash)
    network = NetworkFrame(
        genesis_hash=ANY_HASH, chain_id=1337, network_name="bench", height=9, block_hash=ANY_HASH, has_headers=True,
    )  # fmt: skip
    tip = TipFrame(block=block, certificate=certificate, parent=bench.header, parent_state=bench.state)
    change = ValidatorsFrame(validators=bench.state.validators, certificate=certificate)
    execution = ExecutionFrame(receipts_rlp=b"\xc0", ancestors=(b"\xc1\x01", b"\xc1\x02"))
    frames = (network, change, tip, execution)
    return (
        *(
            Decoder(
                name=f"snapshot, {type(frame).__name__}",
                covers=(f"metanode.node.snapshots.contents:{type(frame).__name__}.decode",),
                decode=type(frame).decode,
                encode=type(frame).encode,
                samples=(frame.encode(),),
            )
            for frame in frames
        ),
        Decoder(
            name="snapshot, headers",
            covers=("metanode.node.snapshots.contents:decode_headers",),
            decode=decode_headers,
            # Deflate has many encodings of one thing.
            samples=(encode_headers([bench.header, block.header]),),
        ),
    )


DECODERS: Final[tuple[Decoder, ...]] = (
    _primitives(),
    _wire(),
    *_records_of_consensus(),
    *_chain(),
    _signer_log(),
    *_peer_messages(),
    *_discovery(),
    *_rlpx(),
    *_snapshots(),
)
