"""Follows the index and the pool, and tells browsers: what is live on a page is rendered once, for all who look."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import structlog

from metanode.errors import MetanodeError, Unavailable
from sdk.testnet.services.explorer.views import dashboard
from sdk.testnet.services.explorer.views.blocks import read_blocks
from sdk.testnet.services.explorer.views.home import extras, read_home
from sdk.testnet.services.explorer.views.transactions import read_pending, read_transactions
from sdk.testnet.services.queries.statistics import index_status
from sdk.testnet.services.web.problems import reason_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sdk.testnet.services.explorer.parts import ExplorerParts
    from sdk.testnet.services.web.live import LiveHub
    from sdk.testnet.services.web.pages import Pages

log = structlog.get_logger(__name__)

POLL_S: Final = 0.25
"""From one look at the index to the next, where nobody tells of blocks: one row by its key, some 100 us."""
PACE_S: Final = 0.25
"""From one render to the next: an index that catches up has many blocks a second, and nobody reads them all."""
RETRY_S: Final = 2.0
"""After a database that did not answer, or a part that could not be made."""
ROUND_S: Final = 2.0
"""From one picture of the pool to the next: no block tells of it."""
LOOK_S: Final = 0.5
"""How often the monitor is asked whether it has seen a block, or another verdict: some microseconds."""
QUIET_S: Final = 4.0
"""The dashboard is shown again after so long, or two blocks' time, also while no block comes: then everybody wants to know which validator waits for what."""

Context = dict[str, Any]
"""What the templates of parts are given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is live on one page."""

    parts: tuple[str, ...]
    """Each has a template of its own."""
    read: Callable[[ExplorerParts], Awaitable[Context]]
    folder: str = ""
    """Of the templates; the topic's name where none is said."""
    facts: Callable[[Any], Mapping[str, Any]] = lambda _: {}
    """What scripts are told of the model beside the parts."""


async def _home(parts: ExplorerParts) -> Context:
    return {"model": await read_home(parts)} | extras()


async def _blocks(parts: ExplorerParts) -> Context:
    model = await read_blocks(parts)
    return {"model": model, "first_url": "", "next_url": _older("/blocks", model.next)}


async def _transactions(parts: ExplorerParts) -> Context:
    model = await read_transactions(parts)
    return {"model": model, "first_url": "", "next_url": _older("/transactions", model.next)} | extras()


async def _pending(parts: ExplorerParts) -> Context:
    return {"model": await read_pending(parts)}


async def _dashboard(parts: ExplorerParts, *, is_operator: bool = False) -> Context:
    return dashboard.live_context(await dashboard.read_dashboard(parts, is_operator=is_operator))


async def _operator(parts: ExplorerParts) -> Context:
    return await _dashboard(parts, is_operator=True)


