"""How many blocks of sync may be on their way to the disk and the execution client."""

from collections import deque
from typing import Final

from metanode.primitives.types import Height

IMPORTS_AHEAD_MAX: Final = 32
"""What the client takes in one go, twice."""
IMPORTS_AHEAD_BYTES: Final = 16 * 1024 * 1024
"""The same in bytes; one block may be larger."""


class ImportsAhead:
    """Imported blocks that are not final. Owner: the driver."""

    def __init__(self) -> None:
        self._blocks: deque[tuple[Height, int]] = deque()
        self._bytes = 0

    def add(self, height: Height, size_bytes: int) -> None:
        """Note a block that is being imported."""
        self._blocks.append((height, size_bytes))
        self._bytes += size_bytes

    def is_full(self, final: Height) -> bool:
        """Tell whether the next one has to wait, now that everything up to `final` is final."""
        while self._blocks and self._blocks[0][0] <= final:
            self._bytes -= self._blocks.popleft()[1]
        return len(self._blocks) > IMPORTS_AHEAD_MAX or (
            len(self._blocks) > 1 and self._bytes > IMPORTS_AHEAD_BYTES
        )
