"""The key agreement of RLPx: auth and ack, in the EIP-8 form and in the older plain one.

Pure: keys and randomness come in, packets and `Secrets` go out. A connection reads `packet_bytes_expected` to know how much to collect; nothing is
decrypted before it is complete, and no packet may be longer than `HANDSHAKE_BYTES_MAX`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from Crypto.Hash import keccak

from metanode.crypto import ecies
from metanode.crypto.ecies import AgreementKey
from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import ORDER, PrivateKey, recover_public_key
from metanode.p2p.errors import PeerFault
from metanode.primitives import rlp

HANDSHAKE_BYTES_MAX: Final = 2048
"""Longest auth or ack, its size prefix included (go-ethereum's bound); ours have 400 to 700."""

PLAIN_AUTH_BYTES: Final = 307
PLAIN_ACK_BYTES: Final = 210
_PLAIN_AUTH_TEXT_BYTES: Final = 194
_PLAIN_ACK_TEXT_BYTES: Final = 97

VERSION: Final = 4
_PADDING_BYTES_MIN: Final = 100
_PADDING_BYTES_SPREAD: Final = 200
"""EIP-8 recommends 100 to 300 bytes of padding, so that the packets cannot be told by their length."""
_SIZE_BYTES: Final = 2

Randomness = Callable[[int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Secrets:
    """What both ends derive from one auth and one ack."""

    remote_id: bytes
    """64 bytes: the node id the other side proved."""
    session: bytes
    """32 bytes, the same on both sides and different for every connection; what signatures over this session bind to."""
    aes: bytes
    mac: bytes
    egress_mac: keccak.Keccak_Hash
    """Running keccak256 of what we send."""
    ingress_mac: keccak.Keccak_Hash


class NodeKey:
    """The identity of a node: signs its packets and agrees on secrets. Not the validator's key."""

    __slots__ = ("agreement", "node_id", "signing")

    def __init__(self, secret: bytes) -> None:
        self.signing = PrivateKey(secret)
        self.agreement = AgreementKey(secret)
        self.node_id = self.signing.public_key

    def __repr__(self) -> str:
        return f"NodeKey({self.node_id.hex()[:16]}…)"

    @classmethod
    def generate(cls, randomness: Randomness = os.urandom) -> "NodeKey":
        """Return a new key."""
        while True:
            secret = randomness(32)
            if 0 < int.from_bytes(secret, "big") < ORDER:
                return cls(secret)


def packet_bytes_expected(received: bytes | bytearray, plain_bytes: int | None) -> tuple[int, bool]:
    """Return (how many bytes the packet at the start of `received` has, whether it may be a plain one).

    A plain packet starts with the 0x04 of its curve point, which an EIP-8 size of 1,024 to 1,279 does too. So the first `plain_bytes` of such a
    packet are tried as a plain one, and when they are none (`plain_bytes` is None then) the rest is waited for. Raises PeerFault for a size that
    no handshake may have.
    """
    if len(received) < _SIZE_BYTES:
        return _SIZE_BYTES, False
    if plain_bytes is not None and received[0] == 0x04:
        return plain_bytes, True
    size = int.from_bytes(received[:_SIZE_BYTES], "big")
    if size < ecies.OVERHEAD_BYTES or _SIZE_BYTES + size > HANDSHAKE_BYTES_MAX:
        raise PeerFault(
            f"handshake: a packet of {size} bytes, expected {ecies.OVERHEAD_BYTES} to {HANDSHAKE_BYTES_MAX - 2}"
        )
    return _SIZE_BYTES + size, False


class Initiator:
    """The side that dialled, and knows whom."""

    plain_bytes: Final = PLAIN_ACK_BYTES

    def __init__(self, key: NodeKey, remote_id: bytes, *, randomness: Randomness = os.urandom) -> None:
        self._key = key
        self._remote_id = remote_id
        self._randomness = randomness
        self._ephemeral = NodeKey.generate(randomness)
        self._nonce = randomness(32)
        self._auth = b""

    def auth(self) -> bytes:
        """Return the first packet, EIP-8; raises InvalidPoint when the remote id is no public key."""
        shared = self._key.agreement.agree(self._remote_id)
        signature = self._ephemeral.signing.sign(_xor(shared, self._nonce))
        body = rlp.encode([signature, self._key.node_id, self._nonce, rlp.integer(VERSION)])
        self._auth = _seal(self._remote_id, body, self._randomness)
        return self._auth

    def process(self, packet: bytes, *, is_plain: bool) -> Secrets:
        """Return the secrets after the other side's ack; raises DecryptionFailed or PeerFault."""
        text = _unseal(self._key, packet, is_plain=is_plain)
        if is_plain:
            if len(text) != _PLAIN_ACK_TEXT_BYTES:
                raise PeerFault("handshake: the ack has a wrong length")
            remote_ephemeral, remote_nonce = text[:64], text[64:96]
        else:
            reader = _body(text, "ack")
            remote_ephemeral = reader.bytes("ephemeral_public_key", length=64)
            remote_nonce = reader.bytes("nonce", length=32)
        shared = self._ephemeral.agreement.agree(remote_ephemeral)
        return _derive(
            shared,
            remote_id=self._remote_id,
            initiator_nonce=self._nonce,
            recipient_nonce=remote_nonce,
            sent=(remote_nonce, self._auth),
            received=(self._nonce, packet),
        )


class Recipient:
    """The side that was dialled, and learns by whom."""

    plain_bytes: Final = PLAIN_AUTH_BYTES

    def __init__(self, key: NodeKey, *, randomness: Randomness = os.urandom) -> None:
        self._key = key
        self._randomness = randomness

    def process(self, packet: bytes, *, is_plain: bool) -> tuple[bytes, Secrets]:
        """Return (the ack to send, the secrets); raises DecryptionFailed or PeerFault.

        Our own share is made only for an auth that is good: who says nothing, or nonsense, costs no more than one decryption.
        """
        text = _unseal(self._key, packet, is_plain=is_plain)
        if is_plain:
            if len(text) != _PLAIN_AUTH_TEXT_BYTES:
                raise PeerFault("handshake: the auth has a wrong length")
            signature, remote_id, remote_nonce = text[:65], text[97:161], text[161:193]
        else:
            reader = _body(text, "auth")
            signature = reader.bytes("signature", length=65)
            remote_id = reader.bytes("public_key", length=64)
            remote_nonce = reader.bytes("nonce", length=32)
        shared = self._key.agreement.agree(remote_id)
        remote_ephemeral = recover_public_key(_xor(shared, remote_nonce), signature)
        if is_plain and text[65:97] != keccak256(remote_ephemeral):
            raise PeerFault("handshake: the auth names another ephemeral key than it is signed with")
        ephemeral = NodeKey.generate(self._randomness)
        nonce = self._randomness(32)
        if is_plain:
            ack = ecies.encrypt(remote_id, ephemeral.node_id + nonce + b"\x00", randomness=self._randomness)
        else:
            body = rlp.encode([ephemeral.node_id, nonce, rlp.integer(VERSION)])
            ack = _seal(remote_id, body, self._randomness)
        secrets = _derive(
            ephemeral.agreement.agree(remote_ephemeral),
            remote_id=remote_id,
            initiator_nonce=remote_nonce,
            recipient_nonce=nonce,
            sent=(remote_nonce, ack),
            received=(nonce, packet),
        )
        return ack, secrets


def _seal(remote_id: bytes, body: bytes, randomness: Randomness) -> bytes:
    padding = randomness(_PADDING_BYTES_MIN + randomness(1)[0] % _PADDING_BYTES_SPREAD)
    size = (len(body) + len(padding) + ecies.OVERHEAD_BYTES).to_bytes(_SIZE_BYTES, "big")
    return size + ecies.encrypt(remote_id, body + padding, size, randomness=randomness)


def _unseal(key: NodeKey, packet: bytes, *, is_plain: bool) -> bytes:
    if is_plain:
        return key.agreement.decrypt(packet)
    return key.agreement.decrypt(packet[_SIZE_BYTES:], packet[:_SIZE_BYTES])


def _body(text: bytes, name: str) -> rlp.Reader:
    """Return a reader of the list at the start; what follows it is padding (EIP-8)."""
    _, _, end = rlp.item_span(text, 0, len(text))
    return rlp.Reader(rlp.decode(text[:end]), name)


def _derive(
    shared: bytes,
    *,
    remote_id: bytes,
    initiator_nonce: bytes,
    recipient_nonce: bytes,
    sent: tuple[bytes, bytes],
    received: tuple[bytes, bytes],
) -> Secrets:
    """Return the keys of the connection; `sent` and `received` are (nonce, packet) of each direction's MAC."""
    session = keccak256(recipient_nonce + initiator_nonce)
    aes = keccak256(shared + keccak256(shared + session))
    mac = keccak256(shared + aes)
    return Secrets(
        remote_id=remote_id,
        session=session,
        aes=aes,
        mac=mac,
        egress_mac=_running_mac(_xor(mac, sent[0]) + sent[1]),
        ingress_mac=_running_mac(_xor(mac, received[0]) + received[1]),
    )


def _running_mac(start: bytes) -> keccak.Keccak_Hash:
    return keccak.new(digest_bits=256, update_after_digest=True, data=start)


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
