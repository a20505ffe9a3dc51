"""What an indexer has counted since its process began: how long fetching and writing took, and what failed."""

from __future__ import annotations

from collections import Counter
from typing import Final, Literal

from sdk.testnet.counting import Durations

Stage = Literal["fetch", "write"]
Failure = Literal["block", "database", "node"]

STAGES: Final[tuple[Stage, ...]] = ("fetch", "write")
FAILURES: Final[tuple[Failure, ...]] = ("block", "database", "node")
"""What a node told could not be indexed; the database refused; the node did not answer, or is behind."""
BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class IndexWork:
    """Counters of one indexer; its event loop alone counts failures."""

    def __init__(self) -> None:
        self.durations: dict[Stage, Durations] = {stage: Durations(BOUNDS_S) for stage in STAGES}
        """Of groups of blocks; one block each while the index is at the head."""
        self.failures: Counter[Failure] = Counter(dict.fromkeys(FAILURES, 0))
        self.invalid_seals = 0
        """Seals in certificates of the chain that are not their validator's."""
