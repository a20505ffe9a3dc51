"""Key files are those of every wallet, and safe on disk."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import eth_keyfile
import pytest

from metanode.crypto import keystore
from metanode.crypto.addresses import format_address
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidKeystore

KEY = PrivateKey(b"\x07" * 32)
LIGHT = 2


@pytest.fixture
def content() -> dict[str, Any]:
    return keystore.encrypt_key(KEY, "open", scrypt_n=LIGHT)


@pytest.mark.parametrize(
    "file", ["ethereum-tests/KeyStoreTests/basic_tests.json", "vectors/keystore/v3_test_vector.json"]
)
def test_official_key_files_open(vector: Callable[[str], bytes], file: str) -> None:
    for name, case in json.loads(vector(file)).items():
        key = keystore.decrypt_key(case["json"], case["password"])
        assert key.secret == bytes.fromhex(case["priv"]).rjust(32, b"\0"), name


def test_eth_keyfile_opens_ours_and_we_open_its() -> None:
    ours = keystore.encrypt_key(KEY, "open", scrypt_n=LIGHT)
    assert eth_keyfile.decode_keyfile_json(ours, b"open") == KEY.secret
    theirs = eth_keyfile.create_keyfile_json(KEY.secret, b"open", kdf="pbkdf2", iterations=10)
    assert keystore.decrypt_key(theirs, "open").secret == KEY.secret


def test_a_saved_key_loads_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "validator.json"
    keystore.save_key(path, KEY, "open", scrypt_n=LIGHT)
    assert keystore.load_key(path, "open").address == KEY.address
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["validator.json"]
    assert KEY.secret.hex() not in path.read_text()


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "validator.json"
    keystore.save_key(path, KEY, "open", scrypt_n=LIGHT)
    before = path.read_bytes()
    with pytest.raises(InvalidKeystore, match="exists already"):
        keystore.save_key(path, PrivateKey(b"\x08" * 32), "open", scrypt_n=LIGHT)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_pipe_in_the_place_of_a_key_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key.json", 0o600)
    with pytest.raises(InvalidKeystore, match="expected a regular file"):
        keystore.load_key(tmp_path / "key.json", "password")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_file_that_others_can_read_is_refused_with_the_repair(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "validator.json"
    keystore.save_key(path, KEY, "open", scrypt_n=LIGHT)
    path.chmod(mode)
    with pytest.raises(InvalidKeystore, match="chmod 600"):
        keystore.load_key(path, "open")


def test_a_wrong_password_says_so(content: dict[str, Any]) -> None:
    with pytest.raises(InvalidKeystore, match="password"):
        keystore.decrypt_key(content, "shut")


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("n", 1 << 24, "the limit is 1073741824"),
        ("n", 1 << 60, "expected 1 to"),
        ("n", 3, "power of two"),
        ("n", 0, "expected 1 to"),
        ("n", "2", "expected 1 to"),
        ("n", True, "expected 1 to"),
        ("r", 1 << 29, "the limit is"),
        ("p", 17, "expected 1 to 16"),
        ("dklen", 16, "expected 32"),
        ("salt", "zz", "hex digits"),
        ("salt", None, "hex digits"),
    ],
)
def test_costly_and_malformed_scrypt_parameters_are_refused_before_work(
    content: dict[str, Any], field: str, value: object, found: str
) -> None:
    content["crypto"]["kdfparams"][field] = value
    with pytest.raises(InvalidKeystore, match=rf"kdfparams.*{found}"):
        keystore.decrypt_key(content, "open")


def test_pbkdf2_iterations_are_bounded(content: dict[str, Any]) -> None:
    content["crypto"]["kdf"] = "pbkdf2"
    content["crypto"]["kdfparams"] = {"dklen": 32, "c": 10**10, "prf": "hmac-sha256", "salt": "00"}
    with pytest.raises(InvalidKeystore, match=r"kdfparams\.c"):
        keystore.decrypt_key(content, "open")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("version",), 4, "version: expected 3"),
        (("crypto",), [], "crypto: expected an object"),
        (("crypto", "cipher"), "aes-256", r"crypto\.cipher"),
        (("crypto", "cipherparams"), None, "cipherparams"),
        (("crypto", "cipherparams", "iv"), "00", "16 bytes"),
        (("crypto", "ciphertext"), "", "ciphertext"),
        (("crypto", "mac"), "00", "password"),
        (("crypto", "kdf"), "argon2", r"crypto\.kdf"),
        (("address",), "00" * 20, "address: the key belongs to"),
    ],
)
def test_every_wrong_field_is_named(
    content: dict[str, Any], path: tuple[str, ...], value: object, message: str
) -> None:
    parent = content
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    with pytest.raises(InvalidKeystore, match=message):
        keystore.decrypt_key(content, "open")


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "{}", "[" * 60_000, "x" * 100_000])
def test_files_that_are_no_key_files_name_the_path(tmp_path: Path, text: str) -> None:
    path = tmp_path / "validator.json"
    keystore.write_secret_file(path, text.encode())
    with pytest.raises(InvalidKeystore, match=r"validator\.json"):
        keystore.load_key(path, "open")


def test_an_absent_file_and_a_folder_name_the_path(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(InvalidKeystore, match=str(path)):
            keystore.load_key(path, "open")


def presale_wallet(vector: Callable[[str], bytes]) -> tuple[dict[str, Any], str]:
    """The one of ethers.js, and its address."""
    wallets = json.loads(vector("vectors/ethers/wallets.json"))
    found = next(wallet for wallet in wallets if wallet["type"] == "crowdsale")
    return json.loads(found["content"]), found["address"]


def test_a_wallet_of_the_sale_of_2014_opens(vector: Callable[[str], bytes]) -> None:
    wallet, address = presale_wallet(vector)
    assert format_address(keystore.decrypt_key(wallet, "").address) == address


def test_a_wallet_of_the_sale_opens_with_its_password_and_whole_only(vector: Callable[[str], bytes]) -> None:
    wallet, _ = presale_wallet(vector)
    for password in ("x", "y", "z"):
        with pytest.raises(InvalidKeystore, match=r"password|ethaddr"):
            keystore.decrypt_key(wallet, password)
    for changed in (
        {"ethaddr": None},
        {"ethaddr": "00" * 20},
        {"encseed": wallet["encseed"][:-2]},
        {"encseed": "00" * 16},
        {"encseed": "00" * 2048},
        {"encseed": 1},
    ):
        with pytest.raises(InvalidKeystore, match=next(iter(changed))):
            keystore.decrypt_key({**wallet, **changed}, "")
