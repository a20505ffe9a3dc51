"""Key files: Web3 Secret Storage version 3, the format of geth, MetaMask and every wallet.

Source: the Web3 Secret Storage definition. Key derivation and cipher are pycryptodome's (OpenSSL's scrypt refuses the specification's own
example, N = 2^18 with r = 1); tests open our files with eth-keyfile and the reverse. eth-keyfile itself is not imported here because that alone takes most of a second, which every start of
a validator would pay. Wallets of Ethereum's sale of 2014, which geth imports too, are read and never written.

A file is written whole or not at all, readable by its owner only, and refused when others could read it. What a file asks for (memory,
iterations) is bounded before it is computed.
"""

import hashlib
import hmac
import json
import os
import secrets
import stat
import uuid
from pathlib import Path
from typing import Any, Final

from Crypto.Cipher import AES
from Crypto.Protocol.KDF import scrypt

from metanode.crypto.addresses import format_address
from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidKeystore, InvalidSignature

SCRYPT_N_DEFAULT: Final = 262_144
"""Work factor of real keys: about a second and 256 MiB."""
SCRYPT_N_LOCAL: Final = 16_384
"""Work factor of the keys of a local test network: about 50 ms."""

_SCRYPT_R: Final = 8
_SCRYPT_P: Final = 1
_MEMORY_BYTES_MAX: Final = 1 << 30
"""N * r * 128: four times what geth's standard key files take."""
_SCRYPT_P_MAX: Final = 16
"""Time is memory times p; files in the wild have 1, 6 and 8."""
_PBKDF2_ITERATIONS_MAX: Final = 10_000_000
"""geth's and wallets' files have 10,240 to 1,000,000."""
_PRESALE_ITERATIONS: Final = 2_000
"""Of PBKDF2 in wallets of Ethereum's sale of 2014. Source: pyethsaletool."""
_PRESALE_BYTES_MAX: Final = 1_024
"""Of their encrypted seed, which has about 600 bytes."""
_FILE_BYTES_MAX: Final = 64 * 1024
"""A key file has about 500 bytes."""


def encrypt_key(key: PrivateKey, password: str, *, scrypt_n: int = SCRYPT_N_DEFAULT) -> dict[str, Any]:
    """Return the key file's content, encrypted by scrypt with the work factor and AES-128-CTR."""
    salt, iv = secrets.token_bytes(32), secrets.token_bytes(16)
    derived = _scrypt(password.encode(), salt, n=scrypt_n, r=_SCRYPT_R, p=_SCRYPT_P)
    ciphertext = _aes_ctr(derived[:16], iv, key.secret)
    return {
        "address": key.address.hex(),
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": iv.hex()},
            "ciphertext": ciphertext.hex(),
            "kdf": "scrypt",
            "kdfparams": {"dklen": 32, "n": scrypt_n, "r": _SCRYPT_R, "p": _SCRYPT_P, "salt": salt.hex()},
            "mac": keccak256(derived[16:32] + ciphertext).hex(),
        },
        "id": str(uuid.uuid4()),
        "version": 3,
    }


