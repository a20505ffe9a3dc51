"""The commands' door to a node's JSON-RPC: `metanode.rpc.client`, one call at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from metanode.errors import InvalidInput, Unavailable
from metanode.rpc.client import open_client
from metanode.rpc.errors import JSONRPCError, NodeFault, NodeUnreachable

if TYPE_CHECKING:
    from collections.abc import Sequence


def call(url: str, method: str, *params: Any) -> Any:
    """Call `method` at `url` and return its result.

    Raises:
        InvalidInput: when the node refuses; its text is passed on.
        Unavailable: when the node does not answer, or could not serve the call.
    """
    return batch(url, [(method, params)])[0]


def batch(url: str, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
    """Make several calls at once and return their results; the first refusal is raised as in `call`."""
    try:
        results = asyncio.run(_batch(url, calls))
    except NodeUnreachable as error:
        raise Unavailable(f"{error}; is the network up? `metanode status` shows it") from None
    for (method, _), result in zip(calls, results, strict=True):
        if isinstance(result, JSONRPCError):
            raise InvalidInput(f"{method}: {result.message}")
        if isinstance(result, NodeFault):
            raise Unavailable(f"{method}: {result.message}")
    return results


async def _batch(url: str, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
    async with open_client(url) as client:
        return await client.batch(calls)
