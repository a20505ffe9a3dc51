"""Rates: as token buckets, as a time since the last try, and of lines in the log."""

from collections import OrderedDict


class TokenBucket:
    """Lets `per_s` tokens through a second, and `burst` at once after a pause."""

    __slots__ = ("_at", "_burst", "_per_s", "_tokens")

    def __init__(self, *, per_s: float, burst: float, now: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, tokens: float, now: float) -> bool:
        """Take tokens if they are there; return whether they were."""
        self._refill(now)
        if self._tokens < tokens:
            return False
        self._tokens -= tokens
        return True

    def owe(self, tokens: float, now: float) -> float:
        """Take tokens in any case; return after how many seconds the debt is paid, 0 when there is none."""
        self._refill(now)
        self._tokens -= tokens
        return max(0.0, -self._tokens / self._per_s)

    def _refill(self, now: float) -> None:
        # A clock that goes back gives nothing and takes nothing.
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._per_s)
        self._at = now


class LastTimes:
    """Lets a name through once in an interval; remembers a bounded number of names, those tried last."""

    def __init__(self, interval_s: float, names_max: int) -> None:
        self._interval_s = interval_s
        self._names_max = names_max
        self._at: OrderedDict[str, float] = OrderedDict()

    def take(self, name: str, now: float) -> bool:
        """Note a try; return whether the one before is an interval ago."""
        before = self._at.get(name)
        self._at[name] = now
        self._at.move_to_end(name)
        if len(self._at) > self._names_max:
            self._at.popitem(last=False)
        return before is None or now >= before + self._interval_s


class Saying:
    """Lets so many lines of a log through as a person reads, and counts what it left out."""

    def __init__(self, *, per_s: float, burst: float) -> None:
        self._bucket = TokenBucket(per_s=per_s, burst=burst, now=0.0)
        self._left_out = 0

    def take(self, now: float) -> int | None:
        """Return how many lines were left out before this one; None when it is to be left out too."""
        if not self._bucket.take(1, now):
            self._left_out += 1
            return None
        left_out, self._left_out = self._left_out, 0
        return left_out
