"""The services' own program, whose indexer writes a block a transaction and tells each on a line: `python -m tests.testnet.services_process CONFIG`."""

from __future__ import annotations

import sys
from pathlib import Path

import structlog

from sdk.testnet.services.heads import Heads
from sdk.testnet.services.indexer import node
from sdk.testnet.services.program import run_services


class TellingHeads(Heads):
    """Says on a line what it tells the sites."""

    def tell(self, number: int) -> None:
        """Tell it, here too."""
        super().tell(number)
        print(number, flush=True)  # noqa: T201 - it is read: a number a line


def main(config: str) -> None:
    """Run the services until killed."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    node.BLOCKS_MAX = 1
    # What the program opens is imported when it is.
    sys.modules["sdk.testnet.services.heads"].Heads = TellingHeads  # type: ignore[attr-defined]
    run_services(Path(config))


if __name__ == "__main__":
    main(*sys.argv[1:])
