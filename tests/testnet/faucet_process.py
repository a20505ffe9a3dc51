"""A process that pays once and is killed at a chosen point: `python -m tests.testnet.faucet_process URL DATABASE ADDRESS[,ADDRESS...] POINT`.

With one address it asks for tokens; for several it promises each a payout, and pays them in one transaction. Where it is to die at a second
signature, the first is lost on its way, and its fee is raised at once.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import sys
from typing import Any

from metanode.crypto.addresses import parse_address
from sdk.testnet.faucet import Faucet, FaucetConfig, paying
from sdk.testnet.faucet import node as faucet_node
from sdk.testnet.faucet.client_address import origin_of
from sdk.testnet.faucet.ledger import Ledger
from sdk.testnet.faucet.node import PayingNode
from sdk.testnet.faucet.payout import Payout
from sdk.testnet.faucet.quotas import Asker

POINTS = tuple(
    f"{when} {what}"
    for what in ("promise", "sign", "send", "mark_sent", "replace", "settle")
    for when in ("before", "after")
)
"""Every change of a payout's state, and the sending between two of them."""

PATIENCE_S = 40.0
"""A node on a machine that stood still for a while answers late; that is not what these tests are about."""


def die_at(point: str) -> None:
    """Make a call the last one of this process."""
    when, what = point.split()
    owner: Any = PayingNode if what == "send" else Ledger
    found = getattr(owner, what)

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    async def call_async(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            die()
        answer = await found(*args, **kwargs)
        die()
        return answer

    def call(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            die()
        answer = found(*args, **kwargs)
        die()
        return answer

    setattr(owner, what, call_async if asyncio.iscoroutinefunction(found) else call)


def lose_what_is_sent() -> None:
    """The node says that it has a transaction, and forgets it: what is sent is in no block, and its fee is raised."""

    async def send(*_: Any) -> None:
        return None

    vars(paying)["RAISE_FEE_BLOCKS"] = 0
    setattr(PayingNode, "send", send)  # noqa: B010 - mypy takes no other method in its place


async def main(url: str, database: str, address: str, point: str) -> None:
    """Ask for tokens, go on as `Faucet.run` does, and die."""
    recipients = address.split(",")
    vars(faucet_node)["TIMEOUT_S"] = PATIENCE_S
    if point.endswith("replace"):
        lose_what_is_sent()
    async with Faucet(FaucetConfig(rpc_url=url, database_url=database)) as faucet:
        if len(recipients) == 1:
            die_at(point)
            await faucet.request_tokens(address, "198.51.100.7")
        else:
            promise_all(faucet, recipients)
            die_at(point)
        while True:
            await faucet.settle()
            await asyncio.sleep(0.05)


def promise_all(faucet: Faucet, recipients: list[str]) -> None:
    """Promise each a payout, and sign nothing."""
    settings = faucet.operation.settings()
    for number, one in enumerate(recipients):
        origin = origin_of(ipaddress.IPv4Address(0x0A00_0000 + (number << 8)))
        promised = faucet._till.promise(
            Asker(address=parse_address(one), origin=origin), settings.tokens_per_request, settings
        )
        assert isinstance(promised, Payout), promised


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
