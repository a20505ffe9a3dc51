"""`metanode node forget-pin`: let another node answer at an address whose first id was pinned (`metanode.p2p.pins`)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from metanode.errors import InvalidInput
from metanode.node.config import load_config
from metanode.node.genesis_source import find_genesis
from metanode.node.keys import load_validator_key
from metanode.storage.node_store import NodeStore

if TYPE_CHECKING:
    from pathlib import Path


def forget_pin(home: Path, address: str) -> bool:
    """Forget the node id pinned to `host:port` by the node in `home`, which may be running; return whether there was one.

    Raises:
        MetanodeError: when the configuration or the database can't be read.
    """
    config = load_config([home / "config.toml"]).config
    key, _ = load_validator_key(config.validator, home=home)
    found = find_genesis(config, home=home, genesis_file=None, own_address=key.address if key else None)
    path = home / (config.storage.directory or "data") / "node.db"
    if not path.exists():
        raise InvalidInput(f"{path} does not exist; the node has pinned nothing yet")
    store = NodeStore.open(path, found.genesis)
    try:
        return asyncio.run(store.forget_pin(address))
    finally:
        store.close()
