"""The node's configuration: one or more TOML files, read once, checked whole, frozen.

`load_config` reports every problem at once, each with the file, the key, the index, what was found and what is
expected. Unknown keys are errors with a suggestion. `${NAME}` takes an environment variable, `${NAME:-value}` with a
default. Later files add to and override earlier ones. Nothing here opens a socket or reads a key file.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from metanode.crypto.addresses import format_address, is_checksum_wrong, parse_address
from metanode.errors import InvalidInput
from metanode.p2p.advertising import is_unspecified
from metanode.p2p.enode import Enode, is_host, parse_enode
from metanode.p2p.enode import format_address as format_host_port
from metanode.p2p.proofs import ENDPOINTS_MAX
from metanode.primitives.types import ADDRESS_BYTES, Address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_HOST_AND_PORT = re.compile(
    r"(?:\[(?P<ipv6>[^\[\]]*:[^\[\]]*)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[0-9]{1,5}))?"
)

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

DEFAULT_GAS_LIMIT = 60_000_000
"""EIP-7935's default; the seed's 8,000,000 stands in its own file."""

DEFAULT_REWARD_GWEI = 2_000_000_000
"""Two ether a block, as IBFT networks of the field pay."""


class ConfigError(InvalidInput):
    """A configuration that can't be used. `problems` holds one sentence each; the text shows them all."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def _address(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError(f"found {value!r}; expected an address, 0x and 40 hexadecimal digits, as text")
    digits = value.removeprefix("0x")
    wrong = next((index for index, digit in enumerate(digits) if digit not in "0123456789abcdefABCDEF"), None)
    if wrong is not None:
        raise ValueError(
            f"found {value!r}, where {digits[wrong]!r} at position {wrong + len(value) - len(digits) + 1} is not "
            "hexadecimal; expected 0x and 40 hexadecimal digits"
        )
    if len(digits) != 2 * ADDRESS_BYTES or digits == value:
        raise ValueError(f"found {value!r} with {len(digits)} digits; expected 0x and 40 hexadecimal digits")
    return parse_address(value)


def _enode(value: object) -> Enode:
    if isinstance(value, Enode):
        return value
    if not isinstance(value, str):
        raise ValueError(f"found {value!r}; expected enode://[node id@]host:port as text")
    try:
        return parse_enode(value)
    except InvalidInput as error:
        raise ValueError(str(error)) from None


def _ip_address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(f"found {value!r}; expected an IP address such as 127.0.0.1 or 0.0.0.0") from None


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise ValueError(f"found {value!r}; expected an IP address or network such as 10.0.0.0/8") from None


def _listen_address(value: object) -> HostPort:
    if isinstance(value, HostPort):
        return value
    host, separator, port = str(value).rpartition(":")
    if not separator or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ValueError(f"found {value!r}; expected ADDRESS:PORT such as 0.0.0.0:30303")
    return HostPort(_ip_address(host.strip("[]")), int(port))


def _advertised_address(value: object) -> AdvertisedAddress:
    if isinstance(value, AdvertisedAddress):
        return value
    found = _HOST_AND_PORT.fullmatch(value) if isinstance(value, str) else None
    host, port = (found["ipv6"] or found["host"], found["port"]) if found else ("", None)
    if not found:
        # An IPv6 address alone may stand without brackets.
        host = value if isinstance(value, str) and value.count(":") > 1 else ""
    if not is_host(host) or is_unspecified(host) or (port is not None and not 1 <= int(port) <= 65535):
        raise ValueError(
            f"found {value!r}; expected the name or IP address under which peers reach this node, with a port if it is "
            "not the listening one, such as node.example or 203.0.113.7:30303"
        )
    return AdvertisedAddress(host, None if port is None else int(port))


def _sentry(value: object) -> Enode:
    enode = _enode(value)
    if enode.node_id is None:
        raise ValueError(
            f"found {str(enode)!r} without a node id; expected enode://ID@HOST:PORT, for others are to trust it"
        )
    return enode


def _path(value: object) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"found {value!r}; expected the path of a file or directory, as text")
    return Path(value)


