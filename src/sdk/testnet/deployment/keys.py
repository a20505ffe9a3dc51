"""The keys of a deployment: taken up where their files are, made where they are not, never replaced.

DATA/NAME/validator.json       keystore of a validator (DATA/faucet/faucet.json of the faucet's account)
DATA/NAME/nodekey              the key by which peers know the node
SECRETS/NAME.password          what opens the keystore; apart from it, so that a copy of one folder is useless
"""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

from metanode.crypto.keystore import (
    SCRYPT_N_LOCAL,
    load_key,
    read_secret_file,
    save_key,
    write_secret_file,
)
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput
from metanode.node.keys import load_node_key
from sdk.testnet.deployment.deployment_plan import Identity, Owner

if TYPE_CHECKING:
    from pathlib import Path

SERVICE_OWNER = Owner(10001, 10001)
"""Whom containers run as when root deploys."""


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
        return load_key(keystore, read_secret_file(password_file).decode(errors="replace").strip())
    # The password is first: a keystore without one is a lost key. Who is interrupted between the two goes on with it.
    password = take_password(password_file)
    key = PrivateKey(secrets.token_bytes(32))
    # The password has 192 bits, so a higher work factor would add nothing.
    save_key(keystore, key, password, scrypt_n=SCRYPT_N_LOCAL)
    return key


def take_validator(home: Path, password_file: Path) -> Identity:
    """The identity of a validator whose files are in `home`."""
    key = take_key(home / "validator.json", password_file)
    return Identity(validator=key.address, public_key=key.public_key, node_id=take_node(home))


def take_follower(home: Path) -> Identity:
    """The identity of a node without a validator key."""
    return Identity(validator=None, public_key=None, node_id=take_node(home))


def take_node(home: Path) -> bytes:
    """The node id of a node's own key."""
    return load_node_key(home / "nodekey").public_key


def owner_of(data: Path) -> Owner:
    """Whom `data` belongs to, or will: its owner if it exists and is not root, else whoever deploys, else the fixed user."""
    with contextlib.suppress(FileNotFoundError):
        found = data.stat()
        if found.st_uid != 0:
            return Owner(found.st_uid, found.st_gid)
    return Owner(os.getuid(), os.getgid()) if os.getuid() != 0 else SERVICE_OWNER


def give(path: Path, owner: Owner) -> None:
    """Let a file or a tree belong to `owner`, where root runs this; others own what they make."""
    if os.getuid() != 0 or not path.exists():
        return
    for found in [path, *(path.rglob("*") if path.is_dir() else ())]:
        # A chain that runs deletes files of its database now and then.
        with contextlib.suppress(FileNotFoundError):
            status = found.lstat()
            if (status.st_uid, status.st_gid) != (owner.user, owner.group):
                os.chown(found, owner.user, owner.group, follow_symlinks=False)
