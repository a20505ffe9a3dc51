"""Key files with a password beside them: taken up where they are, made where they are not, never replaced."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

from metanode.crypto.addresses import parse_address
from metanode.crypto.keystore import (
    SCRYPT_N_DEFAULT,
    SCRYPT_N_LOCAL,
    load_key,
    read_secret_file,
    save_key,
    write_secret_file,
)
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

    from metanode.primitives.types import Address


def new_key() -> PrivateKey:
    """A key that nobody has."""
    return PrivateKey(secrets.token_bytes(32))


def take_password(path: Path) -> str:
    """The password in a file, which is made when it is not there."""
    if not path.exists():
        write_secret_file(path, secrets.token_urlsafe(24).encode() + b"\n")
    return read_secret_file(path).decode(errors="replace").strip()


def take_key(keystore: Path, password_file: Path) -> PrivateKey:
    """The key of a keystore, both of which are made when neither is there.

    Raises:
        InvalidInput: when a keystore is there without its password: nothing is made in its place.
    """
    if keystore.exists():
        if not password_file.exists():
            raise InvalidInput(
                f"{password_file}: missing, while {keystore} is there; put the password back, or move the keystore away to "
                "have a new key made"
            )
        return load_key(keystore, take_password(password_file))
    key = new_key()
    keep_key(keystore, password_file, key)
    return key


def keep_key(keystore: Path, password_file: Path, key: PrivateKey) -> None:
    """Write a keystore of `key` for the password in a file, which is made when it is not there.

    Raises:
        InvalidInput: when the file is there and has nothing in it.
    """
    # Ours has 192 random bits, to which a higher work factor adds nothing. What somebody else has thought of may be a word (ADR 34).
    scrypt_n = SCRYPT_N_DEFAULT if password_file.exists() else SCRYPT_N_LOCAL
    # The password is first: a keystore without one is a lost key. Who is interrupted between the two goes on with it.
    password = take_password(password_file)
    if not password:
        raise InvalidInput(
            f"{password_file}: empty; expected a password, or no such file, and one is made up"
        )
    save_key(keystore, key, password, scrypt_n=scrypt_n)


def read_account(keystore: Path) -> Address:
    """The address of a keystore, as it says it without the password; raises InvalidInput."""
    try:
        return parse_address("0x" + json.loads(keystore.read_bytes())["address"].removeprefix("0x"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{keystore}: expected a keystore with an address: {error}") from None
