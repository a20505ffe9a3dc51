"""Follows the index, and tells browsers: each new block is rendered once, for all who look."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from metanode.errors import MetanodeError
from sdk.testnet.services.explorer.views import dashboard
from sdk.testnet.services.explorer.views.home import extras, read_home
from sdk.testnet.services.queries.statistics import index_status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sdk.testnet.services.explorer.parts import ExplorerParts
    from sdk.testnet.services.web.live import LiveHub
    from sdk.testnet.services.web.pages import Pages

log = structlog.get_logger(__name__)

POLL_S: Final = 0.25
"""From one look at the index to the next: one row by its key, some 100 us."""
RETRY_S: Final = 2.0
"""After a database that did not answer, or a part that could not be made."""
DASHBOARD_S: Final = 2.0
"""From one picture of the dashboard to the next, as often as the monitor looks."""
TOPIC: Final = "home"
HOME_PARTS: Final = ("tiles", "strip", "blocks", "transactions", "lag")
"""Live parts of the first page; each has a template of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadFollower:
    """The one producer of the topic `home`."""

    parts: ExplorerParts
    pages: Pages
    hub: LiveHub

    async def run(self) -> None:
        """Follow until cancelled; a database that fails is waited for, and so is a part that can't be made."""
        shown = -1

        async def tell() -> None:
            nonlocal shown
            status = await self.parts.reading.look(index_status)
            if status is not None and status.number != shown:
                shown = status.number
                if self.hub.watched(TOPIC):
                    await self._publish()

        while True:
            await _guarded(TOPIC, tell)
            await asyncio.sleep(POLL_S)

    async def _publish(self) -> None:
        model = await read_home(self.parts)
        rendered = {
            part: self.pages.fragment(f"home/{part}.html", model=model, **extras()) for part in HOME_PARTS
        }
        self.hub.publish(TOPIC, {"number": model.as_of.block, "parts": rendered})


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardTeller:
    """The one producer of the topics `dashboard` and `operator`: renders what the monitor says every two seconds, while somebody looks."""

    parts: ExplorerParts
    pages: Pages
    hub: LiveHub

    async def run(self) -> None:
        """Tell until cancelled; a part that can't be made is tried again."""
        while True:
            await _guarded(dashboard.TOPIC, self._tell)
            await asyncio.sleep(DASHBOARD_S)

    async def _tell(self) -> None:
        for topic, shown in (
            (dashboard.TOPIC, dashboard.PARTS),
            (dashboard.OPERATOR_TOPIC, dashboard.OPERATOR_PARTS),
        ):
            if self.hub.watched(topic):
                is_operator = topic == dashboard.OPERATOR_TOPIC
                model = await dashboard.read_dashboard(self.parts, is_operator=is_operator)
                rendered = {
                    part: self.pages.fragment(
                        f"dashboard/{part}.html", model=model, events_shown=dashboard.EVENTS_SHOWN
                    )
                    for part in shown
                }
                self.hub.publish(topic, {"parts": rendered})


async def _guarded(topic: str, tell: Callable[[], Awaitable[None]]) -> None:
    """Tell once. What goes wrong is logged and waited for: nothing that a node says may end the services of this process."""
    try:
        await tell()
    except MetanodeError as error:
        log.warning("explorer_head_unknown", topic=topic, reason=str(error))
    except Exception:
        log.exception("explorer_live_failed", topic=topic)
    else:
        return
    await asyncio.sleep(RETRY_S)
