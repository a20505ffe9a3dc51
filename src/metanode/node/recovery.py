"""`metanode node recover`: rewind an engine that is ahead of every certificate that can be had, and set a fork's proof aside.

A fork's proof is set aside on the nodes whose chain stands, after people have agreed on it and stopped the others. An engine
is ahead when node.db was lost or restored from a backup while the engine was not, and no peer has the certificates any more. With peers,
never rewind: the node fetches the certificates and compares by itself.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metanode.errors import InvalidInput, StorageFailed
from metanode.execution.embedded import EmbeddedOptions, open_embedded
from metanode.node.config import load_config
from metanode.node.genesis_source import find_genesis
from metanode.node.keys import load_validator_key
from metanode.storage.node_store import NodeStore

if TYPE_CHECKING:
    from pathlib import Path

    from metanode.chain.genesis import Genesis
    from metanode.consensus.fork import Fork


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryPlan:
    """What recovering would do to a stopped node."""

    data: Path
    genesis: Genesis
    genesis_document: bytes
    decided_height: int
    """The highest height with a certificate in node.db."""
    engine_height: int
    fork: Fork | None
    """Why the node has halted."""

    @property
    def is_engine_ahead(self) -> bool:
        """Whether the engine has blocks that no certificate here proves."""
        return self.engine_height > self.decided_height

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to do."""
        return self.is_engine_ahead or self.fork is not None

    def describe(self) -> str:
        """The plan, a sentence for each part."""
        if not self.is_needed:
            return f"nothing to do: node.db has certificates up to {self.decided_height}, the engine is at {self.engine_height}"
        parts = []
        if self.fork is not None:
            parts.append(
                f"two blocks are decided at height {self.fork.height}: the proof would be set aside, and this node would go on with "
                f"0x{self.fork.ours.block_hash.hex()}, without 0x{self.fork.other.block_hash.hex()}. Every node that holds the other one "
                "must have been stopped, or this one halts again"
            )
        if self.is_engine_ahead:
            parts.append(self._describe_rewind())
        return "\n".join(parts)

    def _describe_rewind(self) -> str:
        return (
            f"the engine is at {self.engine_height}, node.db has certificates up to {self.decided_height} only: "
            f"{self.engine_height - self.decided_height} blocks would be forgotten, and may be decided differently"
        )


def plan_recovery(home: Path) -> RecoveryPlan:
    """Compare node.db and engine of the stopped node in `home`.

    Raises:
        MetanodeError: when the node runs, or a part can't be opened.
    """
    config = load_config([home / "config.toml"]).config
    key, _ = load_validator_key(config.validator, home=home)
    found = find_genesis(config, home=home, genesis_file=None, own_address=key.address if key else None)
    data = home / (config.storage.directory or "data")
    if not (data / "node.db").exists():
        raise InvalidInput(f"{data / 'node.db'} does not exist; nothing to recover")
    store = NodeStore.open(data / "node.db", found.genesis)
    try:
        decided_height, engine_height, fork = asyncio.run(_look(store, data, found.document))
    except StorageFailed as error:
        if "Locked" in str(error):  # The store's own word for data that another process has open.
            raise InvalidInput(f"{data} is in use: stop the node first") from None
        raise
    finally:
        store.close()
    return RecoveryPlan(
        data=data, genesis=found.genesis, genesis_document=found.document,
        decided_height=decided_height, engine_height=engine_height, fork=fork,
    )  # fmt: skip


def recover_node(plan: RecoveryPlan) -> None:
    """Carry the plan out: the engine first, so that a node that is asked to go on can."""
    if plan.is_engine_ahead:
        asyncio.run(_rewind(plan))
    if plan.fork is not None:
        store = NodeStore.open(plan.data / "node.db", plan.genesis)
        try:
            asyncio.run(store.forget_fork())
        finally:
            store.close()


async def _look(store: NodeStore, data: Path, document: bytes) -> tuple[int, int, Fork | None]:
    stored = await store.load()
    async with open_embedded(document, EmbeddedOptions(path=data / "engine")) as execution:
        return stored.header.height, (await execution.head()).number, stored.fork


async def _rewind(plan: RecoveryPlan) -> None:
    async with open_embedded(plan.genesis_document, EmbeddedOptions(path=plan.data / "engine")) as execution:
        await execution.rewind(plan.decided_height)
