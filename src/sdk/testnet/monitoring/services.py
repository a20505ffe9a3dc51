"""What services say of themselves: their metrics pages, read beside the looks at nodes, and what they have counted lately."""

from __future__ import annotations

import asyncio
import statistics
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from metanode.errors import InvalidInput
from sdk.testnet.diagnosis.collect import check_url
from sdk.testnet.monitoring.growth import Counters, Growth
from sdk.testnet.monitoring.page import MetricsPage, read_page
from sdk.testnet.monitoring.watcher import fetch_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Source = str | Callable[[], bytes]

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 10.0
"""A page asks a database and a node; what it tells is of minutes and days."""
SERVICES_MAX: Final = 20
SHORT_S: Final = 600.0
HOUR_S: Final = 3_600.0
MARKS_MAX: Final = 370
"""An hour of marks."""
USUAL_EVERY_S: Final = 300.0
USUAL_MAX: Final = 288
"""A day of them."""


@dataclass(frozen=True, slots=True)
class ServiceMark:
    """Counters of the pages at one moment."""

    at_s: float
    nodes: frozenset[str]
    """The services whose pages were read."""
    refused: Counters
    paid: Counters
    conflicts: Counters
    failures: Counters
    """Of the index, by stage."""
    seals: Counters
    """Wrong ones that the index found."""


@dataclass(slots=True)
class ServicePages:
    """The newest pages by service, and what they have counted in the last hour. Pure."""

    pages: Mapping[str, MetricsPage] = field(default_factory=dict)
    refused: Growth = field(default_factory=lambda: Growth("refused", SHORT_S))
    paid: Growth = field(default_factory=lambda: Growth("paid", HOUR_S))
    conflicts: Growth = field(default_factory=lambda: Growth("conflicts", SHORT_S))
    failures: Growth = field(default_factory=lambda: Growth("failures", SHORT_S))
    seals: Growth = field(default_factory=lambda: Growth("seals", HOUR_S))
    unread_since_s: dict[str, float] = field(default_factory=dict)
    """By service since when no look has got its page; not those whose page is there."""
    _marks: deque[ServiceMark] = field(default_factory=lambda: deque(maxlen=MARKS_MAX))
    _usual: dict[str, deque[float]] = field(default_factory=dict)
    """By service the refusals of ten minutes, every five minutes of a day."""
    _usual_at_s: float = float("-inf")

    def take(self, at_s: float, pages: Mapping[str, MetricsPage], *, unread: Iterable[str] = ()) -> None:
        """Take in the pages of one look, and whose it did not get."""
        self.pages = pages
        self.unread_since_s = {name: self.unread_since_s.get(name, at_s) for name in unread}
        self._marks.append(_mark(at_s, pages))
        for growth in (self.refused, self.paid, self.conflicts, self.failures, self.seals):
            growth.follow(self._marks)
        if at_s - self._usual_at_s >= USUAL_EVERY_S:
            self._usual_at_s = at_s
            for name in pages:
                seen = self._usual.setdefault(name, deque(maxlen=USUAL_MAX))
                seen.append(self.refused.total.get((name, ""), 0.0))

    def usually_refused(self, name: str) -> float:
        """The median of a day's refusals in ten minutes."""
        return statistics.median(self._usual.get(name) or (0.0,))


class ServiceWatch:
    """Reads the pages of services again and again, each from its address or from a call of this process."""

    def __init__(self, sources: Mapping[str, Source], *, monotonic_s: Callable[[], float]) -> None:
        if len(sources) > SERVICES_MAX:
            raise InvalidInput(f"services: found {len(sources)}; expected at most {SERVICES_MAX}")
        for source in sources.values():
            if isinstance(source, str):
                check_url(source)
        self._sources = dict(sources)
        self._monotonic_s = monotonic_s
        self.found = ServicePages()

    def __bool__(self) -> bool:
        return bool(self._sources)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Read each page once, and note who gave none."""
        async with asyncio.TaskGroup() as tasks:
            reading = {
                name: tasks.create_task(_read(name, source), name=f"metrics of {name}")
                for name, source in self._sources.items()
            }
        pages = {name: page for name, task in reading.items() if (page := task.result()) is not None}
        self.found.take(self._monotonic_s(), pages, unread=self._sources.keys() - pages.keys())


async def _read(name: str, source: Source) -> MetricsPage | None:
    if isinstance(source, str):
        return await fetch_page(source)
    try:
        return read_page((await asyncio.to_thread(source)).decode())
    except Exception:
        # A fault of ours costs this page's alerts, and neither the other pages nor the watch over the nodes.
        log.exception("monitor_service_failed", service=name)
        return None


def _mark(at_s: float, pages: Mapping[str, MetricsPage]) -> ServiceMark:
    def plain(name: str) -> Counters:
        return {
            (service, ""): value for service, page in pages.items() if (value := page.value(name)) is not None
        }

    return ServiceMark(
        at_s=at_s,
        nodes=frozenset(pages),
        refused=plain("metanode_faucet_rejections_total"),
        paid=plain("metanode_faucet_paid_ether_total"),
        conflicts=plain("metanode_faucet_nonce_conflicts_total"),
        failures={
            (service, stage): value
            for service, page in pages.items()
            for stage, value in page.by("metanode_explorer_errors_total", "stage").items()
        },
        seals=plain("metanode_explorer_invalid_seals_total"),
    )
