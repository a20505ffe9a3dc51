"""`python -m sdk.testnet.bootstrap --config FILE`: a bootstrap node in a process of its own, until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from metanode.errors import MetanodeError
from sdk.testnet.bootstrap.configuration import BootstrapConfig
from sdk.testnet.bootstrap.node import run_bootstrap


async def _run(config: BootstrapConfig) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(run_bootstrap(config), name="bootstrap node")
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()


def main() -> int:
    """Run until told to end; 0 then, 1 with a sentence when it can't be."""
    parser = argparse.ArgumentParser(prog="python -m sdk.testnet.bootstrap", description=__doc__)
    parser.add_argument("--config", required=True, help="TOML file, see docs/reference/toolkit-bootstrap.md")
    arguments = parser.parse_args()
    try:
        asyncio.run(_run(BootstrapConfig.load(arguments.config)))
    except MetanodeError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the command's one word
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
