"""A deployment decided before anything is written: nodes, services, ports, users and paths. Pure.

Renderers take the plan; what they need of keys comes beside it as `Identity`.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metanode.crypto.addresses import format_address, parse_address
from metanode.errors import InvalidInput
from sdk.testnet.deployment.configuration import IMAGE, PARVYOM, SERVICES, DeploymentConfig
from sdk.testnet.deployment.plan import PORT_MAX, NetworkPlan, NetworkSpec, plan_network

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
"""Ports inside containers, where every node has an address of its own."""

SERVICE_PORTS: Final = {
    "faucet": 8080,
    "explorer": 3000,
    "api": 9545,
    "bootstrap": 30303,
    "registry": 9099,
    "prometheus": 9090,
    "grafana": 3001,
}
"""Published ports. `registry` is what the bootstrap node says over HTTP; Grafana's own 3000 is the explorer's here."""

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
    """64 bytes, the public key of the node's own key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentPlan:
    """A deployment with all its parts."""

    config: DeploymentConfig
    network: NetworkPlan
    """The same nodes as processes on this machine; containers publish the same ports."""
    owner: Owner
    """Whom containers run as."""
    output: Path
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
        """What people on this machine call it in URLs."""
        address = self.config.bind_address
        return "localhost" if self.is_on_loopback or address == "0.0.0.0" else address  # noqa: S104 - compared

    @property
    def project(self) -> str:
        """What Compose calls it."""
        return self.config.network_name.replace(".", "-")

    @property
    def secrets(self) -> Path:
        """The folder of passwords."""
        return self.output / "secrets"

    @property
    def homes(self) -> tuple[str, ...]:
        """Folders below `data` of what is no validator and no follower."""
        monitoring = ("prometheus", "grafana") if self.has("monitoring") else ()
        return (*(name for name in self.services if name != "monitoring"), *monitoring)

    def published(self, service: str) -> int:
        """The port of a service on this machine."""
        return SERVICE_PORTS[service] + self.config.port_offset

    def has(self, service: str) -> bool:
        """Whether the deployment has this service."""
        return service in self.services

    def mounted(self, path: Path) -> str:
        """A path as the Compose file says it: relative to the file where it can be moved along with it."""
        return f"./{path.relative_to(self.output)}" if path.is_relative_to(self.output) else str(path)


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
    is_parvyom = config.preset == PARVYOM
    return DeploymentPlan(
        config=config,
        network=network,
        owner=owner,
        output=config.output_path,
        genesis=config.genesis_path,
        data=config.data_path,
        image=config.image or ("parvyom/metanode-validator:latest" if is_parvyom else IMAGE),
        preset=config.preset,
        services=tuple(name for name in config.services if name == "monitoring" or not is_parvyom),
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
    if config.preset not in (None, PARVYOM):
        problems.append(f"preset: expected {PARVYOM!r} or nothing, found {config.preset!r:.80}")
    problems += [
        f"services: expected names of {', '.join(SERVICES)}, found {name!r:.80}"
        for name in config.services
        if name not in SERVICES
    ]
    for name, value in (("image", config.image), ("base_image", config.base_image)):
        if value is not None and not _IMAGE.fullmatch(str(value)):
            problems.append(f"{name}: expected the name of an image such as {IMAGE}, found {value!r:.80}")
    if not _is_ipv4(config.bind_address):
        problems.append(
            f"bind_address: expected an IPv4 address such as 127.0.0.1 or 0.0.0.0, found {config.bind_address!r:.80}"
        )
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
