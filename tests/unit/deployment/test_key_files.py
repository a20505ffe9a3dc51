"""Key files with a password beside them: how dear a guess of the password is, and what is never made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from metanode.crypto.keystore import SCRYPT_N_DEFAULT, SCRYPT_N_LOCAL, load_key, write_secret_file
from metanode.errors import InvalidInput
from sdk.testnet.keys import keep_key, new_key, take_key, take_password

if TYPE_CHECKING:
    from pathlib import Path


def work_factor(keystore: Path) -> int:
    found: int = json.loads(keystore.read_bytes())["crypto"]["kdfparams"]["n"]
    return found


def test_a_password_of_192_random_bits_needs_no_dear_derivation(tmp_path: Path) -> None:
    key = take_key(tmp_path / "key.json", tmp_path / "key.password")

    assert work_factor(tmp_path / "key.json") == SCRYPT_N_LOCAL
    # 24 bytes in base64: nobody counts to 2**192, whatever one guess costs.
    assert len(take_password(tmp_path / "key.password")) == 32
    assert take_key(tmp_path / "key.json", tmp_path / "key.password").secret == key.secret


def test_a_password_that_somebody_else_has_thought_of_makes_every_guess_dear(tmp_path: Path) -> None:
    write_secret_file(tmp_path / "key.password", b"correct horse\n")

    key = take_key(tmp_path / "key.json", tmp_path / "key.password")

    assert work_factor(tmp_path / "key.json") == SCRYPT_N_DEFAULT
    assert load_key(tmp_path / "key.json", "correct horse").secret == key.secret


@pytest.mark.parametrize("content", [b"", b"\n", b"  \n"])
def test_an_empty_password_encrypts_nothing(tmp_path: Path, content: bytes) -> None:
    write_secret_file(tmp_path / "key.password", content)

    with pytest.raises(InvalidInput, match=r"key\.password: empty; expected a password"):
        keep_key(tmp_path / "key.json", tmp_path / "key.password", new_key())

    assert not (tmp_path / "key.json").exists()
