"""A deployment decided before anything is written: nodes, services, ports, users and paths. Pure.

Renderers take the plan; what they need of keys comes beside it as `Identity`.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metanode.crypto.addresses import format_address, parse_address
from metanode.errors import InvalidInput
from sdk.testnet.deployment.configuration import IMAGE, PARVYOM, PRESET_DEFAULT, SERVICES, DeploymentConfig
from sdk.testnet.deployment.plan import (
    PORT_MAX,
    SERVICE_PORTS,
    NetworkPlan,
    NetworkSpec,
    plan_network,
    reachable_host,
)
from sdk.testnet.genesis.checks import SUPPLY_TOKENS_MAX
from sdk.testnet.genesis.configuration import TOTAL_SUPPLY_DEFAULT, ConsensusConfig
from sdk.testnet.monitoring.alerts.webhooks_file import parse_webhook

if TYPE_CHECKING:
    from pathlib import Path

    from metanode.primitives.types import Address

RPC_PORT: Final = 8545
WS_PORT: Final = 8546
P2P_PORT: Final = 30303
METRICS_PORT: Final = 9100
PRIVATE_PORT: Final = 18545
API_PORT: Final = 9545
DASHBOARD_PORT: Final = 3000
FAUCET_PORT: Final = 8080
OPERATOR_PORT: Final = 8081
COORDINATOR_RPC_PORT: Final = 8555
GATEWAY_PORT: Final = 8645
"""Ports inside containers, where every node has an address of its own."""

_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_HOST_AND_PORT: Final = re.compile(_HOST.pattern + r":[0-9]{1,5}")
PROJECT_DIGITS: Final = 6
_GWEI_PER_TOKEN: Final = 10**9
_IMAGE: Final = re.compile(r"[a-z0-9][a-zA-Z0-9._/:@-]{0,254}")


@dataclass(frozen=True, slots=True)
class Owner:
    """A user and a group by number."""

    user: int
    group: int

    def __str__(self) -> str:
        return f"{self.user}:{self.group}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What others know of a node: no secret."""

    validator: Address | None
    """Of its validator key; None of a node that has none."""
    public_key: bytes | None
    """64 bytes, of the validator key."""
    node_id: bytes
    """64 bytes, the public key of the node's own key; none of what is no node."""
    account: Address | None = None
    """Of an account that pays, and is no validator's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentPlan:
    """A deployment with all its parts."""

    config: DeploymentConfig
    network: NetworkPlan
    """The same nodes as processes on this machine; containers publish the same ports."""
    owner: Owner
    """Whom containers run as."""
    output: Path
    compose_folder: Path
    """Where the Compose file stands: `output`, unless it was asked for elsewhere."""
    genesis: Path
    data: Path
    image: str
    preset: str | None
    services: tuple[str, ...]

    @property
    def is_parvyom(self) -> bool:
        """Whether the Compose file is that of the plan for a public testnet."""
        return self.preset == PARVYOM

    @property
    def is_on_loopback(self) -> bool:
        """Whether published ports are for this machine only."""
        return ipaddress.IPv4Address(self.config.bind_address).is_loopback

    @property
    def public_host(self) -> str:
        """What people call this machine in URLs."""
        address = self.config.bind_address
        here = "localhost" if self.is_on_loopback or address == "0.0.0.0" else address  # noqa: S104 - compared
        return self.config.public_host or here

    @property
    def has_public_faucet(self) -> bool:
        """Whether strangers are taken for the faucet's visitors: it asks them to compute, and gives each less."""
        asked = self.config.public_faucet
        return asked if asked is not None else not self.is_on_loopback or self.config.public_host is not None

    @property
    def peers_address(self) -> str:
        """Where the ports of peers listen."""
        return self.config.peers_bind_address or self.config.bind_address

    @property
    def peers_host(self) -> str:
        """Where nodes that are not of this deployment reach its peers' ports."""
        return self.config.public_host or reachable_host(self.peers_address)

    @property
    def total_supply(self) -> int:
        """Whole tokens that stakes and balances are at most."""
        needed = supply_needed(self.config)
        return (
            max(TOTAL_SUPPLY_DEFAULT, needed)
            if self.config.total_supply is None
            else self.config.total_supply
        )

    @property
    def project(self) -> str:
        """What Compose calls it: the network, and a few digits of its folder, so that two of one name do not meet."""
        digits = hashlib.sha256(str(self.output).encode()).hexdigest()[:PROJECT_DIGITS]
        return f"{self.config.network_name.replace('.', '-')}-{digits}"

    @property
    def secrets(self) -> Path:
        """The folder of passwords."""
        return self.output / "secrets"

    @property
    def webhooks_file(self) -> Path:
        """Who is told of alerts."""
        return self.secrets / "webhooks.txt"

    @property
    def homes(self) -> tuple[str, ...]:
        """Folders below `data` of what is no validator and no follower."""
        monitoring = ("prometheus", "grafana") if self.has("monitoring") else ()
        # A gateway keeps nothing.
        return (*(name for name in self.services if name not in ("monitoring", "gateway")), *monitoring)

    @property
    def operator_password_file(self) -> Path:
        """What lets somebody into the faucet's operator page."""
        return self.secrets / "faucet-operator.password"

    def published(self, service: str) -> int:
        """The port of a service on this machine."""
        return SERVICE_PORTS[service] + self.config.port_offset

    def peers_port(self, node: str) -> int:
        """The port of a validator's peers on this machine."""
        place = [validator.name for validator in self.network.validators].index(node)
        # The plan for a public testnet gives the first one the port that is the bootstrap node's elsewhere.
        return self.network.validators[place].p2p_port - (1 if self.is_parvyom else 0)

    def has(self, service: str) -> bool:
        """Whether the deployment has this service."""
        return service in self.services

    @property
    def public_rpc_port(self) -> int:
        """The published port of the JSON-RPC that people are told of: the gateway's, or the first node's where there is none."""
        if self.is_parvyom:
            return RPC_PORT + self.config.port_offset
        return self.published("gateway") if self.has("gateway") else self.network.validators[0].rpc_port

    @property
    def coordinator_rpc_port(self) -> int:
        """JSON-RPC of the node of bpci-server in its container: the ports of the plan are its gateway's, where it has one."""
        return COORDINATOR_RPC_PORT if self.has("gateway") else RPC_PORT

    @property
    def are_nodes_hidden(self) -> bool:
        """Whether the JSON-RPC of nodes is published nowhere: people have the gateway."""
        return self.is_parvyom and self.has("gateway")

    @property
    def has_pages(self) -> bool:
        """Whether it has explorer, dashboard and community API; bpci-server of the plan for a public testnet always has."""
        return self.has("explorer") or self.is_parvyom

    def mounted(self, path: Path) -> str:
        """A path as the Compose file says it: relative to the file where it can be moved along with it."""
        if not path.is_relative_to(self.compose_folder):
            return str(path)
        return f"./{path.relative_to(self.compose_folder)}" if path != self.compose_folder else "."


