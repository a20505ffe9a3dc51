"""What the explorer is given, and what its pages share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request

from sdk.testnet.faucet.client_address import LOOPBACK
from sdk.testnet.services.explorer.ballot import BallotWatch
from sdk.testnet.services.explorer.certificates import ChainRules
from sdk.testnet.services.explorer.faucet_standing import FaucetWatch
from sdk.testnet.services.explorer.pending import PoolWatch
from sdk.testnet.services.explorer.reading import Reading
from sdk.testnet.services.explorer.record import RecordWatch
from sdk.testnet.services.explorer.standing import StandingWatch
from sdk.testnet.services.explorer.traces import CallTrees
from sdk.testnet.services.explorer.twins import View
from sdk.testnet.services.explorer.watching import MemberWatch
from sdk.testnet.services.heads import Heads
from sdk.testnet.services.web.clients import Clients

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk.testnet.faucet.client_address import IPNetwork
    from sdk.testnet.services.explorer.faucet_standing import AskFaucet
    from sdk.testnet.services.node_pool import NodePool
    from sdk.testnet.services.store import Store
    from sdk.testnet.services.verification import Verifier
    from sdk.testnet.services.web.site import Site

COSTLY_MAX: Final = 30
"""Looks at what nodes have to compute, a minute, of one network: call trees, calls of contracts, the certificates' proofs."""

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
    record: RecordWatch
    ballot: BallotWatch
    pool: PoolWatch
    members: MemberWatch
    clients: Clients
    """Who asks, and how much of what costs much."""
    monitor: Any = None
    """A `sdk.testnet.monitoring.TestnetMonitor`, or None: then the dashboard says what it can from the chain alone."""
    has_operator: bool = False
    """Whether the dashboard has a view behind a login."""

    verifier: Verifier | None = None
    """None where contracts are not verified."""
    faucet: FaucetWatch = field(default_factory=FaucetWatch)
    heads: Heads = field(default_factory=Heads)
    """Who says when the index has a new block; nobody, where none is given."""

    @classmethod
    def of(
        cls,
        *,
        site: Site,
        store: Store,
        nodes: NodePool,
        monitor: Any = None,
        verifier: Verifier | None = None,
        trusted_proxies: Sequence[IPNetwork] = LOOPBACK,
        heads: Heads | None = None,
        ask_faucet: AskFaucet | None = None,
        node_names: Sequence[str] = (),
    ) -> ExplorerParts:
        """Put the parts together; `trusted_proxies` are the networks whose `X-Forwarded-For` is believed, `node_names` what the nodes are called."""
        return cls(
            site=site,
            reading=Reading(store=store, nodes=nodes, site=site),
            nodes=nodes,
            trees=CallTrees(nodes),
            rules=ChainRules(nodes),
            standing=StandingWatch(nodes),
            record=RecordWatch(nodes, node_names),
            ballot=BallotWatch(nodes),
            pool=PoolWatch(nodes),
            members=MemberWatch(monitor),
            clients=Clients(trusted=trusted_proxies, maximum=COSTLY_MAX),
            monitor=monitor,
            verifier=verifier,
            faucet=FaucetWatch(ask_faucet),
            heads=heads or Heads(),
        )
