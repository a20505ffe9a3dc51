"""`python -m sdk.testnet.deployment.vote ADDRESS [--remove]`: let the validator of this container vote to take somebody in, or out."""

from __future__ import annotations

import argparse
import asyncio
import sys

from metanode.crypto.addresses import format_address, parse_address
from metanode.errors import MetanodeError
from metanode.rpc.client import open_client
from sdk.testnet.deployment.deployment_plan import PRIVATE_PORT

TIMEOUT_S = 10.0


def main() -> int:
    """Propose the vote to the node on this container's loopback; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sdk.testnet.deployment.vote", description=__doc__)
    parser.add_argument("address", help="the validator's address")
    parser.add_argument("--remove", action="store_true", help="vote it out")
    parser.add_argument("--port", type=int, default=PRIVATE_PORT, help="of the node's private calls")
    arguments = parser.parse_args()
    try:
        address = format_address(parse_address(arguments.address))
        asyncio.run(_propose(arguments.port, address, add=not arguments.remove))
    except MetanodeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"voting to {'remove' if arguments.remove else 'add'} {address}\n")
    return 0


async def _propose(port: int, address: str, *, add: bool) -> None:
    async with open_client(f"http://127.0.0.1:{port}", timeout_s=TIMEOUT_S) as client:
        await client.call("ibft_proposeValidatorVote", address, add)


if __name__ == "__main__":
    sys.exit(main())
