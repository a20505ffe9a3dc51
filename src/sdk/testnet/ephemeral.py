"""`Testnet`: a real network inside a test, on ports of its own, gone when the test is over.

The nodes are those of `metanode up`: processes below one supervisor (`deployment.apply.local`). Networks of processes that run beside each
other share no port: each holds a lock on its offset. A network ends with the process that started it, also when that is killed; then only its
temporary directory stays.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar

from metanode.crypto.addresses import parse_address
from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.deployment.apply import local
from sdk.testnet.deployment.apply.accounts import funded_accounts
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.apply.supervisor import running_node
from sdk.testnet.deployment.plan import NetworkPlan, NetworkSpec, plan_network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from sdk.testnet.deployment.apply.accounts import FundedAccount
    from sdk.testnet.deployment.apply.local import NodeStatus
    from sdk.testnet.deployment.plan import NodePlan

OFFSETS: Final = range(130, 2_365, 65)
"""All ports stay below those that the system gives to outgoing connections, and no two networks of up to 30 nodes have one in common."""
BLOCK_TIMEOUT_S: Final = 60.0
POLL_INTERVAL_S: Final = 0.05
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
"""Where Linux has a file system in memory."""

_Answer = TypeVar("_Answer")


class TestnetNode:
    """One node of a `Testnet`."""

    __test__ = False  # pytest collects no tests here

    def __init__(self, network: Testnet, plan: NodePlan) -> None:
        self._network = network
        self._plan = plan

    def __repr__(self) -> str:
        return f"<{self.name} at {self.rpc_url}>"

    @property
    def name(self) -> str:
        """`validator-1` is the first."""
        return self._plan.name

    @property
    def rpc_url(self) -> str:
        """Its JSON-RPC over HTTP; the same with ws:// takes WebSockets."""
        return self._plan.rpc_url

    @property
    def log_file(self) -> Path:
        """What it printed."""
        return self._network.directory.log_file(self.name)

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return running_node(self._network.directory, self.name) is not None

    @property
    def height(self) -> int | None:
        """Number of its newest finalized block; None when it does not answer."""
        return self._network.status_of(self.name).height

    def kill(self) -> None:
        """Kill it with signal 9; it stays dead until `start`."""
        local.kill_node(self._network.directory, self.name)

    def start(self) -> None:
        """Start it again after `kill`; it catches up by itself."""
        local.release_node(self._network.directory, self.name)


