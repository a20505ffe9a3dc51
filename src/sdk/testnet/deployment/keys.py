"""The keys of a deployment: taken up where their files are, made where they are not, never replaced.

DATA/NAME/validator.json       keystore of a validator (DATA/faucet/faucet.json of the faucet's account)
DATA/NAME/nodekey              the key by which peers know the node
SECRETS/NAME.password          what opens the keystore; apart from it, so that a copy of one folder is useless
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from metanode.node.keys import load_node_key
from sdk.testnet.deployment.deployment_plan import Identity, Owner
from sdk.testnet.keys import take_key

if TYPE_CHECKING:
    from pathlib import Path

SERVICE_OWNER = Owner(10001, 10001)
"""Whom containers run as when root deploys."""


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
