import coincurve
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.crypto import ecies
from metanode.crypto.ecies import AgreementKey, DecryptionFailed, InvalidPoint
from metanode.crypto.secp256k1 import PrivateKey

FIELD = 2**256 - 2**32 - 977
SECRET = bytes.fromhex("49a7b37aa6f6645917e7b807e9d1c00d4fa71f18343b0d4122a4d2df64dd6fee")
PUBLIC = PrivateKey(SECRET).public_key
KEY = AgreementKey(SECRET)

X = int.from_bytes(PUBLIC[:32], "big")
Y = int.from_bytes(PUBLIC[32:], "big")


def point(x: int, y: int) -> bytes:
    return (x % 2**256).to_bytes(32, "big") + (y % 2**256).to_bytes(32, "big")


BAD_POINTS = {
    "off the curve": point(X, Y + 1),
    "of the curve y2 = x3 + 8": point(1, 3),
    "infinity as zeros": bytes(64),
    "x = p": point(FIELD, Y),
    "x = 2^256 - 1": point(2**256 - 1, Y),
    "y = p": point(X, FIELD),
    "y of the twin plus p": point(X, 2**256 - 1),
}


def with_point(ciphertext: bytes, public_key: bytes) -> bytes:
    return b"\x04" + public_key + ciphertext[65:]


@given(text=st.binary(max_size=600), authenticated=st.binary(max_size=4))
def test_what_is_encrypted_for_a_key_is_decrypted_by_it(text: bytes, authenticated: bytes) -> None:
    ciphertext = ecies.encrypt(PUBLIC, text, authenticated)
    assert len(ciphertext) == len(text) + ecies.OVERHEAD_BYTES
    assert KEY.decrypt(ciphertext, authenticated) == text


def test_no_changed_byte_is_accepted() -> None:
    ciphertext = ecies.encrypt(PUBLIC, b"text", b"\x01\x02")
    for position in range(len(ciphertext)):
        changed = bytearray(ciphertext)
        changed[position] ^= 1
        with pytest.raises(DecryptionFailed):
            KEY.decrypt(bytes(changed), b"\x01\x02")
    with pytest.raises(DecryptionFailed):
        KEY.decrypt(ciphertext, b"\x01\x03")


def test_no_shorter_ciphertext_is_accepted() -> None:
    ciphertext = ecies.encrypt(PUBLIC, b"text")
    for length in range(len(ciphertext)):
        with pytest.raises(DecryptionFailed):
            KEY.decrypt(ciphertext[:length])


@pytest.mark.parametrize("bad", BAD_POINTS.values(), ids=BAD_POINTS.keys())
def test_a_point_off_the_curve_gives_the_error_of_a_bad_mac(bad: bytes) -> None:
    ciphertext = ecies.encrypt(PUBLIC, b"text")
    with pytest.raises(DecryptionFailed) as bad_mac:
        KEY.decrypt(ciphertext[:-1] + bytes((ciphertext[-1] ^ 1,)))
    with pytest.raises(DecryptionFailed) as bad_point:
        KEY.decrypt(with_point(ciphertext, bad))
    assert str(bad_point.value) == str(bad_mac.value)
    with pytest.raises(InvalidPoint):
        KEY.agree(bad)
    with pytest.raises(InvalidPoint):
        ecies.encrypt(bad, b"text")


def test_a_bad_point_is_refused_even_when_the_mac_fits_the_point_used_in_its_place() -> None:
    """The multiplication that hides the time is done on the generator: its secret is our public key, known to all."""
    text = b"text"
    forged = ecies.encrypt(PUBLIC, text, randomness=lambda size: (1).to_bytes(size, "big"))
    assert KEY.decrypt(forged) == text
    with pytest.raises(DecryptionFailed):
        KEY.decrypt(with_point(forged, bytes(64)))


@pytest.mark.parametrize("bad", BAD_POINTS.values(), ids=BAD_POINTS.keys())
def test_a_bad_point_costs_the_work_of_a_bad_mac(bad: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: one multiplication and one MAC over as many bytes."""
    ciphertext = ecies.encrypt(PUBLIC, bytes(200))
    work: list[object] = []
    exchange, digest = AgreementKey._exchange, ecies.hmac.digest

    def counted_exchange(self: AgreementKey, point: object) -> bytes:
        work.append("multiplication")
        return exchange(self, point)  # type: ignore[arg-type]

    def counted_digest(key: bytes, message: bytes, name: str) -> bytes:
        work.append(len(message))
        return digest(key, message, name)

    monkeypatch.setattr(AgreementKey, "_exchange", counted_exchange)
    monkeypatch.setattr(ecies.hmac, "digest", counted_digest)
    for data in (ciphertext[:-1] + bytes((ciphertext[-1] ^ 1,)), with_point(ciphertext, bad)):
        with pytest.raises(DecryptionFailed):
            KEY.decrypt(data)
    assert work[:2] == work[2:] == ["multiplication", 216]


def test_the_agreed_secret_is_the_x_coordinate() -> None:
    other = PrivateKey(bytes(31) + b"\x07")
    shared = coincurve.PublicKey(b"\x04" + PUBLIC).multiply(other.secret).format(compressed=False)[1:33]
    assert KEY.agree(other.public_key) == AgreementKey(other.secret).agree(PUBLIC) == shared


@pytest.mark.parametrize("length", [0, 32, 63, 65, 128])
def test_a_public_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(InvalidPoint, match=f"64 bytes, found {length}"):
        KEY.agree(bytes(length))


def test_a_key_does_not_show_itself() -> None:
    assert SECRET.hex() not in repr(KEY)
