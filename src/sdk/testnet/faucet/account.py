"""The key that pays: from a key file, or from the environment; never from an argument."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from metanode.crypto.keystore import load_key, read_secret_file
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput, InvalidSignature

if TYPE_CHECKING:
    from sdk.testnet.faucet.configuration import FaucetConfig


def load_account(config: FaucetConfig) -> PrivateKey:
    """Return the key of the account that pays.

    Raises:
        InvalidInput: when there is none, or it can't be read; the message never holds a part of it.
    """
    if config.keystore is not None:
        password_file = config.password_file or config.keystore.with_suffix(".password")
        password = read_secret_file(password_file).decode(errors="replace").strip()
        return load_key(config.keystore, password)
    text = os.environ.get(config.private_key_variable, "").strip()
    if not text:
        raise InvalidInput(
            f"keystore: a faucet that pays on {config.rpc_url} needs a key; give a key file, or a hexadecimal key in the environment variable "
            f"{config.private_key_variable}"
        )
    try:
        return PrivateKey(bytes.fromhex(text.removeprefix("0x")))
    except (ValueError, InvalidSignature):
        raise InvalidInput(
            f"{config.private_key_variable}: expected a private key of 64 hexadecimal digits"
        ) from None
