"""How late blocks come, of looks that fall anywhere between them. Pure."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk.testnet.monitoring.observation import Block


@dataclass(slots=True)
class Lateness:
    """Follows the newest block from look to look.

    The age of the newest block at a look is any part of a period, and wanders slowly where looks are as far apart as blocks: it tells nothing of a
    healthy network. What blocks waited for their turn does: a period as long as all is well, and more at once when something is not.
    """

    _head: int = -1
    _decided_at_s: float = 0.0
    """When the newest block was decided, on the monitor's clock."""
    _waited_s: float = 0.0
    """How old the block before had become by then; of several that came between two looks, the one that was followed latest."""

    def follow(self, head: int, age_s: float, *, at_s: float, blocks: Sequence[Block]) -> float:
        """Return the age that the newest block has now, or the one before had when its next came, whichever is more.

        Args:
            head: The number of the newest block.
            age_s: Seconds since it was decided.
            at_s: Now.
            blocks: Those that came since the last look, in their order, with the last that was known before.
        """
        if head != self._head:
            decided_at_s = at_s - age_s
            came = head - self._head
            if self._head < 0 or came < 0:
                self._waited_s = 0.0
            else:
                # Of one block the nodes' own clocks tell; of several, who looked late knows no more than their timestamps, in whole seconds.
                by_time = [
                    float(after.timestamp - before.timestamp) for before, after in itertools.pairwise(blocks)
                ]
                mean_s = (decided_at_s - self._decided_at_s) / came
                self._waited_s = mean_s if came == 1 else max([mean_s, *by_time])
            self._head, self._decided_at_s = head, decided_at_s
        return max(self._waited_s, age_s)
