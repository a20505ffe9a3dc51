"""A node's directory, for commands that work on a stopped node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from metanode.node.config import load_config
from metanode.node.genesis_source import find_genesis
from metanode.node.keys import load_validator_key

if TYPE_CHECKING:
    from pathlib import Path

    from metanode.chain.genesis import Genesis


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeHome:
    """Where a node keeps its data, and which network it is of."""

    data: Path
    genesis: Genesis
    document: bytes
    """The genesis file, which the engine reads too."""


def open_home(home: Path) -> NodeHome:
    """Read configuration and genesis of the node in `home`. Raises InvalidInput."""
    config = load_config([home / "config.toml"]).config
    # A key file may want a password, and is of use only where there is no genesis file.
    has_genesis = (home / "genesis.json").exists()
    key = None if has_genesis else load_validator_key(config.validator, home=home)[0]
    found = find_genesis(config, home=home, genesis_file=None, own_address=key.address if key else None)
    return NodeHome(
        data=home / (config.storage.directory or "data"), genesis=found.genesis, document=found.document
    )