def decrypt_key(content: object, password: str) -> PrivateKey:
    """Return the key of a key file's parsed JSON; raises InvalidKeystore for a wrong form, a wrong password or a costly request."""
    file = _object(content, "key file")
    if "encseed" in file:
        return _validate_owner(_decrypt_presale(file, password), file.get("ethaddr"), "ethaddr")
    if file.get("version") != 3:
        raise InvalidKeystore(f"version: expected 3, found {file.get('version')!r}")
    crypto = _object(file.get("crypto", file.get("Crypto")), "crypto")
    if crypto.get("cipher") != "aes-128-ctr":
        raise InvalidKeystore(f"crypto.cipher: expected 'aes-128-ctr', found {crypto.get('cipher')!r}")
    iv = _hex(_object(crypto.get("cipherparams"), "crypto.cipherparams").get("iv"), "crypto.cipherparams.iv")
    if len(iv) != 16:
        raise InvalidKeystore(f"crypto.cipherparams.iv: expected 16 bytes, found {len(iv)}")
    ciphertext = _hex(crypto.get("ciphertext"), "crypto.ciphertext")
    if not 0 < len(ciphertext) <= 32:
        raise InvalidKeystore(f"crypto.ciphertext: expected 1 to 32 bytes, found {len(ciphertext)}")
    mac = _hex(crypto.get("mac"), "crypto.mac")
    derived = _derive(crypto, password.encode())
    if not hmac.compare_digest(mac, keccak256(derived[16:32] + ciphertext)):
        raise InvalidKeystore("the password does not open the key file")
    try:
        # Some wallets dropped the leading zeros of the key.
        key = PrivateKey(_aes_ctr(derived[:16], iv, ciphertext).rjust(32, b"\0"))
    except InvalidSignature as error:
        raise InvalidKeystore("the file holds no key of secp256k1") from error
    return _validate_owner(key, file.get("address"), "address")


def _validate_owner(key: PrivateKey, named: object, field: str) -> PrivateKey:
    if isinstance(named, str) and named.lower().removeprefix("0x") != key.address.hex():
        raise InvalidKeystore(
            f"{field}: the key belongs to {format_address(key.address)}, the file names {named[:80]!r}"
        )
    return key


def _decrypt_presale(file: dict[str, Any], password: str) -> PrivateKey:
    """Return the key of a wallet of Ethereum's sale of 2014: the hash of a seed in AES-128-CBC, as every client still reads it."""
    if not isinstance(file.get("ethaddr"), str):
        # Its padding alone tells a wrong password in 255 of 256 cases only.
        raise InvalidKeystore(f"ethaddr: expected an address, found {file.get('ethaddr')!r}")
    encrypted = _hex(file["encseed"], "encseed")
    if not 32 <= len(encrypted) <= _PRESALE_BYTES_MAX or len(encrypted) % 16:
        raise InvalidKeystore(
            f"encseed: expected 32 to {_PRESALE_BYTES_MAX} bytes in blocks of 16, found {len(encrypted)}"
        )
    phrase = password.encode()
    derived = hashlib.pbkdf2_hmac("sha256", phrase, phrase, _PRESALE_ITERATIONS, dklen=16)
    seed = AES.new(derived, AES.MODE_CBC, iv=encrypted[:16]).decrypt(encrypted[16:])
    padding = seed[-1]
    if not 1 <= padding <= 16 or seed[-padding:] != bytes((padding,)) * padding:
        raise InvalidKeystore("the password does not open the key file")
    return PrivateKey(keccak256(seed[:-padding]))


def save_key(path: Path, key: PrivateKey, password: str, *, scrypt_n: int = SCRYPT_N_DEFAULT) -> None:
    """Write a new key file, mode 0600, in a folder of mode 0700 that is made if needed; an existing file is never replaced."""
    write_secret_file(
        path, json.dumps(encrypt_key(key, password, scrypt_n=scrypt_n), indent=2).encode() + b"\n"
    )


def load_key(path: Path, password: str) -> PrivateKey:
    """Return the key of a key file; raises InvalidKeystore that names the file."""
    try:
        content = json.loads(read_secret_file(path))
    except (ValueError, RecursionError) as error:
        raise InvalidKeystore(f"{path}: expected a JSON key file: {error}") from error
    try:
        return decrypt_key(content, password)
    except InvalidKeystore as error:
        raise InvalidKeystore(f"{path}: {error}") from error


