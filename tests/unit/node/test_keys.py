from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from metanode.crypto.keystore import SCRYPT_N_LOCAL, save_key, write_secret_file
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput
from metanode.node.config import ValidatorSection
from metanode.node.keys import load_node_key, load_validator_key

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "ac" * 32


def section(key: str, **settings: object) -> ValidatorSection:
    return ValidatorSection(enabled=True, validator_key=SecretStr(key), **settings)  # type: ignore[arg-type]


def test_a_plain_key_works_with_a_warning(tmp_path: Path) -> None:
    key, warnings = load_validator_key(section("0x" + SECRET), home=tmp_path)

    assert key is not None
    assert key.secret.hex() == SECRET
    assert "keystore:PATH" in warnings[0]


def test_a_keystore_is_opened_with_the_password_beside_it(tmp_path: Path) -> None:
    write_secret_file(tmp_path / "validator.password", b"correct horse\n")
    save_key(
        tmp_path / "validator.json",
        PrivateKey(bytes.fromhex(SECRET)),
        "correct horse",
        scrypt_n=SCRYPT_N_LOCAL,
    )

    key, warnings = load_validator_key(section("keystore:validator.json"), home=tmp_path)

    assert key is not None
    assert key.secret.hex() == SECRET
    assert warnings == ()


def test_a_node_that_does_not_validate_has_no_key(tmp_path: Path) -> None:
    assert load_validator_key(ValidatorSection(), home=tmp_path) == (None, ())


@pytest.mark.parametrize("text", ["", "12", "zz" * 32, "00" * 32, "keystore"])
def test_what_is_no_key_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInput, match=r"validator.validator_key: found") as caught:
        load_validator_key(section(text), home=tmp_path)

    assert not text or text not in str(caught.value).replace("keystore:PATH", "")


def test_a_missing_password_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"validator.password: No such file"):
        load_validator_key(section("keystore:validator.json"), home=tmp_path)


def test_the_node_s_key_is_made_once_and_private(tmp_path: Path) -> None:
    first, second = load_node_key(tmp_path / "nodekey"), load_node_key(tmp_path / "nodekey")

    assert first.address == second.address
    assert stat.S_IMODE((tmp_path / "nodekey").stat().st_mode) == 0o600
