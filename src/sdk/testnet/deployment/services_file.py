"""The text of `services.toml`, wherever services run: beside processes, in containers, in one process or in several. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SITES: Final = ("explorer", "api", "gateway", "faucet")
"""In the order of the file."""

TomlValue = str | int | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedNode:
    """A node that the services ask."""

    name: str
    """What pages call it."""
    rpc_url: str
    metrics_url: str
    """Its metrics page, without which the dashboard and several alerts know less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePlace:
    """Where a service listens, and how people reach it."""

    port: int
    public_url: str = ""
    """Empty: http://localhost:PORT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicesFile:
    """Everything that the file says."""

    head: tuple[str, ...]
    """What stands above it as a comment."""
    network_id: str
    chain_id: int
    nodes: tuple[ServedNode, ...]
    public_rpc_url: str = ""
    """JSON-RPC as wallets reach it; empty: the first node's."""
    database: Mapping[str, str]
    """Keys of `[database]`; empty where no index is."""
    bind_address: str
    """Of every site."""
    trusted_proxies: tuple[str, ...] = ()
    """Whose X-Forwarded-For is believed; empty: those of this machine."""
    sites: Mapping[str, SitePlace]
    """By name, of `SITES`."""
    faucet: Mapping[str, TomlValue] = field(default_factory=dict)
    """What the faucet is told beside where it listens."""
    gateway: Mapping[str, TomlValue] = field(default_factory=dict)
    """What the gateway is told beside where it listens."""
    bootstrap: Mapping[str, TomlValue] = field(default_factory=dict)
    """The table of the bootstrap node; empty where there is none."""
    metrics_port: int | None = None
    """Where this process says what it measures; None: nowhere."""
    webhooks_file: str = ""
    """A file with the addresses that are told of alerts."""
    service_metrics_urls: tuple[str, ...] = ()
    """Metrics pages of services in other processes, which the monitor reads."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Known accounts: address to name."""


def render_services_file(file: ServicesFile) -> str:
    """The whole file."""
    network: dict[str, TomlValue] = {
        "network_id": file.network_id,
        "chain_id": file.chain_id,
        **_served(file.nodes),
    }
    if file.public_rpc_url:
        network["public_rpc_url"] = file.public_rpc_url
    tables: list[tuple[str, Mapping[str, TomlValue]]] = [("network", network)]
    if file.database:
        tables.append(("database", file.database))
    tables += [(name, _site(file, name)) for name in SITES if name in file.sites]
    if file.bootstrap:
        tables.append(("bootstrap", file.bootstrap))
    if file.metrics_port is not None:
        tables.append(("metrics", {"bind_address": file.bind_address, "port": file.metrics_port}))
    if file.webhooks_file:
        alerts: dict[str, TomlValue] = {"webhooks_file": file.webhooks_file}
        if file.service_metrics_urls:
            alerts["metrics_urls"] = file.service_metrics_urls
        tables.append(("alerts", alerts))
    if file.names:
        tables.append(("names", dict(sorted(file.names.items()))))
    parts = ["\n".join((f"[{name}]", *_lines(table))) for name, table in tables]
    return "".join(f"# {line}\n" for line in file.head) + "\n\n".join(parts) + "\n"


def node_lines(nodes: Sequence[ServedNode]) -> tuple[str, ...]:
    """The lines of `[network]` that say which nodes there are."""
    return tuple(_lines(_served(nodes)))


def name_line(address: str, name: str) -> str:
    """The line of `[names]` for one account."""
    return "".join(_lines({address: name}))


def _served(nodes: Sequence[ServedNode]) -> dict[str, TomlValue]:
    return {
        "rpc_urls": tuple(node.rpc_url for node in nodes),
        "node_names": tuple(node.name for node in nodes),
        "metrics_urls": tuple(node.metrics_url for node in nodes),
    }


def _site(file: ServicesFile, name: str) -> Mapping[str, TomlValue]:
    place = file.sites[name]
    table: dict[str, TomlValue] = {"bind_address": file.bind_address, "port": place.port}
    if place.public_url:
        table["public_url"] = place.public_url
    if file.trusted_proxies:
        table["trusted_proxies"] = file.trusted_proxies
    return table | dict({"faucet": file.faucet, "gateway": file.gateway}.get(name, {}))


def _lines(table: Mapping[str, TomlValue]) -> Iterable[str]:
    # Names, addresses and settings alike are bare keys of TOML.
    return (f"{key} = {_value(value)}" for key, value in table.items())


def _value(value: TomlValue) -> str:
    # JSON's escapes are TOML's, but for the character that TOML wants escaped too.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
