from dataclasses import replace

import pytest

from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput
from metanode.p2p import proofs
from metanode.p2p.enode import Enode, NodeId
from metanode.p2p.errors import PeerFault
from metanode.p2p.records import RecordBook
from metanode.primitives import rlp
from metanode.primitives.types import Hash32

GENESIS = keccak256(b"genesis")
KEY = PrivateKey(b"\x01" * 32)
NODE = NodeId(PrivateKey(b"\x02" * 32).public_key)
SENTRY = NodeId(PrivateKey(b"\x03" * 32).public_key)


class Signer:
    address = KEY.address

    def sign_proof(self, digest: bytes) -> bytes:
        return KEY.sign(digest)


def make(seq: int, genesis: Hash32 = GENESIS, chain_id: int = 1337) -> proofs.ValidatorRecord:
    return proofs.sign_record(
        Signer(),
        genesis_hash=genesis,
        chain_id=chain_id,
        node_id=NODE,
        endpoints=(Enode(node_id=SENTRY, host="sentry.example", tcp_port=1, udp_port=2),),
        seq=seq,
    )


def book() -> RecordBook:
    return RecordBook(GENESIS, 1337)


MEMBERS = frozenset({KEY.address})


def test_the_highest_seq_wins() -> None:
    records = book()
    assert [records.add(make(seq), MEMBERS) for seq in (2, 1, 2, 3)] == [True, False, False, True]
    known = records.get(KEY.address)
    assert known is not None
    assert known.seq == 3
    assert known.endpoints[0].node_id == SENTRY


def test_a_record_of_somebody_outside_the_set_is_not_kept() -> None:
    records = book()
    assert not records.add(make(1), frozenset())
    assert records.add(make(1), MEMBERS)
    records.retain(frozenset())
    assert len(records) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        replace(make(1), seq=2),
        replace(make(1), node_id=SENTRY),
        replace(make(1), endpoints=(Enode(node_id=SENTRY, host="evil", tcp_port=1, udp_port=2),)),
        make(1, genesis=keccak256(b"another network")),
        make(1, chain_id=1),
        replace(make(1), signature=bytes(65)),
    ],
    ids=["seq", "node id", "endpoint", "network", "chain id", "signature"],
)
def test_a_record_that_its_validator_has_not_signed_is_a_fault(wrong: proofs.ValidatorRecord) -> None:
    records = book()
    with pytest.raises(PeerFault):
        records.add(wrong, MEMBERS)
    assert len(records) == 0


def test_a_record_is_read_as_it_was_written() -> None:
    encoded = rlp.encode(proofs.encode_record(make(1)))
    assert proofs.decode_record(rlp.decode(encoded)) == make(1)
    for length in range(len(encoded)):
        with pytest.raises(InvalidInput):
            proofs.decode_record(rlp.decode(encoded[:length]))


@pytest.mark.parametrize(
    ("host", "port"), [(b"", 1), (b"a b", 1), (b"\xff\xff", 1), (b"256.0.0.1", 1), (b"host", 0)]
)
def test_a_record_names_places_that_can_be_called(host: bytes, port: int) -> None:
    item = [KEY.address, NODE, [[NODE, host, rlp.integer(port), b""]], b"\x01", bytes(65)]
    with pytest.raises(PeerFault, match="expected a host name or an IP address"):
        proofs.decode_record(rlp.decode(rlp.encode(item)))


def test_a_proof_is_of_one_connection_of_one_pair_of_nodes() -> None:
    session = keccak256(b"session")
    digests = {
        proofs.proof_digest(GENESIS, 1337, NODE, SENTRY, session),
        proofs.proof_digest(GENESIS, 1337, SENTRY, NODE, session),
        proofs.proof_digest(GENESIS, 1, NODE, SENTRY, session),
        proofs.proof_digest(keccak256(b"x"), 1337, NODE, SENTRY, session),
        proofs.proof_digest(GENESIS, 1337, NODE, SENTRY, keccak256(b"later")),
    }
    assert len(digests) == 5
