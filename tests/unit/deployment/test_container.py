"""What a container's environment tells its node."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from metanode.crypto.keystore import save_key, write_secret_file
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput
from sdk.testnet.deployment.container import overlay_of

if TYPE_CHECKING:
    from pathlib import Path

KEY = PrivateKey(b"\x07" * 32)


def test_an_empty_environment_says_nothing() -> None:
    assert overlay_of({"VALIDATOR_KEY": "", "PATH": "/bin"}) == ""


def test_network_and_chain_are_told() -> None:
    text = overlay_of({"NETWORK": "testnet", "CHAIN_ID": "1337"})

    assert tomllib.loads(text) == {"network": {"network": "testnet", "chain_id": 1337}}


@pytest.mark.parametrize("chain_id", ["0x539", "12 34", "-1", "١٣"])
def test_a_chain_id_that_is_no_number_is_named(chain_id: str) -> None:
    with pytest.raises(InvalidInput, match="CHAIN_ID: expected a whole number"):
        overlay_of({"CHAIN_ID": chain_id})


def test_a_keystore_is_named_and_not_copied(tmp_path: Path) -> None:
    save_key(tmp_path / "key.json", KEY, "password", scrypt_n=2)
    environment = {
        "VALIDATOR_KEY_FILE": str(tmp_path / "key.json"),
        "VALIDATOR_PASSWORD_FILE": "/run/secrets/password",
    }

    assert tomllib.loads(overlay_of(environment))["validator"] == {
        "enabled": True,
        "validator_key": f"keystore:{tmp_path}/key.json",
        "password_file": "/run/secrets/password",
    }


@pytest.mark.parametrize("by_file", [True, False])
def test_a_plain_key_never_reaches_the_text(tmp_path: Path, *, by_file: bool) -> None:
    environment = {"VALIDATOR_KEY": KEY.secret.hex()}
    if by_file:
        write_secret_file(tmp_path / "key", environment.pop("VALIDATOR_KEY").encode() + b"\n")
        environment["VALIDATOR_KEY_FILE"] = str(tmp_path / "key")

    text = overlay_of(environment)

    assert tomllib.loads(text)["validator"] == {"enabled": True, "validator_key": "${VALIDATOR_KEY}"}
    assert KEY.secret.hex() not in text
    assert environment["VALIDATOR_KEY"] == KEY.secret.hex()


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY.secret.hex())
    (tmp_path / "key").chmod(0o644)

    with pytest.raises(InvalidInput, match=r"VALIDATOR_KEY_FILE: .*others may read it"):
        overlay_of({"VALIDATOR_KEY_FILE": str(tmp_path / "key")})


def test_the_password_of_the_database_comes_from_its_file(tmp_path: Path) -> None:
    write_secret_file(tmp_path / "password", b"hidden\n")
    environment = {"DB_PASSWORD_FILE": str(tmp_path / "password")}

    assert overlay_of(environment) == ""
    assert environment["DB_PASSWORD"] == "hidden"
