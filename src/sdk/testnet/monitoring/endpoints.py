"""Which nodes a monitor asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from metanode.errors import InvalidInput
from sdk.testnet.diagnosis.collect import check_url
from sdk.testnet.monitoring.health import NAME_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sdk.testnet.deployment.plan import NetworkPlan

ENDPOINTS_MAX = 200
"""All are asked at once, from one process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One node.

    Raises:
        InvalidInput: when an address is no http URL.
    """

    rpc_url: str
    """Its JSON-RPC, with the namespaces `ibft` and `eth`."""
    metrics_url: str | None = None
    """Its metrics page; without one there are fewer alerts."""
    name: str = ""
    """What it is called; by default host and port."""
    role: str | None = None
    """The plan's."""

    def __post_init__(self) -> None:
        check_url(self.rpc_url)
        if self.metrics_url is not None:
            check_url(self.metrics_url)
        if not self.name:
            parts = urlsplit(self.rpc_url)
            object.__setattr__(
                self, "name", f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
            )
        if len(self.name) > NAME_MAX:
            raise InvalidInput(f"name: found {self.name[:40]!r}...; expected at most {NAME_MAX} characters")


def endpoints_of(plan: NetworkPlan) -> tuple[Endpoint, ...]:
    """The nodes of a planned network, as they are reached from its own machine."""
    return tuple(
        Endpoint(
            rpc_url=node.rpc_url,
            metrics_url=node.metrics_url,
            name=node.name,
            role=node.role,
        )
        for node in plan.nodes
    )


def read_endpoints(given: Iterable[Endpoint | str]) -> tuple[Endpoint, ...]:
    """Endpoints as people give them; raises InvalidInput when two have one name, or there are too many."""
    found = tuple(one if isinstance(one, Endpoint) else Endpoint(rpc_url=one) for one in given)
    if len(found) > ENDPOINTS_MAX:
        raise InvalidInput(f"endpoints: found {len(found)}; expected at most {ENDPOINTS_MAX}")
    names = [endpoint.name for endpoint in found]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(
                f"endpoints: found {name!r} {names.count(name)} times; expected each node once"
            )
    return found