OF_BLOCKS: Final[Mapping[str, Shown]] = {
    "home": Shown(parts=("tiles", "strip", "blocks", "transactions", "lag"), read=_home),
    "blocks": Shown(parts=("list", "lag"), read=_blocks),
    "transactions": Shown(parts=("list", "lag"), read=_transactions),
}
"""New with each block, by topic."""
OF_POOL: Final[Mapping[str, Shown]] = {"pending": Shown(parts=("tiles", "list"), read=_pending)}
"""New all the time."""
OF_MONITOR: Final[Mapping[str, Shown]] = {
    dashboard.TOPIC: Shown(
        parts=dashboard.PARTS, read=_dashboard, folder="dashboard", facts=dashboard.live_facts
    ),
    dashboard.OPERATOR_TOPIC: Shown(
        parts=dashboard.OPERATOR_PARTS, read=_operator, folder="dashboard", facts=dashboard.live_facts
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadFollower:
    """The one producer of the topics that change with blocks: looks at the index when it is told of a block."""

    parts: ExplorerParts
    pages: Pages
    hub: LiveHub

    async def run(self) -> None:
        """Follow until cancelled; a database that fails is waited for, and so is a part that can't be made.

        Without a new block it is news too that no node answers any more, or one does again: pages say how far they go.
        """
        shown: tuple[int, bool] | None = None
        owed: Mapping[str, Shown] = {}
        while True:
            since = self.parts.heads.told
            async with _Guard("index") as guard:
                status = await self.parts.reading.look(index_status)
                now = None if status is None else (status.number, await self._has_node())
                if now not in {None, shown}:
                    shown, owed = now, OF_BLOCKS
            if not guard.is_well:
                shown = None
                for topic in OF_BLOCKS:
                    self.hub.away(topic, guard.reason)
            elif owed:
                owed = await _tell(self, owed)
                await asyncio.sleep(PACE_S)
            if owed or not guard.is_well:
                await asyncio.sleep(RETRY_S)
            else:
                await self.parts.heads.wait(POLL_S, since=since)

    async def _has_node(self) -> bool:
        """Whether a node answers; asked while somebody looks, and taken for granted otherwise."""
        if not any(self.hub.watched(topic) for topic in OF_BLOCKS):
            return True
        return await self.parts.reading.chain_head() is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTeller:
    """The one producer of topics that nobody tells of: renders them every two seconds, while somebody looks."""

    parts: ExplorerParts
    pages: Pages
    hub: LiveHub
    topics: Mapping[str, Shown]

    async def run(self) -> None:
        """Tell until cancelled; a part that can't be made is tried again."""
        while True:
            await _tell(self, self.topics)
            await asyncio.sleep(ROUND_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorTeller:
    """The one producer of what the monitor sees: renders it once for a block, and when the verdict or what fires is another."""

    parts: ExplorerParts
    pages: Pages
    hub: LiveHub
    topics: Mapping[str, Shown]
    monotonic_s: Callable[[], float] = time.monotonic

    async def run(self) -> None:
        """Tell until cancelled; a part that can't be made is tried again."""
        monitor, seen, told_s = self.parts.monitor, None, float("-inf")
        while True:
            async with _Guard("monitor"):
                now, now_s = _seen(monitor), self.monotonic_s()
                quiet_s = max(QUIET_S, 2 * monitor.limits.block_time_s)
                if (now != seen or now_s - told_s >= quiet_s) and not await _tell(self, self.topics):
                    seen, told_s = now, now_s
            await asyncio.sleep(LOOK_S)


def _seen(monitor: Any) -> tuple[Any, ...]:
    """What is news when it changes."""
    newest = next(iter(monitor.events), None)
    return (
        monitor.head,
        monitor.verdict.verdict,
        tuple((alert.name, alert.subject, alert.severity) for alert in monitor.alerts),
        None if newest is None else (newest.name, newest.subject, newest.since, newest.resolved_at),
    )


async def _tell(
    teller: HeadFollower | RoundTeller | MonitorTeller, topics: Mapping[str, Shown]
) -> dict[str, Shown]:
    """Publish what is watched, and return what could not be made: what goes wrong with one topic is no matter of the others."""
    owed = {}
    for topic, shown in topics.items():
        if not teller.hub.watched(topic):
            teller.hub.skip(topic)
            continue
        async with _Guard(topic) as guard:
            context = await shown.read(teller.parts)
            rendered = {
                part: teller.pages.fragment(f"{shown.folder or topic}/{part}.html", **context)
                for part in shown.parts
            }
            model = context["model"]
            teller.hub.publish(topic, {"number": model.as_of.block, "parts": rendered, **shown.facts(model)})
        if not guard.is_well:
            teller.hub.away(topic, guard.reason)
            owed[topic] = shown
    return owed


class _Guard:
    """A block in which what goes wrong is logged: nothing that a node or a database says may end the services of this process."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self.is_well = True
        self.reason = ""
        """What went wrong, for everybody."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if error is None:
            return False
        self.is_well = False
        self.reason = reason_of(error) if isinstance(error, Unavailable) else "this part could not be made"
        if isinstance(error, MetanodeError):
            log.warning("explorer_head_unknown", topic=self._topic, reason=str(error))
        elif isinstance(error, Exception):
            log.error("explorer_live_failed", topic=self._topic, exc_info=error)
        else:
            return False
        return True


def _older(path: str, cursor: str | None) -> str:
    return "" if cursor is None else f"{path}?cursor={cursor}"
