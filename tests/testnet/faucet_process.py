"""A process that pays once and is killed at a chosen point: `python -m tests.testnet.faucet_process URL DATABASE ADDRESS POINT`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from sdk.testnet.faucet import Faucet, FaucetConfig
from sdk.testnet.faucet.ledger import Ledger
from sdk.testnet.faucet.node import PayingNode

POINTS = tuple(
    f"{when} {what}" for what in ("promise", "sign", "send", "mark_sent") for when in ("before", "after")
)


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


async def main(url: str, database: str, address: str, point: str) -> None:
    """Ask for tokens, and die."""
    die_at(point)
    async with Faucet(FaucetConfig(rpc_url=url, database_url=database)) as faucet:
        await faucet.request_tokens(address, "198.51.100.7")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
