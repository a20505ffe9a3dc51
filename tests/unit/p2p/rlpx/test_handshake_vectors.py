"""The handshake against the packets printed in EIP-8."""

import json
from pathlib import Path

import pytest

from metanode.crypto.ecies import DecryptionFailed
from metanode.p2p.rlpx.handshake import Initiator, NodeKey, Recipient, packet_bytes_expected
from metanode.p2p.rlpx.messages import Capability, Hello, decode_hello

VECTORS = {
    name: bytes.fromhex(value)
    for name, value in json.loads(
        (Path(__file__).parent.parent / "vectors" / "eip-8.json").read_text()
    ).items()
}
KEY_A = NodeKey(VECTORS["static_key_a"])
KEY_B = NodeKey(VECTORS["static_key_b"])


class Drawn:
    """Gives out what the vectors were made with, then anything."""

    def __init__(self, *values: bytes) -> None:
        self.values = list(values)

    def __call__(self, size: int) -> bytes:
        if self.values:
            value = self.values.pop(0)
            assert len(value) == size
            return value
        return bytes(range(1, 256))[:size] * (1 + size // 255)


def recipient() -> Recipient:
    return Recipient(KEY_B, randomness=Drawn(VECTORS["ephemeral_key_b"], VECTORS["nonce_b"]))


def initiator() -> Initiator:
    machine = Initiator(
        KEY_A, KEY_B.node_id, randomness=Drawn(VECTORS["ephemeral_key_a"], VECTORS["nonce_a"])
    )
    machine.auth()
    return machine


@pytest.mark.parametrize("name", ["auth_plain", "auth_v4", "auth_v56"])
def test_recipient_derives_the_secrets_of_eip_8(name: str) -> None:
    _, secrets = recipient().process(VECTORS[name], is_plain=name.endswith("plain"))
    assert secrets.remote_id == KEY_A.node_id
    assert secrets.aes == VECTORS["aes_secret"]
    assert secrets.mac == VECTORS["mac_secret"]
    if name == "auth_v4":
        secrets.ingress_mac.update(b"foo")
        assert secrets.ingress_mac.digest() == VECTORS["ingress_mac_foo"]


@pytest.mark.parametrize("name", ["ack_plain", "ack_v4", "ack_v57"])
def test_initiator_derives_the_secrets_of_eip_8(name: str) -> None:
    secrets = initiator().process(VECTORS[name], is_plain=name.endswith("plain"))
    assert secrets.aes == VECTORS["aes_secret"]
    assert secrets.mac == VECTORS["mac_secret"]


def test_a_hello_of_a_later_version_is_read_and_what_follows_its_fields_ignored() -> None:
    assert decode_hello(VECTORS["hello"]) == Hello(
        version=55,
        client="kneth/v0.91/plan9",
        capabilities=(Capability(name="eth", version=61), Capability(name="mork", version=22)),
        listen_port=9999,
        node_id=KEY_A.node_id,
    )


@pytest.mark.parametrize(("name", "plain_bytes"), [("auth_v4", 307), ("auth_v56", 307), ("ack_v57", 210)])
def test_size_prefix_tells_the_length_of_a_packet(name: str, plain_bytes: int) -> None:
    packet = VECTORS[name]
    assert packet_bytes_expected(packet, plain_bytes) == (len(packet), False)


@pytest.mark.parametrize(("name", "plain_bytes"), [("auth_plain", 307), ("ack_plain", 210)])
def test_plain_packet_is_known_by_its_first_byte(name: str, plain_bytes: int) -> None:
    packet = VECTORS[name]
    assert packet_bytes_expected(packet, plain_bytes) == (len(packet), True)


@pytest.mark.parametrize("name", ["auth_plain", "auth_v4", "auth_v56"])
def test_no_changed_auth_is_accepted(name: str) -> None:
    packet = VECTORS[name]
    for position in range(0, len(packet), 7):
        changed = bytearray(packet)
        changed[position] ^= 0x40
        with pytest.raises(DecryptionFailed):
            recipient().process(bytes(changed), is_plain=name.endswith("plain"))