def _url(schemes: tuple[str, ...], example: str) -> Callable[[SecretStr], SecretStr]:
    """A check that a URL names a host; what is wrong is said without showing it, since it holds a password."""

    def check(value: SecretStr) -> SecretStr:
        try:
            parts = urlsplit(value.get_secret_value())
            is_usable = parts.scheme in schemes and parts.hostname is not None and parts.port != 0
        except ValueError:
            is_usable = False
        if not is_usable:
            raise ValueError(f"found no usable URL (not shown, it may hold a password); expected {example}")
        return value

    return check


@dataclass(frozen=True, slots=True)
class HostPort:
    """An IP address and a TCP (and UDP) port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class AdvertisedAddress:
    """A name or IP address, and a port if it is not the one we listen on."""

    host: str
    port: int | None

    def __str__(self) -> str:
        return self.host if self.port is None else format_host_port(self.host, self.port)


AddressField = Annotated[Address, BeforeValidator(_address)]
AdvertisedField = Annotated[AdvertisedAddress, BeforeValidator(_advertised_address)]
EnodeField = Annotated[Enode, BeforeValidator(_enode)]
SentryField = Annotated[Enode, BeforeValidator(_sentry)]
PathField = Annotated[Path, BeforeValidator(_path)]
IpAddress = Annotated[str, AfterValidator(_ip_address)]
IpNetwork = Annotated[str, AfterValidator(_network)]
Listen = Annotated[HostPort, BeforeValidator(_listen_address)]
PostgresUrl = Annotated[
    SecretStr,
    AfterValidator(_url(("postgresql", "postgres"), "postgresql://USER:PASSWORD@HOST:PORT/DATABASE")),
]
RedisUrl = Annotated[
    SecretStr, AfterValidator(_url(("redis", "rediss"), "redis://HOST:PORT or redis://:PASSWORD@HOST:PORT/0"))
]
Port = Annotated[int, Field(ge=0, le=65535)]


class Section(BaseModel):
    """What all sections share: frozen, strict, no unknown keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True, use_attribute_docstrings=True
    )


