"""`GatewaySettings`: what `[gateway]` says beside where it listens. Every method that is not named is refused."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from metanode.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

READS: Final = frozenset(
    {
        "eth_accounts",
        "eth_baseFee",
        "eth_blobBaseFee",
        "eth_blockNumber",
        "eth_call",
        "eth_capabilities",
        "eth_chainId",
        "eth_config",
        "eth_createAccessList",
        "eth_estimateGas",
        "eth_feeHistory",
        "eth_gasPrice",
        "eth_getBalance",
        "eth_getBlockByHash",
        "eth_getBlockByNumber",
        "eth_getBlockReceipts",
        "eth_getBlockTransactionCountByHash",
        "eth_getBlockTransactionCountByNumber",
        "eth_getCode",
        "eth_getFilterChanges",
        "eth_getFilterLogs",
        "eth_getHeaderByHash",
        "eth_getHeaderByNumber",
        "eth_getLogs",
        "eth_getProof",
        "eth_getRawTransactionByBlockHashAndIndex",
        "eth_getRawTransactionByBlockNumberAndIndex",
        "eth_getRawTransactionByHash",
        "eth_getStorageAt",
        "eth_getStorageValues",
        "eth_getTransactionByBlockHashAndIndex",
        "eth_getTransactionByBlockNumberAndIndex",
        "eth_getTransactionByHash",
        "eth_getTransactionCount",
        "eth_getTransactionReceipt",
        "eth_getUncleByBlockHashAndIndex",
        "eth_getUncleByBlockNumberAndIndex",
        "eth_getUncleCountByBlockHash",
        "eth_getUncleCountByBlockNumber",
        "eth_maxPriorityFeePerGas",
        "eth_newBlockFilter",
        "eth_newFilter",
        "eth_newPendingTransactionFilter",
        "eth_simulateV1",
        "eth_subscribe",
        "eth_syncing",
        "eth_uninstallFilter",
        "eth_unsubscribe",
        "ibft_getCommitCertificate",
        "ibft_getEpochInfo",
        "ibft_getEvidence",
        "ibft_getNetworkState",
        "ibft_getPendingVotes",
        "ibft_getRawHeader",
        "ibft_getSignerMetrics",
        "ibft_getValidatorsByBlockHash",
        "ibft_getValidatorsByBlockNumber",
        "net_listening",
        "net_peerCount",
        "net_version",
        "rpc_discover",
        "rpc_modules",
        "web3_clientVersion",
        "web3_sha3",
    }
)
"""What changes nothing, costs no node more than a call's limits allow, and says nothing of where nodes are.

