"""Rates, as token buckets."""


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
