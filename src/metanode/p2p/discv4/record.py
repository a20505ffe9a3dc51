"""Our own node record (EIP-778), which ENRRequest asks for and `admin_nodeInfo` shows."""

import base64
from collections.abc import Mapping
from typing import Final

from metanode.crypto.hashing import keccak256
from metanode.p2p.discv4.packets import Endpoint
from metanode.p2p.ports import ForkId
from metanode.p2p.rlpx.handshake import NodeKey
from metanode.primitives import rlp

RECORD_BYTES_MAX: Final = 300


def make_record(key: NodeKey, endpoint: Endpoint, seq: int, fork_id: ForkId | None = None) -> list[rlp.Item]:
    """Return the signed record of a node: identity scheme v4, its addresses, and under `mtn` its fork id."""
    compressed = bytes((2 + key.node_id[63] % 2,)) + key.node_id[:32]
    entries: dict[bytes, rlp.Item] = {b"id": b"v4", b"secp256k1": compressed}
    if endpoint.ip is not None and not endpoint.ip.is_unspecified:
        suffix = b"" if endpoint.ip.version == 4 else b"6"
        entries[b"ip" + suffix] = endpoint.ip.packed
    entries[b"udp"] = rlp.integer(endpoint.udp_port)
    if endpoint.tcp_port:
        entries[b"tcp"] = rlp.integer(endpoint.tcp_port)
    if fork_id is not None:
        entries[b"mtn"] = [[fork_id.hash, rlp.integer(fork_id.next)]]
    content = [rlp.integer(seq), *_sorted_pairs(entries)]
    # The identity scheme v4 signs without a recovery id: the key is in the record.
    signature = key.signing.sign(keccak256(rlp.encode(content)))[:64]
    record: list[rlp.Item] = [signature, *content]
    assert len(rlp.encode(record)) <= RECORD_BYTES_MAX
    return record


def format_record(record: list[rlp.Item]) -> str:
    """Return the `enr:` text of a record."""
    return "enr:" + base64.urlsafe_b64encode(rlp.encode(record)).rstrip(b"=").decode()


def _sorted_pairs(entries: Mapping[bytes, rlp.Item]) -> list[rlp.Item]:
    return [item for name in sorted(entries) for item in (name, entries[name])]
