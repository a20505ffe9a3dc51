"""`ServicesConfig`: what the services of one network are told, in one TOML file.

    [network]            which chain, and the nodes that are asked
    [database]           the index: SQLite beside this file, or PostgreSQL by `postgres_url`; Redis by `redis_url`
    [explorer]           where pages listen, and their address for people
    [api] [faucet]       the same, and what is theirs; the faucet's limits by the names of `FaucetConfig`
    [gateway]            the same; its limits by the names of `GatewaySettings`
    [bootstrap]          as `BootstrapConfig` has it
    [alerts]             who is told of alerts
    [names]              known accounts: address = "name"

A service whose table is missing does not run, but for the explorer and the indexer, which need no settings. Relative paths begin at the file's folder.
`${NAME}` takes an environment variable, `${NAME:-value}` with a default. Every problem is told at once, each with the key, what was found and what is
expected; unknown keys with a suggestion.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from metanode.crypto.addresses import parse_address
from metanode.errors import InvalidInput

PORT_MAX: Final = 65_535
EXPLORER_PORT: Final = 3000
"""Explorer and dashboard."""
FAUCET_PORT: Final = 8080
METRICS_PORT: Final = 9099
"""Below that of the first validator."""
API_PORT: Final = 9545
GATEWAY_PORT: Final = 8645
CHAIN_ID_MAX: Final = 2**53 - 1
"""What every wallet can read."""
_RPC_URLS_MAX: Final = 100
_METRICS_URLS_MAX: Final = 10
"""Of services: there are six kinds."""
_CORES_MAX: Final = 1_024
_MEMORY_MIB_MAX: Final = 64 * 1024**2
"""More than any machine that a node runs on: a slip of the units is refused."""
_NAMES_MAX: Final = 1_000
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_SYMBOL: Final = re.compile(r"[A-Za-z0-9]{1,11}")
_NETWORK_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_REDIS_SCHEMES: Final = ("redis://", "rediss://", "unix://")
_TYPES: Final[dict[str, tuple[type, str]]] = {
    "str": (str, "text"),
    "int": (int, "a whole number"),
    "bool": (bool, "true or false"),
    "tuple[str, ...]": (tuple, "a list of texts"),
}
"""What a field's annotation asks of TOML."""
_SECTIONS: Final = (
    "network",
    "database",
    "explorer",
    "api",
    "faucet",
    "gateway",
    "bootstrap",
    "metrics",
    "alerts",
    "verification",
    "names",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSection:
    """The chain."""

    network_id: str
    """The network's name, as nodes have it."""
    chain_id: int
    """EIP-155 chain id; a node of another one is not believed."""
    rpc_urls: tuple[str, ...]
    """JSON-RPC of the nodes, the first that answers is asked; WebSockets are on the same port."""
    node_names: tuple[str, ...] = ()
    """What each of `rpc_urls` is called on pages, which show no addresses; node-1, node-2, ... where nobody says."""
    metrics_urls: tuple[str, ...] = ()
    """The metrics page of each of `rpc_urls`, for the dashboard; it says less without them."""
    public_rpc_url: str = ""
    """JSON-RPC as wallets reach it; the first of `rpc_urls` where nobody says, if it is no more than a host and a port."""
    public_ws_url: str = ""
    """The same over WebSocket; at the same place, where nobody says: nodes and the gateway take both there."""
    currency_symbol: str = "ETH"
    """As wallets show the coin."""
    reset_policy: str = ""
    """When the network starts anew, in a sentence for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSection:
    """Where the index lies."""

    postgres_url: str = ""
    """postgresql://USER:PASSWORD@HOST/NAME; empty for SQLite."""
    sqlite_path: str = "index.db"
    """Of the file, where there is no `postgres_url`."""
    redis_url: str = ""
    """redis://HOST:PORT for rate limits and cache of several processes; empty keeps them in this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSection:
    """Where a service listens."""

    enabled: bool = True
    """False keeps it from running although its table is here."""
    bind_address: str = "127.0.0.1"
    """IP address; "0.0.0.0" lets other machines in."""
    port: int = 0
    """TCP port; 0 lets the system choose."""
    public_url: str = ""
    """As people reach it; http://localhost:PORT where nobody says."""
    trusted_proxies: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Networks of the proxies whose X-Forwarded-For is believed."""

    @property
    def url(self) -> str:
        """Where people find it, without a slash at the end."""
        return (self.public_url or f"http://localhost:{self.port}").rstrip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplorerSection(SiteSection):
    """Where the explorer listens, and what it shows beside the chain."""

    docs_directory: str = "auto"
    """The documentation as `make docs-site` builds it, shown at /docs; "auto" takes what this checkout has built or the installed wheel carries, empty shows none."""
    operator_view: bool = True
    """Whether the dashboard has a view for operators, behind a login."""
    operator_password_file: str = ""
    """Its password, made where the file is missing; empty: operator.password beside the index, or none with PostgreSQL, which has no folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsSection:
    """Who is told of alerts by the monitor of this process: that of the explorer's dashboard."""

    webhooks_file: str = ""
    """A file with one address a line, `slack ADDRESS` for those of Slack, `info ADDRESS` or `slack info ADDRESS` for who wants to know everything; empty tells nobody."""
    metrics_urls: tuple[str, ...] = ()
    """Metrics pages of services in other processes, for the alerts about them; that of this process needs none."""
    node_cores: int = 2
    """Cores that a node may take, for NodeOverloaded."""
    node_memory_mib: int = 4_096
    """Memory that a node may take, for the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationSection:
    """With what sources of contracts are compiled."""

    enabled: bool = True
    """False takes no sources: neither by the API nor on the explorer's pages."""
    compilers: tuple[str, ...] = ()
    """Folders with npm packages of solc in them; where `testnet compilers --install` puts them, if nobody says."""
    node: str = "node"
    """The program that runs solc, Node 20 or newer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicesConfig:
    """Everything that the services of one network are told. Raises InvalidInput by `load` and `from_dict`, never later."""

    directory: Path
    """Where relative paths begin and databases lie."""
    network: NetworkSection
    database: DatabaseSection
    explorer: ExplorerSection
    api: SiteSection | None
    api_settings: Mapping[str, Any] = field(default_factory=dict)
    """What else stands in `[api]`, for the API to read."""
    faucet: SiteSection | None
    faucet_settings: Mapping[str, Any] = field(default_factory=dict)
    """What else stands in `[faucet]`: settings of `FaucetConfig` and of its page."""
    gateway: SiteSection | None = None
    gateway_settings: Mapping[str, Any] = field(default_factory=dict)
    """What else stands in `[gateway]`: settings of `GatewaySettings`."""
    bootstrap_settings: Mapping[str, Any] | None = None
    """The table `[bootstrap]`; None where there is none."""
    verification: VerificationSection = field(default_factory=VerificationSection)
    metrics: SiteSection | None = None
    """Where Prometheus finds `/metrics` of this process; None keeps it from being served."""
    alerts: AlertsSection = field(default_factory=AlertsSection)
    names: Mapping[str, str] = field(default_factory=dict)
    """Known accounts: address in lower case to name."""

    @property
    def database_url(self) -> str:
        """The index's database for SQLAlchemy."""
        return self.database.postgres_url or f"sqlite:///{self.directory / self.database.sqlite_path}"

    @property
    def public_rpc_url(self) -> str:
        """JSON-RPC for wallets."""
        return self.network.public_rpc_url or self.network.rpc_urls[0]

    @classmethod
    def load(cls, path: Path | str, environment: Mapping[str, str] = os.environ) -> ServicesConfig:
        """Read a TOML file; raises InvalidInput with a line for each problem."""
        path = Path(path)
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InvalidInput(f"{path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{path}: expected TOML: {error}") from None
        try:
            return cls.from_dict(document, directory=path.absolute().parent, environment=environment)
        except InvalidInput as error:
            raise InvalidInput("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None

    @classmethod
    def from_dict(
        cls, document: Mapping[str, Any], *, directory: Path, environment: Mapping[str, str] = os.environ
    ) -> ServicesConfig:
        """Check the tables of a file; raises InvalidInput with a line for each problem."""
        problems: list[str] = []
        tables = _interpolated(document, "", environment, problems)
        problems += [
            f"{name}: no such table{suggestion(name, _SECTIONS)}" for name in tables if name not in _SECTIONS
        ]
        for name in _SECTIONS:
            if not isinstance(tables.get(name, {}), dict):
                problems.append(f"{name}: expected a table, found {tables[name]!r:.80}")
                tables[name] = {}
        site_fields = {each.name for each in fields(SiteSection)}
        split = {
            name: _split(tables[name], site_fields) for name in ("api", "faucet", "gateway") if name in tables
        }
        api, api_settings = split.get("api", (None, {}))
        faucet, faucet_settings = split.get("faucet", (None, {}))
        gateway, gateway_settings = split.get("gateway", (None, {}))
        network = _section(NetworkSection, "network", tables.get("network", {}), problems)
        alerts = _section(AlertsSection, "alerts", tables.get("alerts", {}), problems)
        config = cls(
            directory=directory,
            network=network,
            database=_section(DatabaseSection, "database", tables.get("database", {}), problems),
            explorer=_site(
                "explorer", tables.get("explorer", {}), EXPLORER_PORT, problems, kind=ExplorerSection
            ),
            api=None if api is None else _site("api", api, API_PORT, problems),
            api_settings=api_settings,
            faucet=None if faucet is None else _site("faucet", faucet, FAUCET_PORT, problems),
            faucet_settings=faucet_settings,
            gateway=None if gateway is None else _site("gateway", gateway, GATEWAY_PORT, problems),
            gateway_settings=gateway_settings,
            bootstrap_settings=tables.get("bootstrap"),
            verification=_section(
                VerificationSection, "verification", tables.get("verification", {}), problems
            ),
            metrics=_site("metrics", tables["metrics"], METRICS_PORT, problems)
            if "metrics" in tables
            else None,
            alerts=alerts,
            names=_names(tables.get("names", {}), problems),
        )
        problems += _problems_of_network(network) if network is not None else []
        problems += _problems_of_alerts(alerts) if alerts is not None else []
        problems += _shared_ports(config)
        redis_url = tables.get("database", {}).get("redis_url", "")
        if isinstance(redis_url, str) and redis_url and not redis_url.startswith(_REDIS_SCHEMES):
            # Not shown: it may hold a password.
            problems.append(
                "database.redis_url: expected redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH, found another kind"
            )
        if problems:
            raise InvalidInput("\n".join(problems))
        return config


def _interpolated(value: Any, key: str, environment: Mapping[str, str], problems: list[str]) -> Any:
    match value:
        case Mapping():
            return {
                name: _interpolated(part, f"{key}.{name}" if key else str(name), environment, problems)
                for name, part in value.items()
            }
        case list() | tuple():
            return tuple(
                _interpolated(part, f"{key}[{index}]", environment, problems)
                for index, part in enumerate(value)
            )
        case str():

            def variable(found: re.Match[str]) -> str:
                name, default = found.groups()
                replacement = environment.get(name, default)
                if replacement is None:
                    problems.append(
                        f"{key}: environment variable {name} is not set; set it, or write ${{{name}:-value}}"
                    )
                return replacement or ""

            return _VARIABLE.sub(variable, value)
        case _:
            return value


def _section(kind: Any, name: str, table: Mapping[str, Any], problems: list[str]) -> Any:
    """The section of a table; None with problems told."""
    known = {each.name: each for each in fields(kind)}
    before = len(problems)
    problems += [
        f"{name}.{key}: no such setting{suggestion(key, known)}" for key in table if key not in known
    ]
    for key, each in known.items():
        if key in table:
            expected, words = _TYPES[str(each.type)]
            found = table[key]
            is_fine = type(found) is expected
            if isinstance(found, tuple):
                is_fine = is_fine and all(isinstance(part, str) for part in found)
            if not is_fine:
                shown = "a secret" if "url" in key else f"{found!r:.80}"
                problems.append(f"{name}.{key}: expected {words}, found {shown}")
        elif _is_required(each):
            problems.append(f"{name}.{key}: missing")
    return None if len(problems) > before else kind(**table)


def _is_required(each: Any) -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def _site(
    name: str,
    table: Mapping[str, Any],
    port: int,
    problems: list[str],
    *,
    kind: type[SiteSection] = SiteSection,
) -> Any:
    found = _section(kind, name, {"port": port} | dict(table), problems)
    if found is None:
        return None
    if not 0 <= found.port <= PORT_MAX:
        problems.append(f"{name}.port: expected 0 to {PORT_MAX}, found {found.port}")
    try:
        ipaddress.ip_address(found.bind_address)
    except ValueError:
        problems.append(
            f"{name}.bind_address: expected an IP address such as 127.0.0.1 or 0.0.0.0, found {found.bind_address!r:.80}"
        )
    if found.public_url and not is_url(found.public_url):
        problems.append(
            f"{name}.public_url: expected http://HOST or https://HOST, found {found.public_url!r:.80}"
        )
    for index, network in enumerate(found.trusted_proxies):
        try:
            ipaddress.ip_network(network)
        except ValueError:
            problems.append(
                f"{name}.trusted_proxies[{index}]: expected a network such as 10.0.0.0/8, found {network!r:.80}"
            )
    return found


def _problems_of_alerts(alerts: AlertsSection) -> list[str]:
    problems = [
        f"alerts.metrics_urls[{index}]: expected http://HOST:PORT/metrics, found {url!r:.80}"
        for index, url in enumerate(alerts.metrics_urls)
        if not is_url(url)
    ]
    if (
        len(set(alerts.metrics_urls)) < len(alerts.metrics_urls)
        or len(alerts.metrics_urls) > _METRICS_URLS_MAX
    ):
        problems.append(f"alerts.metrics_urls: expected at most {_METRICS_URLS_MAX} addresses, each once")
    problems += [
        f"alerts.{name}: expected 1 to {most}, found {found}"
        for name, found, most in (
            ("node_cores", alerts.node_cores, _CORES_MAX),
            ("node_memory_mib", alerts.node_memory_mib, _MEMORY_MIB_MAX),
        )
        if not 1 <= found <= most
    ]
    return problems


def _problems_of_network(network: NetworkSection) -> list[str]:
    problems = []
    if not _NETWORK_NAME.fullmatch(network.network_id):
        problems.append(
            f"network.network_id: expected 1 to 64 lower-case letters, digits, dots, dashes and underscores, found {network.network_id!r:.80}"
        )
    if not 1 <= network.chain_id <= CHAIN_ID_MAX:
        problems.append(f"network.chain_id: expected 1 to 2^53 - 1, found {network.chain_id}")
    if not 1 <= len(network.rpc_urls) <= _RPC_URLS_MAX:
        problems.append(
            f"network.rpc_urls: expected 1 to {_RPC_URLS_MAX} addresses, found {len(network.rpc_urls)}"
        )
    problems += [
        f"network.{name}: expected one for each of the {len(network.rpc_urls)} rpc_urls, found {len(found)}"
        for name, found in (("node_names", network.node_names), ("metrics_urls", network.metrics_urls))
        if found and len(found) != len(network.rpc_urls)
    ]
    problems += [
        f"network.metrics_urls[{index}]: expected http://HOST:PORT/metrics, found {url!r:.80}"
        for index, url in enumerate(network.metrics_urls)
        if not is_url(url)
    ]
    problems += [
        f"network.rpc_urls[{index}]: expected http://HOST:PORT or https://HOST, found {url!r:.80}"
        for index, url in enumerate(network.rpc_urls)
        if not is_url(url)
    ]
    if network.public_rpc_url and not is_url(network.public_rpc_url):
        problems.append(
            f"network.public_rpc_url: expected http://HOST or https://HOST, found {network.public_rpc_url!r:.80}"
        )
    if network.public_ws_url and not _is_websocket_url(network.public_ws_url):
        problems.append(
            f"network.public_ws_url: expected ws://HOST or wss://HOST, found {network.public_ws_url!r:.80}"
        )
    if not network.public_rpc_url and network.rpc_urls and not _is_plain(network.rpc_urls[0]):
        # Not shown: it is what must stay here.
        problems.append(
            "network.public_rpc_url: expected the JSON-RPC that wallets reach, for the first of rpc_urls has more than a host and a port, "
            "and would be shown to everybody; found none"
        )
    if not _SYMBOL.fullmatch(network.currency_symbol):
        problems.append(
            f"network.currency_symbol: expected 1 to 11 letters and digits, found {network.currency_symbol!r:.80}"
        )
    return problems


def _shared_ports(config: ServicesConfig) -> list[str]:
    problems = []
    taken: dict[int, str] = {}
    for name in ("explorer", "api", "faucet", "gateway", "metrics"):
        site: SiteSection | None = getattr(config, name)
        if site is None or not site.enabled or site.port == 0:
            continue
        if site.port in taken:
            problems.append(
                f"{name}.port: {site.port} is the {taken[site.port]}'s already; give each its own"
            )
        taken.setdefault(site.port, name)
    return problems


def _names(table: Mapping[str, Any], problems: list[str]) -> dict[str, str]:
    names = {}
    if len(table) > _NAMES_MAX:
        problems.append(f"names: expected at most {_NAMES_MAX}, found {len(table)}")
        return {}
    for address, name in table.items():
        try:
            parse_address(address, field=f"names.{address[:60]}")
        except InvalidInput as error:
            problems.append(str(error))
            continue
        if not isinstance(name, str) or not 1 <= len(name) <= 64 or not name.isprintable():
            problems.append(f"names.{address}: expected 1 to 64 printable characters, found {name!r:.80}")
            continue
        names[address.lower()] = name
    return names


def _split(table: Mapping[str, Any], site_fields: set[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Where a service listens, and what else it is told."""
    return (
        {key: value for key, value in table.items() if key in site_fields},
        {key: value for key, value in table.items() if key not in site_fields},
    )


def is_url(text: str) -> bool:
    """Whether a text is an HTTP address with a host."""
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return False


def _is_websocket_url(text: str) -> bool:
    return text.startswith(("ws://", "wss://")) and is_url(text.replace("ws", "http", 1))


def _is_plain(text: str) -> bool:
    """Whether an address has nothing that may be a secret: no user, password, path or query."""
    parts = urlsplit(text) if is_url(text) else None
    return parts is None or not (
        parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    )


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return what somebody may have meant, for the end of a sentence; nothing when nothing is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else f"; expected {', '.join(known)}"
