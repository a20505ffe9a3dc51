"""What a validator signs for peers: that it stands behind a connection, and where it can be reached.

Both digests are hashes of an RLP list that starts with a name of its own and holds the chain, so that neither is ever the digest of a consensus
message, of a transaction, or of another network's record.
"""

from dataclasses import dataclass
from typing import Final

from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import recover_address
from metanode.errors import InvalidSignature
from metanode.p2p.enode import HOST_CHARACTERS_MAX, NODE_ID_BYTES, Enode, NodeId, is_host
from metanode.p2p.errors import PeerFault
from metanode.p2p.ports import ProofSigner
from metanode.primitives import rlp
from metanode.primitives.types import SIGNATURE_BYTES, Address, Hash32

_PROOF: Final = b"metanode/p2p/proof/1"
_RECORD: Final = b"metanode/p2p/record/1"

ENDPOINTS_MAX: Final = 4
"""A validator behind sentries names all of them; more than four are no protection any more."""


def proof_digest(
    genesis_hash: Hash32, chain_id: int, prover: NodeId, verifier: NodeId, session: bytes
) -> Hash32:
    """Return what a validator signs to prove to `verifier` that it stands behind the node `prover` on this one connection.

    The session is the nonce: both ends have put 32 random bytes into it, so an old proof fits no new connection.
    """
    return keccak256(rlp.encode([_PROOF, genesis_hash, rlp.integer(chain_id), prover, verifier, session]))


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorRecord:
    """Where a validator can be reached, signed by it; the one with the highest `seq` counts."""

    address: Address
    node_id: NodeId
    """Of the validator's own node."""
    endpoints: tuple[Enode, ...]
    """Its own, or its sentries'; each with a node id."""
    seq: int
    signature: bytes


def sign_record(
    signer: ProofSigner,
    *,
    genesis_hash: Hash32,
    chain_id: int,
    node_id: NodeId,
    endpoints: tuple[Enode, ...],
    seq: int,
) -> ValidatorRecord:
    """Return the signed record of a validator."""
    assert 0 < len(endpoints) <= ENDPOINTS_MAX, endpoints
    digest = _record_digest(genesis_hash, chain_id, signer.address, node_id, endpoints, seq)
    return ValidatorRecord(
        address=signer.address,
        node_id=node_id,
        endpoints=endpoints,
        seq=seq,
        signature=signer.sign_proof(digest),
    )


def validate_record(record: ValidatorRecord, genesis_hash: Hash32, chain_id: int) -> None:
    """Raise InvalidSignature unless the record's validator has signed it for this chain."""
    digest = _record_digest(
        genesis_hash, chain_id, record.address, record.node_id, record.endpoints, record.seq
    )
    if recover_address(digest, record.signature) != record.address:
        raise InvalidSignature("record: signed by another key than the validator's")


def encode_record(record: ValidatorRecord) -> rlp.Item:
    """Return the RLP item of a record."""
    return [
        record.address,
        record.node_id,
        _encode_endpoints(record.endpoints),
        rlp.integer(record.seq),
        record.signature,
    ]


def decode_record(item: rlp.Decoded) -> ValidatorRecord:
    """Return the record of an RLP item, its signature not yet checked; raises InvalidEncoding or PeerFault."""
    reader = rlp.Reader(item, "record")
    record = ValidatorRecord(
        address=reader.address("address"),
        node_id=NodeId(reader.bytes("node_id", length=NODE_ID_BYTES)),
        endpoints=tuple(
            _decode_endpoint(endpoint) for endpoint in reader.list("endpoints", length_max=ENDPOINTS_MAX)
        ),
        seq=reader.integer("seq"),
        signature=reader.bytes("signature", length=SIGNATURE_BYTES),
    )
    reader.end()
    if not record.endpoints:
        raise PeerFault("record: it names no endpoint")
    return record


def _record_digest(
    genesis_hash: Hash32,
    chain_id: int,
    address: Address,
    node_id: NodeId,
    endpoints: tuple[Enode, ...],
    seq: int,
) -> Hash32:
    fields: list[rlp.Item] = [address, node_id, _encode_endpoints(endpoints), rlp.integer(seq)]
    return keccak256(rlp.encode([_RECORD, genesis_hash, rlp.integer(chain_id), fields]))


def _encode_endpoints(endpoints: tuple[Enode, ...]) -> list[rlp.Item]:
    return [
        [e.node_id or b"", e.host.encode("ascii"), rlp.integer(e.tcp_port), rlp.integer(e.udp_port)]
        for e in endpoints
    ]


def _decode_endpoint(item: rlp.Decoded) -> Enode:
    reader = rlp.Reader(item, "record.endpoint")
    node_id = NodeId(reader.bytes("node_id", length=NODE_ID_BYTES))
    host = reader.bytes("host", length_max=HOST_CHARACTERS_MAX).decode("ascii", "replace")
    tcp_port, udp_port = reader.integer("tcp_port", bits=16), reader.integer("udp_port", bits=16)
    reader.end()
    if not is_host(host) or tcp_port == 0:
        raise PeerFault("record.endpoint: expected a host name or an IP address, and a port")
    return Enode(node_id=node_id, host=host, tcp_port=tcp_port, udp_port=udp_port)
