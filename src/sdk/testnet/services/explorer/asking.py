"""A call of a contract that changes nothing, on the newest state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metanode.crypto.addresses import format_address
from metanode.rpc.errors import ExecutionReverted
from sdk.testnet.services.explorer.abi import common
from sdk.testnet.services.explorer.decoding import Revert, decode_revert
from sdk.testnet.services.told import told_data

if TYPE_CHECKING:
    from sdk.testnet.services.node_pool import Node

GAS: Final = 10_000_000
"""Of a reading call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What a contract answered."""

    data: bytes
    revert: Revert | None
    """Why it refused; None of a call that went through."""


async def ask_contract(nodes: Node, address: bytes, data: bytes) -> Returned:
    """Return what a contract answers to a call's data.

    Raises:
        Unavailable: when no node answers, or not in a way that can be read.
        MetanodeError: when a node refuses, and the contract has not.
    """
    call = {"to": format_address(address), "data": f"0x{data.hex()}", "gas": hex(GAS)}
    try:
        return Returned(data=told_data(await nodes.call("eth_call", call, "latest")), revert=None)
    except ExecutionReverted as reverted:
        found = told_data(reverted.data) if isinstance(reverted.data, str) else b""
        return Returned(data=found, revert=decode_revert(found, (common(),)))