class Testnet:
    """A network of validator processes for the length of a `with` block.

    Args:
        validators: How many, from 1.
        block_time_s: Whole seconds from block to block.
        chain_id: EIP-155 chain id.
        directory: Where to keep its files; by default a temporary one, deleted at the end.
        in_memory: Whether the temporary directory is on a file system in memory, where the machine has one.
        balances: Further accounts of the first block: address, and how many wei.
    """

    __test__ = False  # pytest collects no tests here

    def __init__(
        self,
        validators: int = 4,
        *,
        block_time_s: int = 2,
        chain_id: int = 1337,
        directory: str | os.PathLike[str] | None = None,
        in_memory: bool = False,
        balances: Mapping[str, int] | None = None,
    ) -> None:
        self._spec = NetworkSpec(
            network_name="metanode-testnet",
            chain_id=chain_id,
            validator_count=validators,
            block_time_s=block_time_s,
        )
        # Wrong arguments are told before anything is made.
        plan_network(self._spec)
        self._balances = {parse_address(address): wei for address, wei in (balances or {}).items()}
        self._chosen = None if directory is None else Path(directory)
        self._in_memory = in_memory
        self._directory: NetworkDirectory | None = None
        self._plan: NetworkPlan | None = None
        self._lock: int | None = None

    def __repr__(self) -> str:
        where = "not started" if self._directory is None else f"in {self._directory.path}"
        return f"<Testnet of {self._spec.validator_count} validators, {where}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def directory(self) -> NetworkDirectory:
        """Its files: logs, genesis, keys; raises InvalidInput before `start`."""
        if self._directory is None:
            raise InvalidInput("this Testnet does not run: use it in a `with` block, or call start()")
        return self._directory

    @property
    def nodes(self) -> tuple[TestnetNode, ...]:
        """All validators."""
        directory = self.directory
        assert self._plan is not None, directory
        return tuple(TestnetNode(self, node) for node in self._plan.nodes)

    @property
    def rpc_url(self) -> str:
        """JSON-RPC of the first validator."""
        return self.node(0).rpc_url

    @property
    def chain_id(self) -> int:
        """For wallets and transactions."""
        return self._spec.chain_id

    @property
    def accounts(self) -> tuple[FundedAccount, ...]:
        """Ten accounts with 10,000 tokens each: `address`, `private_key`; public knowledge."""
        return funded_accounts()

    def node(self, index: int) -> TestnetNode:
        """Return the validator with this number, from 0."""
        nodes = self.nodes
        if not 0 <= index < len(nodes):
            raise InvalidInput(f"node: found {index}; expected 0 to {len(nodes) - 1}")
        return nodes[index]

    def start(self) -> None:
        """Start all validators, and return when they agree on a finalized block.

        Raises:
            Unavailable: when that takes over a minute; the message shows the ends of their logs.
        """
        if self._directory is not None:
            raise InvalidInput("this Testnet runs already")
        self._lock, offset = _take_offset(self._spec)
        path = self._chosen or _temporary_directory(in_memory=self._in_memory)
        self._directory = NetworkDirectory(path.resolve())
        try:
            self._plan = local.create_network(
                self._directory, replace(self._spec, port_offset=offset), balances=self._balances
            )
            self._directory.owner_file.parent.mkdir(exist_ok=True)
            self._directory.owner_file.write_text(str(os.getpid()), encoding="utf-8")
            local.start_network(self._directory)
            _apart(lambda: local.wait_network_ready(self.directory))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all validators, and delete a temporary directory; does nothing before `start`."""
        directory, self._directory = self._directory, None
        if directory is None:
            return
        try:
            if directory.exists():
                local.stop_network(directory)
                directory.owner_file.unlink(missing_ok=True)
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None
            if self._chosen is None:
                shutil.rmtree(directory.path, ignore_errors=True)

    def status_of(self, name: str) -> NodeStatus:
        """Return what a node answers now."""
        status = _apart(lambda: local.network_status(self.directory))
        (found,) = [node for node in status.nodes if node.name == name]
        return found

    def wait_for_block(self, number: int, *, timeout_s: float = BLOCK_TIMEOUT_S) -> None:
        """Wait until every validator that runs has finalized this block.

        Raises:
            Unavailable: when that has not come in time, or none runs; the message says where each is.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            status = _apart(lambda: local.network_status(self.directory))
            heights = {node.name: node.height for node in status.nodes if node.pid is not None}
            if heights and all(height is not None and height >= number for height in heights.values()):
                return
            if time.monotonic() > deadline:
                seen = ", ".join(f"{name} at {height}" for name, height in heights.items()) or "no node runs"
                raise Unavailable(f"block {number} was not finalized in {timeout_s:g} s: {seen}")
            time.sleep(POLL_INTERVAL_S)


def _temporary_directory(*, in_memory: bool) -> Path:
    folder = MEMORY if in_memory and os.access(MEMORY, os.W_OK | os.X_OK) else None
    return Path(tempfile.mkdtemp(prefix="metanode-testnet-", dir=folder))


def _take_offset(spec: NetworkSpec) -> tuple[int, int]:
    """Return a locked descriptor, to be held as long as the network runs, and an offset whose ports are all free."""
    folder = Path(tempfile.gettempdir()) / f"metanode-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    offsets = list(OFFSETS)
    random.SystemRandom().shuffle(offsets)
    for offset in offsets:
        lock = os.open(folder / str(offset), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(BlockingIOError, InvalidInput):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            local.check_ports(plan_network(replace(spec, port_offset=offset)).nodes)
            return lock, offset
        os.close(lock)
    raise Unavailable(f"none of {len(offsets)} port offsets is free: stop some networks")


def _apart(ask: Callable[[], _Answer]) -> _Answer:
    """Call it on a thread of its own: it runs an event loop, and the caller may be inside one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(ask).result()