def plan_deployment(config: DeploymentConfig, *, owner: Owner) -> DeploymentPlan:
    """Decide everything about a deployment whose `data/` belongs to `owner`.

    Raises:
        InvalidInput: with a line for each field that is wrong.
    """
    problems = _find_problems(config)
    network = None
    try:
        network = plan_network(_spec(config))
    except InvalidInput as error:
        problems += str(error).replace("validators:", "num_validators:", 1).splitlines()
    except TypeError:
        # What is no number has its sentence already.
        assert problems
    if problems or network is None:
        raise InvalidInput("\n".join(problems))
    if problems := _problems_of_supply(config):
        raise InvalidInput("\n".join(problems))
    is_parvyom = config.preset == PARVYOM
    return DeploymentPlan(
        config=config,
        network=network,
        owner=owner,
        output=config.output_path,
        compose_folder=config.output_path,
        genesis=config.genesis_path,
        data=config.data_path,
        image=config.image or ("parvyom/metanode-validator:latest" if is_parvyom else IMAGE),
        preset=config.preset,
        # The plan for a public testnet has no bootstrap node, and its pages and its gateway are those of bpci-server.
        services=tuple(
            name for name in config.services if name in ("faucet", "gateway", "monitoring") or not is_parvyom
        ),
    )


def _spec(config: DeploymentConfig) -> NetworkSpec:
    return NetworkSpec(
        network_name=config.network_name,
        chain_id=config.chain_id,
        validator_count=config.num_validators,
        block_time_s=config.block_time_s,
        gas_limit=config.gas_limit,
        block_reward_gwei=config.block_reward_gwei,
        bind_address=config.bind_address,
        port_offset=config.port_offset,
    )


