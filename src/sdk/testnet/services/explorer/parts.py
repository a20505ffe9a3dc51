"""What the explorer is given, and what its pages share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from sdk.testnet.services.explorer.certificates import ChainRules
from sdk.testnet.services.explorer.reading import Reading
from sdk.testnet.services.explorer.standing import StandingWatch
from sdk.testnet.services.explorer.traces import CallTrees
from sdk.testnet.services.explorer.twins import View

if TYPE_CHECKING:
    from sdk.testnet.services.node_pool import NodePool
    from sdk.testnet.services.store import Store
    from sdk.testnet.services.web.site import Site

Handler = Callable[[Request], Awaitable[View]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplorerParts:
    """The objects that an explorer stands on."""

    site: Site
    reading: Reading
    nodes: NodePool
    trees: CallTrees
    rules: ChainRules
    standing: StandingWatch
    monitor: Any = None
    """A `sdk.testnet.monitoring.TestnetMonitor`, or None: then the dashboard says what it can from the chain alone."""

    @classmethod
    def of(cls, *, site: Site, store: Store, nodes: NodePool, monitor: Any = None) -> ExplorerParts:
        """Put the parts together."""
        return cls(
            site=site,
            reading=Reading(store=store, nodes=nodes, site=site),
            nodes=nodes,
            trees=CallTrees(nodes),
            rules=ChainRules(nodes),
            standing=StandingWatch(nodes),
            monitor=monitor,
        )