def write_secret_file(path: Path, content: bytes) -> None:
    """Write a new file that only its owner can read: whole and durable, or not at all; raises InvalidKeystore if it exists."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # link, unlike rename, fails when the name is taken: a key is never overwritten.
        os.link(unfinished, path)
    except FileExistsError as error:
        raise InvalidKeystore(f"{path}: exists already, a key file is never overwritten") from error
    finally:
        unfinished.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_secret_file(path: Path) -> bytes:
    """Return the content of a file that only its owner can read; raises InvalidKeystore with the command that repairs the mode."""
    try:
        # A pipe in its place would otherwise be waited for, and nothing could end that.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123 - a descriptor
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InvalidKeystore(f"{path}: expected a regular file")
            mode = stat.S_IMODE(status.st_mode)
            if mode & 0o077:
                raise InvalidKeystore(f"{path}: others may read it (mode {mode:04o}); run: chmod 600 {path}")
            content = file.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise InvalidKeystore(f"{path}: {error.strerror}") from error
    if len(content) > _FILE_BYTES_MAX:
        raise InvalidKeystore(f"{path}: expected at most {_FILE_BYTES_MAX} bytes")
    return content


def _derive(crypto: dict[str, Any], password: bytes) -> bytes:
    name, parameters = crypto.get("kdf"), _object(crypto.get("kdfparams"), "crypto.kdfparams")
    salt = _hex(parameters.get("salt"), "crypto.kdfparams.salt")
    if parameters.get("dklen") != 32:
        raise InvalidKeystore(f"crypto.kdfparams.dklen: expected 32, found {parameters.get('dklen')!r}")
    if name == "scrypt":
        n, r = _number(parameters, "n", _MEMORY_BYTES_MAX), _number(parameters, "r", _MEMORY_BYTES_MAX)
        p = _number(parameters, "p", _SCRYPT_P_MAX)
        if n < 2 or n & (n - 1):
            raise InvalidKeystore(f"crypto.kdfparams.n: expected a power of two, found {n}")
        if n * r * 128 > _MEMORY_BYTES_MAX:
            raise InvalidKeystore(
                f"crypto.kdfparams: n * r * 128 asks for {n * r * 128} bytes, the limit is {_MEMORY_BYTES_MAX}"
            )
        return _scrypt(password, salt, n=n, r=r, p=p)
    if name == "pbkdf2":
        if parameters.get("prf") != "hmac-sha256":
            raise InvalidKeystore(
                f"crypto.kdfparams.prf: expected 'hmac-sha256', found {parameters.get('prf')!r}"
            )
        iterations = _number(parameters, "c", _PBKDF2_ITERATIONS_MAX)
        return hashlib.pbkdf2_hmac("sha256", password, salt, iterations, dklen=32)
    raise InvalidKeystore(f"crypto.kdf: expected 'scrypt' or 'pbkdf2', found {name!r}")


def _scrypt(password: bytes, salt: bytes, *, n: int, r: int, p: int) -> bytes:
    # pycryptodome's stub knows only str, which it would encode as Latin-1.
    derived = scrypt(password, salt, key_len=32, N=n, r=r, p=p)  # type: ignore[arg-type]
    assert isinstance(derived, bytes)
    return derived


def _aes_ctr(key: bytes, iv: bytes, data: bytes) -> bytes:
    return AES.new(key, AES.MODE_CTR, nonce=b"", initial_value=iv).encrypt(data)


def _object(value: object, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidKeystore(f"{field}: expected an object, found {type(value).__name__}")
    return value


def _hex(value: object, field: str) -> bytes:
    if not isinstance(value, str):
        raise InvalidKeystore(f"{field}: expected hex digits, found {type(value).__name__}")
    try:
        return bytes.fromhex(value.removeprefix("0x"))
    except ValueError as error:
        raise InvalidKeystore(f"{field}: expected hex digits") from error


def _number(parameters: dict[str, Any], field: str, maximum: int) -> int:
    value = parameters.get(field)
    if type(value) is not int or not 1 <= value <= maximum:
        raise InvalidKeystore(f"crypto.kdfparams.{field}: expected 1 to {maximum}, found {value!r}")
    return value