def _find_problems(config: DeploymentConfig) -> list[str]:
    """A sentence for each field that the network's own plan does not look at."""
    problems = [
        f"{name}: expected a whole number, found {value!r:.80}"
        for name in (
            "chain_id", "num_validators", "block_time_s", "validator_stake", "faucet_balance",
            "gas_limit", "block_reward_gwei", "port_offset",
        )
        if type(value := getattr(config, name)) is not int
    ]  # fmt: skip
    if not isinstance(config.network_name, str):
        problems.append(f"network_name: expected text, found {config.network_name!r:.80}")
    if config.consensus_type not in ("pos", "ibft"):
        problems.append(f"consensus_type: expected 'pos' or 'ibft', found {config.consensus_type!r:.80}")
    if config.preset not in (None, PRESET_DEFAULT, PARVYOM):
        problems.append(
            f"preset: expected {PARVYOM!r}, {PRESET_DEFAULT!r} or nothing, found {config.preset!r:.80}"
        )
    if config.public_faucet not in (None, True, False):
        problems.append(f"public_faucet: expected true, false or nothing, found {config.public_faucet!r:.80}")
    problems += [
        f"services: expected names of {', '.join(SERVICES)}, found {name!r:.80}"
        for name in config.services
        if name not in SERVICES
    ]
    for name, value in (("image", config.image), ("base_image", config.base_image)):
        if value is not None and not _IMAGE.fullmatch(str(value)):
            problems.append(f"{name}: expected the name of an image such as {IMAGE}, found {value!r:.80}")
    problems += [
        f"{name}: expected an IPv4 address such as 127.0.0.1 or 0.0.0.0, found {value!r:.80}"
        for name, value in (
            ("bind_address", config.bind_address),
            ("peers_bind_address", config.peers_bind_address),
        )
        if not _is_ipv4(value) and not (name.startswith("peers") and value is None)
    ]
    for name, value, pattern, example in (
        ("public_host", config.public_host, _HOST, "testnet.example.org"),
        ("alertmanager", config.alertmanager, _HOST_AND_PORT, "alertmanager:9093"),
    ):
        if value is not None and not pattern.fullmatch(str(value)):
            problems.append(f"{name}: expected a name or an address such as {example}, found {value!r:.80}")
    problems += _problems_of_webhooks(config)
    problems += _problems_of_accounts(config)
    if type(config.port_offset) is int:
        problems += [
            f"port_offset: found {config.port_offset}, which puts {service} on {port}; expected a port from 1 to {PORT_MAX}"
            for service, base in SERVICE_PORTS.items()
            if not 1 <= (port := base + config.port_offset) <= PORT_MAX
        ]
    paths = [config.genesis_path, config.data_path, config.output_path]
    problems += [
        f"{path}: Compose takes no path with a colon or a line break"
        for path in paths
        if ":" in str(path) or not str(path).isprintable()
    ]
    if len(set(paths)) < len(paths):
        problems.append(
            f"genesis_dir, data_dir and output_dir: expected three folders, found {config.genesis_path}, {config.data_path} and "
            f"{config.output_path}"
        )
    return problems


def _is_ipv4(value: object) -> bool:
    try:
        return isinstance(value, str) and str(ipaddress.IPv4Address(value)) == value
    except ValueError:
        return False


def supply_needed(config: DeploymentConfig) -> int:
    """Whole tokens that the stakes and the balances of a deployment are together."""
    balances_gwei = config.faucet_balance + sum(config.accounts.values())
    return config.num_validators * config.validator_stake - (-balances_gwei // _GWEI_PER_TOKEN)


def _problems_of_supply(config: DeploymentConfig) -> list[str]:
    """What the genesis would say of stakes and balances, in the words of this form."""
    problems = []
    least = ConsensusConfig().min_stake
    if config.validator_stake < least:
        problems.append(f"validator_stake: expected at least {least} tokens, found {config.validator_stake}")
    if config.faucet_balance < 0:
        problems.append(f"faucet_balance: expected 0 gwei or more, found {config.faucet_balance}")
    supply = config.total_supply
    if supply is not None and type(supply) is not int:
        problems.append(f"total_supply: expected a whole number of tokens, found {supply!r:.80}")
    if problems:
        return problems
    needed = supply_needed(config)
    if needed > SUPPLY_TOKENS_MAX or (supply is not None and needed > supply):
        limit = (
            f"total_supply, {supply}"
            if supply is not None
            else f"{SUPPLY_TOKENS_MAX}, which a network can have"
        )
        problems.append(
            f"validator_stake, faucet_balance, accounts: {config.num_validators} validators of {config.validator_stake} tokens and "
            f"the balances are {needed} tokens together; expected at most {limit}"
        )
    return problems


def _problems_of_webhooks(config: DeploymentConfig) -> list[str]:
    """They may hold secrets, and are not repeated."""
    if config.webhooks is None:
        return []
    given: object = config.webhooks
    if not isinstance(given, list | tuple) or not all(
        isinstance(line, str) and line.strip() for line in given
    ):
        return ["webhooks: expected a list of addresses"]
    problems = []
    for place, line in enumerate(config.webhooks):
        try:
            parse_webhook(line, f"webhooks[{place}]")
        except InvalidInput as error:
            problems.append(str(error))
    return problems


def _problems_of_accounts(config: DeploymentConfig) -> list[str]:
    problems = []
    seen: dict[bytes, str] = {}
    for text, balance in config.accounts.items():
        try:
            address = parse_address(text)
        except (InvalidInput, AttributeError, TypeError):
            problems.append(f"accounts: expected 0x and 40 hexadecimal digits, found {text!r:.80}")
            continue
        if (first := seen.setdefault(address, text)) != text:
            problems.append(
                f"accounts: {format_address(address)} stands there twice, as {first!r} and {text!r}"
            )
        if type(balance) is not int or balance < 0:
            problems.append(f"accounts[{text}]: expected a whole number of gwei, found {balance!r:.80}")
    return problems
