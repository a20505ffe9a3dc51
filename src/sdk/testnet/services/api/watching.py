"""Tells streams what no block says: alerts of the monitor that begin and end, and how claims of the faucet go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from metanode.errors import MetanodeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from sdk.testnet.services.api.parts import Parts

log = structlog.get_logger()

ALERTS_EVERY_S: Final = 1.0
"""The monitor judges every second or two."""
CLAIMS_EVERY_S: Final = 1.0
"""A claim takes some blocks."""
RETRY_S: Final = 5.0
"""After something that could not be looked at."""

Known = dict[tuple[str, ...], dict[str, Any]]
"""What was told last, by what it is of."""


async def tell_alerts(parts: Parts, alerts: Callable[[], Iterable[dict[str, Any]]]) -> None:
    """Publish `alert` with `state` firing or resolved, until cancelled; `alerts` gives what fires now."""

    async def look() -> Known:
        return {(one["name"], one["subject"]): one for one in alerts()}

    def tell(before: Known, now: Known) -> None:
        for key, one in now.items():
            # Its text may say a number that changes by the second: another severity is news.
            if key not in before or before[key]["severity"] != one["severity"]:
                parts.hub.publish("alert", {"state": "firing", **one})
        for key, one in before.items():
            if key not in now:
                parts.hub.publish("alert", {"state": "resolved", **one})

    await _watch(parts, look, tell, ALERTS_EVERY_S)


async def tell_claims(parts: Parts, payouts: Callable[[], Awaitable[Iterable[dict[str, Any]]]]) -> None:
    """Publish `claim` whenever one is new or has another state, until cancelled; `payouts` gives the newest, the newest first."""

    async def look() -> Known:
        return {(one["id"],): one for one in await payouts() if one["id"] is not None}

    def tell(before: Known, now: Known) -> None:
        for key, one in reversed(now.items()):
            if key not in before or before[key]["state"] != one["state"]:
                parts.hub.publish("claim", one)

    await _watch(parts, look, tell, CLAIMS_EVERY_S)


async def _watch(
    parts: Parts, look: Callable[[], Awaitable[Known]], tell: Callable[[Known, Known], None], every_s: float
) -> None:
    """Look while somebody listens, and tell what is other than before; what was there before anybody came is no news."""
    before: Known | None = None
    while True:
        pause_s = every_s
        if parts.hub.watched():
            try:
                now = await look()
                if before is not None:
                    tell(before, now)
                before = now
            except MetanodeError as failure:
                pause_s = RETRY_S
                log.warning("events_wait", reason=str(failure)[:200])
            except Exception:
                pause_s = RETRY_S
                log.exception("events_failed")
        else:
            before = None
        await asyncio.sleep(pause_s)
