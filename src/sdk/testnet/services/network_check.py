"""Whether the nodes are of the network that the configuration names: services of another chain would show its coins under this one's name."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from metanode.errors import InvalidInput, MetanodeError
from metanode.primitives.hexadecimal import decode_quantity
from metanode.rpc.client import open_client
from sdk.testnet.services.failures import raise_first

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT_S: Final = 5.0
PAUSE_S: Final = 5.0
"""Until a node that did not answer is asked again."""


async def check_network(urls: Sequence[str], chain_id: int) -> None:
    """Return when every node has said that it is of this chain; who does not answer is waited for.

    Raises:
        InvalidInput: when one says another, with what to change.
    """
    with raise_first():
        async with asyncio.TaskGroup() as tasks:
            for place, url in enumerate(urls):
                tasks.create_task(_check(place, url, chain_id), name=f"chain of node {place + 1}")


async def _check(place: int, url: str, chain_id: int) -> None:
    found: int | None = None
    async with open_client(url, timeout_s=TIMEOUT_S) as node:
        while found is None:
            try:
                found = decode_quantity(await node.call("eth_chainId"))
            except (MetanodeError, TypeError):
                await asyncio.sleep(PAUSE_S)
    if found != chain_id:
        # By its place: an address may hold a key.
        raise InvalidInput(
            f"network.chain_id: found {chain_id}, and network.rpc_urls[{place}] is a node of chain {found}; "
            "set the chain id of your network, or name its nodes"
        )