`ibft_getConsensusState` is not here, for it has addresses, clocks and distances of a node's peers: `ibft_getNetworkState` is what of it is for everybody.
"""
WRITES: Final = frozenset({"eth_sendRawTransaction", "eth_sendRawTransactionSync"})
DEFAULT_METHODS: Final = READS | WRITES
NEVER: Final = ("admin", "personal", "miner", "engine")
"""Namespaces that no gateway serves: they are of the operator of one node."""
NEVER_METHODS: Final = frozenset(
    {
        "eth_sign",
        "eth_signTransaction",
        "eth_sendTransaction",
        "ibft_proposeValidatorVote",
        "ibft_discardValidatorVote",
    }
)
"""The same by name: nodes' keys and votes."""
DEFAULT_WEIGHTS: Final = {
    "eth_call": 10,
    "eth_estimateGas": 10,
    "eth_createAccessList": 10,
    "eth_getProof": 10,
    "eth_getBlockReceipts": 10,
    "eth_feeHistory": 5,
    "eth_simulateV1": 20,
    "eth_getLogs": 20,
    "eth_getFilterLogs": 20,
    "eth_sendRawTransaction": 5,
    "eth_sendRawTransactionSync": 10,
}
"""Units of a call; one for every other method."""
TRACE_WEIGHT: Final = 50
"""Of methods that run a transaction again, where no weight is given."""
_METHOD: Final = re.compile(r"[a-z0-9]{1,20}_[A-Za-z0-9]{1,60}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Limits of a gateway. Raises InvalidInput with a line for each problem."""

    websocket_port: int = 0
    """A second port for WebSocket alone; 0 serves it only beside HTTP."""
    extra_methods: tuple[str, ...] = ()
    """Answered beside those of `DEFAULT_METHODS`, such as `debug_traceTransaction`."""
    refused_methods: tuple[str, ...] = ()
    """Of `DEFAULT_METHODS`, those that are not answered."""
    units_per_second: int = 200
    """What one client may use: an IPv4 address, or an IPv6 /64. 0 is no limit."""
    burst_units: int = 2_000
    """What a client who was quiet may use at once: ten seconds."""
    units_per_second_of_all: int = 10_000
    """What all clients together may use, with a burst of two seconds; 0 is no limit. Fifty clients at their full rate, and less than half of the 23,000 reads
    a second that passed through a gateway on two cores with its four nodes: what is left makes blocks."""
    weights: Mapping[str, int] = field(default_factory=dict)
    """Units of single methods, before those of `DEFAULT_WEIGHTS`."""
    calls_per_second: Mapping[str, int] = field(default_factory=dict)
    """Calls of single methods by one client, beside the units."""
    batch_items_max: int = 50
    log_blocks_max: int = 5_000
    """Between the first and the last block of `eth_getLogs`."""
    lag_blocks_max: int = 2
    """A node that is further behind the newest block is asked for nothing."""
    copies_of_writes: int = 3
    """Nodes that a transaction is handed to."""
    transactions_per_minute_of_sender: int = 600
    """What nodes take of one key, whatever addresses send it; 0 is no limit. Ten a second are twenty of the 2,857 transfers that fit into a block of 60 M gas
    every two seconds: no key fills a hundredth of the chain with transfers for long. What they cost in gas beside that, fees bound."""
    burst_transactions_of_sender: int = 600
    """What a key that was quiet may send at once, beside what is on its way at that moment: a minute's, so that a script deploys hundreds of contracts without
    a pause."""
    call_timeout_s: int = 10
    connections_max: int = 2_000
    connections_per_address_max: int = 50
    """Not for loopback and trusted proxies."""
    cors_origins: tuple[str, ...] | None = None
    """Web pages that may ask; None is all, or none where only this machine can reach the gateway."""
    hosts: tuple[str, ...] | None = None
    """Names in the Host header; None is all, or localhost where only this machine can reach the gateway."""

    def __post_init__(self) -> None:
        problems = [
            f"{name}: expected {low:,} to {high:,}, found {value:,}"
            for name, low, high in _RANGES
            if not low <= (value := getattr(self, name)) <= high
        ]
        for name in ("extra_methods", "refused_methods", "weights", "calls_per_second"):
            problems += [
                f"{name}: expected names such as eth_call, found {method!r:.80}"
                for method in getattr(self, name)
                if not _METHOD.fullmatch(method)
            ]
        problems += [
            f"extra_methods: {method} is for the operator of a node, and is served by no gateway"
            for method in self.extra_methods
            if method.split("_")[0] in NEVER or method in NEVER_METHODS
        ]
        problems += [
            f"refused_methods: {method!r:.80} is not answered anyway"
            for method in self.refused_methods
            if method not in DEFAULT_METHODS
        ]
        for name in ("weights", "calls_per_second"):
            problems += [
                f"{name}.{method}: expected 1 to 1,000,000, found {value!r:.40}"
                for method, value in getattr(self, name).items()
                if type(value) is not int or not 1 <= value <= 1_000_000
            ]
        if self.units_per_second and self.burst_units < self.units_per_second:
            problems.append(
                f"burst_units: expected at least units_per_second ({self.units_per_second:,}), found {self.burst_units:,}"
            )
        if 0 < self.units_per_second_of_all < self.units_per_second:
            problems.append(
                f"units_per_second_of_all: expected 0 or at least units_per_second ({self.units_per_second:,}), "
                f"found {self.units_per_second_of_all:,}"
            )
        if problems:
            raise InvalidInput("\n".join(problems))

    @property
    def methods(self) -> frozenset[str]:
        """Every method that is answered."""
        return (DEFAULT_METHODS | set(self.extra_methods)) - set(self.refused_methods)

    @property
    def all_weights(self) -> dict[str, int]:
        """Units by method, for those that cost more than one."""
        traces = {
            method: TRACE_WEIGHT
            for method in self.extra_methods
            if method.startswith(("debug_", "trace_", "ots_"))
        }
        return {**DEFAULT_WEIGHTS, **traces, **self.weights}


_RANGES: Final = (
    ("websocket_port", 0, 65_535),
    ("units_per_second", 0, 1_000_000),
    ("burst_units", 1, 10_000_000),
    ("units_per_second_of_all", 0, 10_000_000),
    ("batch_items_max", 1, 1_000),
    ("log_blocks_max", 1, 1_000_000),
    ("lag_blocks_max", 0, 100),
    ("copies_of_writes", 1, 10),
    ("transactions_per_minute_of_sender", 0, 1_000_000),
    ("burst_transactions_of_sender", 1, 1_000_000),
    ("call_timeout_s", 1, 120),
    ("connections_max", 1, 100_000),
    ("connections_per_address_max", 1, 100_000),
)


def read_settings(table: Mapping[str, Any]) -> GatewaySettings:
    """Read what a TOML table says; raises InvalidInput with a line for each problem, its key first."""
    known = {each.name: str(each.type) for each in fields(GatewaySettings)}
    problems = []
    for key, found in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, list(known), n=1)
            hint = f"did you mean {near[0]}?" if near else f"expected some of {', '.join(known)}"
            problems.append(f"{key}: no such setting; {hint}")
            continue
        expected, is_fine = _shape(known[key], found)
        if not is_fine:
            problems.append(f"{key}: expected {expected}, found {found!r:.80}")
    if problems:
        raise InvalidInput("\n".join(problems))
    return GatewaySettings(**table)


def _shape(annotation: str, found: Any) -> tuple[str, bool]:
    if annotation == "int":
        return "a whole number", type(found) is int
    if annotation.startswith("tuple"):
        return "a list of texts", isinstance(found, tuple) and all(isinstance(each, str) for each in found)
    return "a table of whole numbers", isinstance(found, dict)