class NetworkSection(Section):
    """Which network this node belongs to, and who may use its public RPC."""

    network: Literal["local", "devnet", "testnet"] = "local"
    """The kind of network; shown in metrics, logs and `web3_clientVersion`."""
    chain_id: int = Field(default=1337, ge=1, le=2**53 - 1)
    """EIP-155 chain id; MetaMask accepts up to 2^53 - 1."""
    network_id: str = Field(default="metanode-local", pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    """The network's name. Peers of another name are refused."""
    public_rpc: bool = False
    """Serve RPC on `server.bind_address`; otherwise RPC stays on loopback whatever that says."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call the RPC; "*" is any, without credentials, never on the private listener."""


class ServerSection(Section):
    """Listeners of this node and of the services beside it."""

    bind_address: IpAddress = "127.0.0.1"
    """Where RPC listens when `network.public_rpc` is true, and the services beside it."""
    rpc_port: Port = 8545
    """HTTP and WebSocket JSON-RPC."""
    ws_port: Port | None = None
    """A second port that speaks WebSocket only."""
    private_port: Port | None = None
    """Admin and validator-vote calls, always on loopback."""
    metrics_port: Port | None = None
    """/metrics, /healthz and /readyz, on `metrics_address`."""
    metrics_address: IpAddress = "127.0.0.1"
    """The address of `metrics_port`; a private network, never the public one."""
    api_port: Port | None = None
    """Where the community API listens: /api/v1/status of this node until the services take it over."""
    dashboard_port: Port | None = None
    """Where the dashboard listens: a page with this node's status until the services take it over."""
    namespaces: tuple[str, ...] | None = None
    """RPC namespaces to serve; by default a longer list on loopback than elsewhere."""
    allowed_hosts: tuple[str, ...] | None = None
    """Host headers that are answered, beside literal IP addresses; "*" for any. By default any where `network.cors_origins` lets every page in, else localhost."""
    trusted_proxies: tuple[IpNetwork, ...] = ()
    """Proxies to which limits per address do not apply."""
    connections_max: int = Field(default=200, ge=1, le=65535)
    """HTTP and WebSocket connections at once, over all clients."""
    connections_per_address_max: int = Field(default=20, ge=1, le=65535)
    """The same for one client address; loopback and trusted proxies are exempt."""
    requests_per_address_per_second: int | None = Field(default=None, ge=1, le=1_000_000)
    """Calls of one client address a second, each of a batch for itself, with a burst of two seconds; none is no limit. Loopback and trusted proxies are exempt."""


class DatabaseSection(Section):
    """Databases of the services. The node itself needs none: it looks whether they answer, and goes on without them."""

    postgres_url: PostgresUrl | None = None
    """PostgreSQL of faucet and explorer; `services` in the status document says whether it answers."""
    redis_url: RedisUrl | None = None
    """Redis of the services, rate limits and caches; looked at in the same way."""


class ConsensusSection(Section):
    """The network's consensus when it starts from this file and not from a genesis file."""

    algorithm: Literal["ibft"] = "ibft"
    """IBFT 2.0: one validator, one vote."""
    block_time: int = Field(default=2, ge=1, le=3600)
    """The block period, seconds."""
    validators: tuple[AddressField, ...] = ()
    """The validators of the first block, in any order."""
    genesis_time: int = Field(default=1_767_225_600, ge=0, lt=2**63)
    """Seconds since the epoch; the same in every node's file. By default the first second of 2026."""


class MiningSection(Section):
    """Block production."""

    enabled: bool = True
    """Whether this node proposes and votes when it has a validator key."""
    rewards: bool = False
    """Pay `block_reward_gwei` to each block's proposer as an EIP-4895 withdrawal."""
    block_reward_gwei: int = Field(default=DEFAULT_REWARD_GWEI, ge=0, lt=2**64)
    """What `rewards` pays for each block."""
    gas_limit: int = Field(default=DEFAULT_GAS_LIMIT, ge=5_000, lt=2**63)
    """Gas limit of the genesis block, and the target after it."""


class ValidatorSection(Section):
    """This node's validator."""

    enabled: bool = False
    """Whether this node has a validator key to propose and vote with."""
    validator_key: SecretStr | None = None
    """`keystore:PATH`, or 64 hexadecimal digits, which only an environment variable should bring."""
    password_file: PathField | None = None
    """Password of the keystore; by default PATH with the suffix .password."""
    coinbase: AddressField | None = None
    """Receives fees and rewards of this validator's blocks; by default the validator's own address."""


class PeerSection(Section):
    """Peer to peer."""

    listen_address: Listen = HostPort("127.0.0.1", 30303)
    """Where peers connect (TCP), and where discovery answers (UDP)."""
    advertised_address: AdvertisedField | None = None
    """Where peers reach this node, HOST or HOST:PORT, when that is not `listen_address`: behind NAT, in a container. A name is resolved at
    each dial. By default the address that known peers see, or this machine's only one, if `listen_address` is 0.0.0.0."""
    sentries: tuple[SentryField, ...] = Field(default=(), max_length=ENDPOINTS_MAX)
    """Nodes in front of this validator: others are told of them in its place. It then connects with them and with `bootstrap_nodes`
    only, and takes no part in discovery."""
    bootstrap_nodes: tuple[EnodeField, ...] = ()
    """Peers to connect to; an id that is left out is learned at first contact and pinned."""
    max_peers: int = Field(default=25, ge=0, le=10_000)
    """Connections at once; validators have places of their own above it."""
    discovery: bool = True
    """Find peers by discv4 beside the bootstrap nodes."""
    node_key: PathField | None = None
    """File of the node's own key (64 hexadecimal digits, 0600); by default nodekey in the data directory."""


class StorageSection(Section):
    """Where and how much this node keeps."""

    directory: PathField | None = None
    """Data directory; by default the one that the command line gives."""
    cache_mib: int = Field(default=64, ge=8, le=1 << 20)
    """Memory of the engine's caches."""
    history_blocks: int | None = Field(default=None, ge=128)
    """Blocks whose state can be asked for; without it all of them."""


class PoolSection(Section):
    """The transaction pool."""

    pending_max: int = Field(default=65_536, ge=1)
    """Executable transactions kept."""
    queued_max: int = Field(default=8_192, ge=0)
    """Transactions kept that wait for an earlier nonce."""
    minimum_tip_wei: int = Field(default=1, ge=0)
    """Transactions that pay less a gas to the proposer are refused, and stay out of blocks built here."""


class LogSection(Section):
    """Logging."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least urgent events that are written."""
    format: Literal["console", "json"] = "console"
    """Lines for people, or one JSON object a line."""


class NodeConfig(Section):
    """Everything a node is told, checked. Its fields are the sections of the files."""

    network: NetworkSection = NetworkSection()
    server: ServerSection = ServerSection()
    database: DatabaseSection = DatabaseSection()
    consensus: ConsensusSection = ConsensusSection()
    mining: MiningSection = MiningSection()
    validator: ValidatorSection = ValidatorSection()
    p2p: PeerSection = PeerSection()
    storage: StorageSection = StorageSection()
    txpool: PoolSection = PoolSection()
    log: LogSection = LogSection()

    @property
    def rpc_host(self) -> str:
        """The address RPC listens on: public only when `network.public_rpc` says so."""
        return self.server.bind_address if self.network.public_rpc else "127.0.0.1"


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration and what its reader should know about it."""

    config: NodeConfig
    warnings: tuple[str, ...]

    def __iter__(self) -> Any:
        yield self.config
        yield self.warnings


class _File:
    """One parsed file; knows how to name its keys in messages."""

    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        self.path = path
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.tables = self._interpolated(self._read(), (), environment)

    def _read(self) -> dict[str, Any]:
        try:
            text = self.path.read_text(encoding="utf-8")
            if not text.strip("\0 \t\r\n"):
                # What a power cut leaves of a file. A node of defaults only would be another node, on other ports.
                self.problems.append(f"{self.path}: empty; write at least one section, or leave the file out")
                return {}
            return tomllib.loads(text)
        except OSError as error:
            self.problems.append(f"{self.path}: can't be read: {error.strerror}")
        except UnicodeDecodeError as error:
            self.problems.append(f"{self.path}: not UTF-8 at byte {error.start}")
        except tomllib.TOMLDecodeError as error:
            self.problems.append(f"{self.path}: not TOML: {error}")
        return {}

    def _interpolated(self, value: Any, key: tuple[str | int, ...], environment: Mapping[str, str]) -> Any:
        match value:
            case dict():
                return {name: self._interpolated(v, (*key, name), environment) for name, v in value.items()}
            case list():
                # Tuples, because a strict model takes no list for one.
                return tuple(self._interpolated(v, (*key, i), environment) for i, v in enumerate(value))
            case str():
                return VARIABLE.sub(lambda found: self._variable(found, key, environment), value)
            case _:
                return value

    def _variable(
        self, found: re.Match[str], key: tuple[str | int, ...], environment: Mapping[str, str]
    ) -> str:
        name, default = found.groups()
        value = environment.get(name, default)
        if value is None:
            self.problems.append(
                f"{self.path}: {dotted(key)}: environment variable {name} is not set; set it, or write ${{{name}:-value}}"
            )
            return ""
        return value


def load_config(paths: Sequence[Path], environment: Mapping[str, str] = os.environ) -> LoadedConfig:
    """Read the files in order, later ones overriding earlier ones key by key.

    Raises:
        ConfigError: with every problem of every file.
    """
    files = [_File(path, environment) for path in paths]
    problems = [problem for file in files for problem in file.problems]
    merged: dict[str, Any] = {}
    for file in files:
        if not file.problems:
            problems += _problems(file)
        for section, table in file.tables.items():
            if isinstance(table, dict) and isinstance(merged.get(section), dict):
                merged[section] = {**merged[section], **table}
            else:
                merged[section] = table
    if problems:
        raise ConfigError(problems)
    config = NodeConfig.model_validate(merged)
    problems = _cross_check(config, paths)
    if problems:
        raise ConfigError(problems)
    return LoadedConfig(config, tuple(warning for file in files for warning in _checksum_warnings(file)))


def _problems(file: _File) -> list[str]:
    try:
        NodeConfig.model_validate(file.tables)
    except ValidationError as error:
        return [f"{file.path}: {_sentence(detail)}" for detail in error.errors()]
    return []


def _sentence(detail: Any) -> str:
    key = tuple(part for part in detail["loc"] if part != "tuple")
    name = dotted(key)
    match detail["type"]:
        case "extra_forbidden":
            return f"{name}: unknown {'section' if len(key) == 1 else 'key'}{_suggestion(key)}"
        case "value_error":
            return f"{name}: {detail['ctx']['error']}"
        case "missing":
            return f"{name}: missing"
        case _:
            found = (
                "a secret"
                if "validator_key" in str(key[-1]) or "url" in str(key[-1])
                else repr(detail["input"])
            )
            return f"{name}: found {found[:100]}; {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _suggestion(key: tuple[str | int, ...]) -> str:
    sections: dict[str, type[BaseModel]] = {
        name: field.annotation
        for name, field in NodeConfig.model_fields.items()
        if isinstance(field.annotation, type)
    }
    if len(key) == 1:
        known = list(sections)
    else:
        known = list(sections[str(key[0])].model_fields) if str(key[0]) in sections else []
    close = difflib.get_close_matches(str(key[-1]), known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"


def _cross_check(config: NodeConfig, paths: Sequence[Path]) -> list[str]:
    """What only the whole configuration shows."""
    where = ", ".join(map(str, paths))
    problems = []
    if config.validator.enabled and config.validator.validator_key is None:
        problems.append(
            f"{where}: validator.validator_key: missing while validator.enabled is true; "
            "give keystore:PATH, or a key from the environment"
        )
    if config.p2p.sentries and not config.validator.enabled:
        problems.append(
            f"{where}: p2p.sentries: found {len(config.p2p.sentries)} while validator.enabled is false; only a validator stands behind sentries"
        )
    for index, enode in enumerate(config.p2p.bootstrap_nodes):
        if config.p2p.sentries and enode.node_id is None:
            problems.append(
                f"{where}: p2p.bootstrap_nodes[{index}]: found {enode} without a node id; expected enode://ID@HOST:PORT, "
                "for behind p2p.sentries ids are not asked for"
            )
    seen: dict[Address, int] = {}
    for index, address in enumerate(config.consensus.validators):
        if address in seen:
            problems.append(
                f"{where}: consensus.validators[{index}]: {format_address(address)} stands at [{seen[address]}] already"
            )
        seen.setdefault(address, index)
    listeners = [("p2p.listen_address", config.p2p.listen_address.port)] + [
        (f"server.{name}", port)
        for name in ("rpc_port", "ws_port", "private_port", "metrics_port", "api_port", "dashboard_port")
        if (port := getattr(config.server, name)) is not None
    ]
    taken: dict[int, str] = {}
    for name, port in listeners:
        if port != 0 and port in taken:
            problems.append(f"{where}: {name}: port {port} is {taken[port]}'s already; give each its own")
        taken.setdefault(port, name)
    return problems


def _checksum_warnings(file: _File) -> list[str]:
    """A mixed-case address with a wrong EIP-55 checksum is used, and its right spelling told."""
    warnings = []
    entries: list[tuple[tuple[str | int, ...], Any]] = [
        (("consensus", "validators", index), text)
        for index, text in enumerate(file.tables.get("consensus", {}).get("validators", ()))
    ]
    coinbase = file.tables.get("validator", {}).get("coinbase")
    if coinbase is not None:
        entries.append((("validator", "coinbase"), coinbase))
    for key, text in entries:
        if is_checksum_wrong(text):
            right = format_address(parse_address(text))
            warnings.append(
                f"{file.path}: {dotted(key)}: {text} has a wrong EIP-55 checksum; the right spelling is {right}"
            )
    return warnings


def dotted(key: Sequence[str | int]) -> str:
    """A key as messages show it: `consensus.validators[1]`."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
