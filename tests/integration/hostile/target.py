"""The node that is attacked: one real validator process that makes a block each second, with everything on loopback.

One validator is the most sensitive: nobody else makes the blocks that it misses.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
from tests.acceptance.processes import NodeProcess, free_ports, running, wait_height
from tests.integration.hostile import memory

from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey
from metanode.primitives import rlp
from metanode.primitives.hexadecimal import encode_data
from metanode.primitives.units import WEI_PER_TOKEN
from sdk.testnet.deployment.apply import local
from sdk.testnet.deployment.apply.accounts import funded_accounts
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import NetworkSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHAIN_ID: Final = 1337
PERIOD_S: Final = 1
CONNECTIONS_MAX: Final = 700
"""Above the 500 slow sockets of row 5, below the 1,000 of row 12."""
SENDERS: Final = 1_000
"""Funded accounts of the flood of row 18, beside the ten of every local network."""
LOGGER: Final = "0x" + "10" * 20
"""A contract that writes as many logs as the word it is called with says."""
LOGGER_CODE: Final = "0x5f355b8015601357" + "5f5f5fa1" + "600190036002565b00"
LOGS_OF_A_TRANSACTION: Final = 18_000
"""Fewer than the gas of one transaction pays for (EIP-7825: 16.7 million, 800 a log)."""


@dataclass
class Target:
    """The node and what is known about it."""

    process: NodeProcess
    private_port: int
    metrics_port: int
    secrets: tuple[str, ...] = field(repr=False)
    """What no answer and no line of the log may show: keys and passwords, as text."""

    @property
    def port(self) -> int:
        """JSON-RPC over HTTP and WebSocket."""
        return self.process.rpc_port

    @property
    def pid(self) -> int:
        """The process."""
        assert self.process.process is not None
        return self.process.process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        return self.process.process is not None and self.process.process.poll() is None

    def call(self, method: str, *params: Any) -> Any:
        """A result, or RPCError."""
        return self.process.rpc.call(method, *params)

    def memory_bytes(self) -> int:
        """What the process takes of the machine's memory."""
        return memory.resident_bytes(self.pid)

    def memory_peak_bytes(self) -> int:
        """The most that it has taken since `forget_memory_peak`."""
        return memory.peak_bytes(self.pid)

    def forget_memory_peak(self) -> None:
        """From now on the peak is counted anew."""
        memory.forget_peak(self.pid)

    def cpu_s(self) -> float:
        """Seconds that it has computed, on all processors."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def height(self) -> int:
        """The newest block."""
        return int(self.call("eth_blockNumber"), 16)

    def nonce(self, key: PrivateKey) -> int:
        """Of the account's next transaction, the pool counted."""
        return int(self.call("eth_getTransactionCount", encode_data(key.address), "pending"), 16)


def flood_key(number: int) -> PrivateKey:
    """One of the funded accounts that only these tests know."""
    return PrivateKey(keccak256(b"hostile sender %d" % number))


def rich_key(number: int) -> PrivateKey:
    """One of the ten accounts of every local network."""
    return PrivateKey(bytes.fromhex(funded_accounts()[number].private_key.removeprefix("0x")))


def signed(
    key: PrivateKey,
    nonce: int,
    *,
    to: bytes | str = b"\x42" * 20,
    value_wei: int = 1,
    data: bytes = b"",
    gas: int = 21_000,
    fee_wei: int = 100 * 10**9,
    tip_wei: int = 10**9,
    chain_id: int = CHAIN_ID,
) -> bytes:
    """An EIP-1559 transaction."""
    target = bytes.fromhex(to.removeprefix("0x")) if isinstance(to, str) else to
    fields: list[rlp.Item] = [
        rlp.integer(chain_id), rlp.integer(nonce), rlp.integer(tip_wei), rlp.integer(fee_wei), rlp.integer(gas),
        target, rlp.integer(value_wei), data, [],
    ]  # fmt: skip
    return b"\x02" + sealed(key, b"\x02", fields)


def sealed(key: PrivateKey, prefix: bytes, fields: Sequence[rlp.Item]) -> bytes:
    """A typed transaction's fields with their signature, without the type."""
    signature = key.sign(keccak256(prefix + rlp.encode(list(fields))))
    parts = (signature[64], int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"))
    return rlp.encode([*fields, *(rlp.integer(part) for part in parts)])


@contextlib.contextmanager
def running_target(
    path: Path,
    *,
    server: str = "",
    network: str = "",
    p2p: str = "discovery = false",
    program: tuple[str, ...] = ("-m", "metanode"),
) -> Iterator[Target]:
    """Make a network of one validator, start it, and wait for its second block. `server`, `network`, `p2p`: more lines of these sections."""
    # A machine's usual limit of 1,024 files is less than what the tests open on both sides; the node inherits ours.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    directory = NetworkDirectory(path)
    spec = NetworkSpec(network_name="hostile", chain_id=CHAIN_ID, validator_count=1, block_time_s=PERIOD_S)
    (node,) = local.create_network(directory, spec).nodes
    home = directory.node(node.name)
    _fund(directory.genesis_file)
    directory.genesis_file.rename(home / "genesis.json")
    rpc_port, private_port, metrics_port, p2p_port = free_ports(4)
    (home / "config.toml").write_text(
        f'[network]\nchain_id = {CHAIN_ID}\nnetwork_id = "{spec.network_name}"\n{network}\n'
        f"[server]\nrpc_port = {rpc_port}\nprivate_port = {private_port}\nmetrics_port = {metrics_port}\n"
        f"connections_max = {CONNECTIONS_MAX}\n{server}\n"
        f'[p2p]\nlisten_address = "127.0.0.1:{p2p_port}"\n{p2p}\n'
        f'[validator]\nenabled = true\nvalidator_key = "keystore:validator.json"\n'
    )
    process = NodeProcess(home, rpc_port, environment={"NO_COLOR": "1", "COLUMNS": "400"}, program=program)
    with running([process]):
        wait_height([process.rpc], 2, within_s=30.0)
        yield Target(process, private_port, metrics_port, secrets=secrets_of(home))


def _fund(file: Path) -> None:
    """Give the flood's accounts something, and put the contracts in their places."""
    genesis = json.loads(file.read_text())
    for number in range(SENDERS):
        genesis["alloc"][encode_data(flood_key(number).address)] = {"balance": hex(10 * WEI_PER_TOKEN)}
    genesis["alloc"][LOGGER] = {"balance": "0x0", "code": LOGGER_CODE}
    # A full set: a vote that a fuzzer casts adds nobody.
    genesis["config"]["metanode"]["validatorsMax"] = 1
    file.write_text(json.dumps(genesis))


def secrets_of(home: Path) -> tuple[str, ...]:
    """What nobody may see of a validator: its two keys and the password, as text."""
    from metanode.crypto.keystore import load_key  # noqa: PLC0415 - costs a key derivation, which is wanted here only

    password = (home / "validator.password").read_text().strip()
    key = load_key(home / "validator.json", password)
    node_key = (home / "nodekey").read_text().strip()
    return (key.secret.hex(), node_key.removeprefix("0x"), password)


def python_path() -> str:
    """Where this interpreter's packages are: part of any trace of ours."""
    return str(Path(sys.prefix))
