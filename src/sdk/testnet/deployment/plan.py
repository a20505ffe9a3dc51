"""What a network consists of, decided before anything is written or started. Pure.

`NetworkSpec` is what a person says; `plan_network` turns it into a `NetworkPlan` where every node has a name, a role,
ports and peers. Renderers and appliers take the plan; no fact is typed twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Literal

from metanode.errors import InvalidInput

RPC_PORT_BASE = 8544
"""Validator n serves HTTP and WebSocket JSON-RPC on 8544 + n."""
P2P_PORT_BASE = 30303
"""Validator n listens for peers on 30303 + n; the bootstrap node has 30303 itself."""
METRICS_PORT_BASE = 9099
"""Validator n serves /metrics, /healthz and /readyz on 9099 + n."""
PRIVATE_PORT_BASE = 18544
"""Validator n serves admin and validator-vote calls on 18544 + n, loopback only."""
VALIDATORS_MAX = 100
"""Messages grow with the square of this, and all of them share one machine."""
PORT_MAX = 65_535
FAUCET_BALANCE_GWEI = 10_000_000 * 10**9
"""100 days of 1,000 requests of 100 tokens."""
OPERATOR = "faucet operator"
"""The page where the faucet is paused and its budget, lists and vouchers are made: for this machine, and behind a password."""
SERVICE_PORTS = {
    "faucet": 8080,
    OPERATOR: 8081,
    "explorer": 3000,
    "api": 9545,
    "gateway": 8645,
    "bootstrap": 30303,
    "registry": 9099,
    "prometheus": 9090,
    "grafana": 3001,
}
"""Of what stands beside the nodes. `registry` is what the bootstrap node says over HTTP; Grafana's own 3000 is the explorer's here."""
CHAIN_FILES = {"bootstrap": ("peers.json",), "faucet": ("faucet.db*",), "explorer": ("index.db*",)}
"""By the folder of a service of a deployment, the files that are of its chain: deleted where that is."""
NETWORK_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""What `network.network_id` of a node's configuration takes."""

