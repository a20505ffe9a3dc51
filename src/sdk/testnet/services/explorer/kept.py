"""What every reader of a page sees at one block: asked of the index by the first of them, and given to the others until the next block."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk.testnet.services.queries.statistics import IndexStatus

KEPT_S: Final = 5.0
"""How long an answer is given at most while no block comes: an account that the operator names meanwhile has its name then."""
NAMES_MAX: Final = 16
"""Answers of one head: each is some hundred rows of a list that everybody sees first."""

_Answer = TypeVar("_Answer")


@dataclass(slots=True)
class _Kept:
    """One answer; its lock is held while it is made, so that of many who come at once one asks."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    head: IndexStatus | None = None
    until_s: float = float("-inf")
    answer: Any = None


class OfHead:
    """Answers that change only with a block, by name. Used by any thread."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}

    def get(self, name: str, head: IndexStatus | None, make: Callable[[], _Answer]) -> _Answer:
        """Return what `make` says of this head, which was read from the same state of the index; what it raises is kept by nobody.

        `name` is one of at most 16, and always of the same question.
        """
        with self._lock:
            kept = self._kept.setdefault(name, _Kept())
            assert len(self._kept) <= NAMES_MAX, f"{name}: names are of questions, not of what is asked"
        with kept.lock:
            if kept.head != head or self._monotonic_s() >= kept.until_s:
                kept.answer = make()
                kept.head, kept.until_s = head, self._monotonic_s() + KEPT_S
            answer: _Answer = kept.answer
            return answer
