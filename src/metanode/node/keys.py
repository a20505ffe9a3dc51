"""The validator's key and the node's own key, found where the configuration says."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from metanode.crypto.keystore import load_key, read_secret_file, write_secret_file
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

    from metanode.node.config import ValidatorSection

KEYSTORE_PREFIX = "keystore:"


def load_validator_key(section: ValidatorSection, *, home: Path) -> tuple[PrivateKey | None, tuple[str, ...]]:
    """The key, and what its owner should be warned of; None when this node validates nothing.

    Blocks for the key derivation of a keystore, up to a second: call it outside the event loop.

    Raises:
        InvalidInput: when the key can't be had; the sentence says which file or key, and never the key itself.
    """
    if not section.enabled or section.validator_key is None:
        return None, ()
    text = section.validator_key.get_secret_value()
    if text.startswith(KEYSTORE_PREFIX):
        path = home / text.removeprefix(KEYSTORE_PREFIX)
        password_file = home / (section.password_file or path.with_suffix(".password"))
        password = read_secret_file(password_file).decode(errors="replace").strip()
        return load_key(path, password), ()
    digits = text.removeprefix("0x")
    try:
        key = PrivateKey(bytes.fromhex(digits))
    except (ValueError, InvalidInput):
        raise InvalidInput(
            f"validator.validator_key: found {len(digits)} characters that are no key; "
            "expected keystore:PATH, or 64 hexadecimal digits from an environment variable"
        ) from None
    warning = (
        "validator.validator_key: a plain key from the environment can be read by every process of this user; "
        "`metanode keys import` makes a keystore, then write keystore:PATH"
    )
    return key, (warning,)


def load_node_key(path: Path) -> PrivateKey:
    """The node's own key, made when the file does not exist yet.

    Raises:
        InvalidInput: when the file holds something else, or others may read it.
    """
    if not path.exists():
        write_secret_file(path, secrets.token_bytes(32).hex().encode() + b"\n")
    text = read_secret_file(path).decode(errors="replace").strip()
    try:
        return PrivateKey(bytes.fromhex(text))
    except (ValueError, InvalidInput):
        raise InvalidInput(
            f"{path}: found {len(text)} characters that are no key; expected 64 hexadecimal digits"
        ) from None