Role = Literal["validator", "candidate", "follower"]
"""A validator votes from the genesis on; a candidate has a validator key, and follows until it is voted in; a follower has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """A network as a person asks for it."""

    network_name: str = "metanode-local"
    """Lower case letters, digits, dots, dashes; peers of another name are refused."""
    chain_id: int = 1337
    validator_count: int = 4
    block_time_s: int = 2
    gas_limit: int = 60_000_000
    block_reward_gwei: int = 0
    bind_address: str = "127.0.0.1"
    port_offset: int = 0
    """Added to every port, so that a second network fits beside the first."""


PRESETS: dict[str, NetworkSpec] = {
    "metanode-local": NetworkSpec(),
    "parvyom-testnet-v1": NetworkSpec(
        network_name="parvyom-testnet-v1", chain_id=1337, gas_limit=8_000_000, block_reward_gwei=2_000_000_000
    ),
    "moderntensor-testnet": NetworkSpec(
        network_name="moderntensor-testnet", chain_id=9999, validator_count=5
    ),
}
"""Networks known by name; what is asked beside the name overrides them."""


def reachable_host(bind_address: str) -> str:
    """Where this machine reaches what listens there."""
    return "127.0.0.1" if bind_address in ("0.0.0.0", "::") else bind_address  # noqa: S104 - compared, not bound


def url_host(host: str) -> str:
    """A host name or address as URLs have it."""
    return f"[{host}]" if ":" in host else host


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """One node: what it is called and where it listens."""

    name: str
    role: Role
    rpc_port: int
    p2p_port: int
    metrics_port: int
    private_port: int
    host: str = "127.0.0.1"
    """Where this machine reaches its JSON-RPC and its peers' port; the others are on loopback."""

    @property
    def rpc_url(self) -> str:
        """Its JSON-RPC from this machine."""
        return f"http://{url_host(self.host)}:{self.rpc_port}"

    @property
    def metrics_url(self) -> str:
        """Its metrics page, from this machine only."""
        return f"http://127.0.0.1:{self.metrics_port}/metrics"

    @property
    def private_url(self) -> str:
        """Admin and validator-vote calls, from this machine only."""
        return f"http://127.0.0.1:{self.private_port}"

    @property
    def ports(self) -> dict[str, int]:
        """Every port of the node by what it is for."""
        return {
            "rpc_port": self.rpc_port,
            "p2p_port": self.p2p_port,
            "metrics_port": self.metrics_port,
            "private_port": self.private_port,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramPlan:
    """A program beside the nodes: `python -m MODULE ARGUMENTS`, with a folder of its own as a node has one."""

    name: str
    module: str
    arguments: tuple[str, ...]
    """One of them is a path in its folder, by which its process is known again."""
    ports: dict[str, int]
    """What it listens on, by what it is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """A network with all its nodes."""

    spec: NetworkSpec
    nodes: tuple[NodePlan, ...] = field(default=())
    programs: tuple[ProgramPlan, ...] = field(default=())
    """What the supervisor keeps running beside them."""

    @property
    def validators(self) -> tuple[NodePlan, ...]:
        """The nodes that vote from the genesis on."""
        return tuple(node for node in self.nodes if node.role == "validator")

    @property
    def processes(self) -> tuple[NodePlan | ProgramPlan, ...]:
        """Everything that is kept running."""
        return (*self.nodes, *self.programs)

    @property
    def with_keys(self) -> tuple[NodePlan, ...]:
        """The nodes that have a validator key: who may be in the set that the votes have made."""
        return tuple(node for node in self.nodes if node.role != "follower")

    def with_node(self, role: Literal["candidate", "follower"]) -> NetworkPlan:
        """The same network with one more node; raises InvalidInput when no ports are left."""
        same = sum(node.role == role for node in self.nodes)
        node = _node(f"{role}-{same + 1}", role, len(self.nodes) + 1, self.spec)
        _check_ports(self.spec, (node,))
        return replace(self, nodes=(*self.nodes, node))


def plan_network(spec: NetworkSpec) -> NetworkPlan:
    """Give every node of `spec` its name and ports.

    Raises:
        InvalidInput: when a number is out of its range; the sentence names the field.
    """
    if not 1 <= spec.validator_count <= VALIDATORS_MAX:
        raise InvalidInput(f"validators: found {spec.validator_count}; expected 1 to {VALIDATORS_MAX}")
    if not 1 <= spec.chain_id <= 2**53 - 1:
        raise InvalidInput(
            f"chain id: found {spec.chain_id}; expected 1 to 2^53 - 1, which every wallet can read"
        )
    if not 1 <= spec.block_time_s <= 3600:
        raise InvalidInput(f"block time: found {spec.block_time_s} s; expected whole seconds, 1 to 3600")
    if not NETWORK_NAME.fullmatch(spec.network_name):
        raise InvalidInput(
            f"network: found {spec.network_name[:80]!r}; expected 1 to 64 lower-case letters, digits, dots, dashes and "
            "underscores, the first a letter or digit"
        )
    nodes = tuple(_node(f"validator-{n}", "validator", n, spec) for n in range(1, spec.validator_count + 1))
    _check_ports(spec, nodes)
    return NetworkPlan(spec=spec, nodes=nodes)


def _check_ports(spec: NetworkSpec, nodes: tuple[NodePlan, ...]) -> None:
    """Refuse an offset that puts a port where there is none."""
    ports = [port for node in nodes for port in node.ports.values()]
    if min(ports) < 1 or max(ports) > PORT_MAX:
        low, high = spec.port_offset + 1 - min(ports), spec.port_offset + PORT_MAX - max(ports)
        raise InvalidInput(
            f"port offset: found {spec.port_offset}, which gives the ports {min(ports)} to {max(ports)}; expected {low} to {high}"
        )


def _node(name: str, role: Role, number: int, spec: NetworkSpec) -> NodePlan:
    offset = spec.port_offset + number
    return NodePlan(
        name=name,
        role=role,
        rpc_port=RPC_PORT_BASE + offset,
        p2p_port=P2P_PORT_BASE + offset,
        metrics_port=METRICS_PORT_BASE + offset,
        private_port=PRIVATE_PORT_BASE + offset,
        host=reachable_host(spec.bind_address),
    )
