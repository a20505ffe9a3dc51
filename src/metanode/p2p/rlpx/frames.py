"""Frames: the AES stream and the running MACs after the handshake.

Source: https://github.com/ethereum/devp2p/blob/master/rlpx.md#framing. One frame carries one message; a frame's size stands in its header, which is
authenticated by itself, so it is checked before anything of the body is kept.
"""

from typing import Final

from Crypto.Hash import keccak
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from metanode.p2p.errors import PeerFault
from metanode.p2p.rlpx.handshake import Secrets

HEADER_BYTES: Final = 32
"""Encrypted header and its MAC."""
FRAME_BYTES_MAX: Final = 2**24 - 1
"""What the three bytes of the size can say."""
_BLOCK_BYTES: Final = 16
_HEADER_DATA: Final = b"\xc2\x80\x80"
"""RLP [capability id, context id], both zero: nobody multiplexes by frame headers."""


class FrameCodec:
    """Encrypts frames and takes them apart, in order; both directions of one connection. Owned by its connection."""

    __slots__ = ("_decryptor", "_egress", "_encryptor", "_ingress", "_mac_cipher")

    def __init__(self, secrets: Secrets) -> None:
        # The key is used once, so the counter may start at zero.
        stream = Cipher(algorithms.AES(secrets.aes), modes.CTR(bytes(_BLOCK_BYTES)))
        self._encryptor = stream.encryptor()
        self._decryptor = stream.decryptor()
        # One 16-byte block at a time: the specification's MAC is built on the bare block cipher.
        self._mac_cipher = Cipher(algorithms.AES(secrets.mac), modes.ECB()).encryptor()  # noqa: S305
        self._egress = secrets.egress_mac
        self._ingress = secrets.ingress_mac

    def encode(self, body: bytes) -> bytes:
        """Return the frame of a message."""
        assert len(body) <= FRAME_BYTES_MAX, len(body)
        header = (len(body).to_bytes(3, "big") + _HEADER_DATA).ljust(_BLOCK_BYTES, b"\x00")
        encrypted_header = self._encryptor.update(header)
        header_mac = self._header_mac(self._egress, encrypted_header)
        encrypted_body = self._encryptor.update(body + bytes(-len(body) % _BLOCK_BYTES))
        return b"".join(
            (encrypted_header, header_mac, encrypted_body, self._body_mac(self._egress, encrypted_body))
        )

    def decode_header(self, header: bytes) -> int:
        """Return the size of the body that follows 32 bytes of header; raises PeerFault for a wrong MAC."""
        if self._header_mac(self._ingress, header[:_BLOCK_BYTES]) != header[_BLOCK_BYTES:]:
            raise PeerFault("frame: the header's MAC is wrong")
        return int.from_bytes(self._decryptor.update(header[:_BLOCK_BYTES])[:3], "big")

    def decode_body(self, encrypted: bytes, size_bytes: int) -> bytes:
        """Return the message of a body with its padding and MAC; raises PeerFault for a wrong MAC."""
        assert len(encrypted) == body_bytes(size_bytes)
        if self._body_mac(self._ingress, encrypted[:-_BLOCK_BYTES]) != encrypted[-_BLOCK_BYTES:]:
            raise PeerFault("frame: the body's MAC is wrong")
        return self._decryptor.update(encrypted[:-_BLOCK_BYTES])[:size_bytes]

    def _header_mac(self, mac: keccak.Keccak_Hash, header: bytes) -> bytes:
        return self._update(mac, mac.digest()[:_BLOCK_BYTES], header)

    def _body_mac(self, mac: keccak.Keccak_Hash, body: bytes) -> bytes:
        mac.update(body)
        seed = mac.digest()[:_BLOCK_BYTES]
        return self._update(mac, seed, seed)

    def _update(self, mac: keccak.Keccak_Hash, seed: bytes, data: bytes) -> bytes:
        mixed = int.from_bytes(self._mac_cipher.update(seed), "big") ^ int.from_bytes(data, "big")
        mac.update(mixed.to_bytes(_BLOCK_BYTES, "big"))
        return mac.digest()[:_BLOCK_BYTES]


def body_bytes(size_bytes: int) -> int:
    """Return how many bytes follow the header of a frame: the body, padded to whole blocks, and its MAC."""
    return size_bytes + -size_bytes % _BLOCK_BYTES + _BLOCK_BYTES
