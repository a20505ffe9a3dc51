"""`Testnet`: a network of validator processes for the length of a `with` block.

The nodes are those of `metanode up`: processes below one supervisor (`deployment.apply.local`). Between them stands a relay, which a partition
closes. A network ends with the process that started it, also when that is killed; then only its temporary directory stays.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from metanode.crypto.addresses import parse_address
from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.deployment.apply import local
from sdk.testnet.deployment.apply.accounts import funded_accounts
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.apply.local import apart
from sdk.testnet.deployment.plan import NetworkPlan, NetworkSpec, plan_network
from sdk.testnet.ephemeral.links import NOBODY_LISTENS, RelayedLinks, between, every_way
from sdk.testnet.ephemeral.node import POLL_INTERVAL_S, TestnetNode
from sdk.testnet.ephemeral.ports import take_offset

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from types import TracebackType

    from sdk.testnet.deployment.apply.accounts import FundedAccount
    from sdk.testnet.deployment.apply.local import NodeStatus

BLOCK_TIMEOUT_S: Final = 60.0
DELAY_MS_MAX: Final = 60_000.0
"""More is no network: rounds last half of this at most."""
RELAYED_MAX: Final = 32
"""A relay has a port for each ordered pair: 992 of this many validators. Larger networks have none, and can't be partitioned."""
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
"""Where Linux has a file system in memory."""


class Testnet:
    """A network of validator processes for the length of a `with` block.

    Args:
        validators: How many, from 1.
        block_time_s: Whole seconds from block to block.
        chain_id: EIP-155 chain id.
        directory: Where to keep its files; by default a temporary one, deleted at the end.
        in_memory: Whether the temporary directory is on a file system in memory, where the machine has one.
        balances: Further accounts of the first block: address, and how many wei.

    Raises:
        InvalidInput: when made with impossible values; the sentence names the argument.
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
        self._links: RelayedLinks | None = None
        self._owner_pid: int | None = None
        self._is_shared = False

    @classmethod
    def attach(cls, directory: str | os.PathLike[str]) -> Self:
        """Return a network that runs already, started by somebody else, to look at and to use: nothing here stops or hurts it.

        Raises:
            InvalidInput: when there is none in the directory.
        """
        found = NetworkDirectory(Path(directory).resolve())
        plan = found.load_plan()
        spec = plan.spec
        net = cls(
            spec.validator_count, block_time_s=spec.block_time_s, chain_id=spec.chain_id, directory=found.path
        )
        net._directory, net._plan, net._spec, net._is_shared = found, plan, spec, True
        return net

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
    def ws_url(self) -> str:
        """The same over WebSockets."""
        return self.node(0).ws_url

    @property
    def height(self) -> int | None:
        """Number of the newest block that all validators have finalized; None while one does not answer."""
        return apart(lambda: local.network_status(self.directory)).height

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
        """Start all validators, and return when they agree on a finalized block and all take part in the next.

        Raises:
            InvalidInput: when it runs already, or its directory holds a network, which is left alone.
            Unavailable: when either takes over a minute; the message shows the ends of their logs.
        """
        if self._directory is not None:
            raise InvalidInput("this Testnet runs already")
        if self._chosen is not None and NetworkDirectory(self._chosen.resolve()).exists():
            raise InvalidInput(
                f"directory: {self._chosen} holds a network already, and a Testnet is a new one; give it a directory of its own"
            )
        self._lock, offset = take_offset(self._spec)
        spec = replace(self._spec, port_offset=offset)
        path = self._chosen or _temporary_directory(in_memory=self._in_memory)
        self._directory = NetworkDirectory(path.resolve())
        try:
            doors = self._open_doors(spec)
            self._plan = local.create_network(self._directory, spec, balances=self._balances, doors=doors)
            self._directory.owner_file.parent.mkdir(exist_ok=True)
            self._directory.owner_file.write_text(str(self._owner_pid or os.getpid()), encoding="utf-8")
            local.start_network(self._directory)
            apart(lambda: local.wait_network_ready(self.directory))
            self._wait_all_sign()
        except BaseException:
            self.stop()
            raise

    def start_for(self, owner_pid: int) -> None:
        """Start a network that ends with another process than this one, and that nobody hurts: what `attach` gives is for all to use.

        Raises:
            Unavailable: as `start`.
        """
        self._owner_pid = owner_pid
        self.start()
        self._is_shared = True

    def stop(self) -> None:
        """Stop all validators, and delete a temporary directory; does nothing before `start`, and lets go of a shared network only."""
        directory, self._directory = self._directory, None
        if directory is None or self._is_shared:
            return
        try:
            if directory.exists():
                local.stop_network(directory)
                directory.owner_file.unlink(missing_ok=True)
        finally:
            if self._links is not None:
                self._links.close()
                self._links = None
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None
            if self._chosen is None:
                shutil.rmtree(directory.path, ignore_errors=True)

    def partition(self, *groups: Collection[int]) -> None:
        """Separate the groups from each other: `net.partition([0, 1], [2, 3])`. It replaces the partition that was.

        Connections between nodes of different groups end, and new ones are refused, until `heal`. A node that no group names reaches
        everybody. All nodes still answer who asks them.

        Args:
            groups: At least two, of indices from 0; no node is in two of them.

        Raises:
            InvalidInput: when the groups are none, or the network is not this process's own.
        """
        self.check_own("partition the network")
        count = len(self.nodes)
        named = [index for group in groups for index in group]
        wrong = [index for index in named if type(index) is not int or not 0 <= index < count]
        if wrong:
            raise InvalidInput(f"partition: found node {wrong[0]!r:.60}; expected 0 to {count - 1}")
        twice = next((index for index in named if named.count(index) > 1), None)
        if twice is not None:
            raise InvalidInput(f"partition: node {twice} is in two groups; expected each in one at most")
        if len(groups) < 2 or not all(groups):
            raise InvalidInput(
                f"partition: found {len(groups)} group{'s' * (len(groups) != 1)}, {list(map(list, groups))}; expected two or more, "
                "none of them empty"
            )
        self._relay("partition").cut(between([tuple(group) for group in groups]))

    def slow(self, delay_ms: float | tuple[float, float]) -> None:
        """Deliver everything between nodes later, by so many milliseconds, or by a chance between two numbers. Replaces a partition; `heal` ends it."""
        self.check_own("slow the network")
        least, most = delay_ms if isinstance(delay_ms, tuple) else (delay_ms, delay_ms)
        if not 0 <= least <= most <= DELAY_MS_MAX:
            raise InvalidInput(
                f"slow: found {delay_ms}; expected milliseconds from 0 to {DELAY_MS_MAX:g}, least before most"
            )
        self._relay("slow").delay((least, most))

    def heal(self) -> None:
        """End a partition and delays: nodes that were apart reach each other again within a second or so."""
        self.check_own("heal the network")
        self._relay("heal").heal()

    def call(self, method: str, *params: Any) -> Any:
        """Call a method of the first validator's JSON-RPC; see `TestnetNode.call`."""
        return self.node(0).call(method, *params)

    def check_own(self, action: str) -> None:
        """Raise InvalidInput when this network is shared, so that others would be hurt by the action."""
        if self._is_shared:
            raise InvalidInput(
                f"this Testnet is shared: nobody may {action} while others use it; take one of your own"
            )

    def status_of(self, name: str) -> NodeStatus:
        """Return what a node answers now."""
        status = apart(lambda: local.network_status(self.directory))
        (found,) = [node for node in status.nodes if node.name == name]
        return found

    def wait_for_block(
        self, number: int, *, nodes: Collection[int] | None = None, timeout_s: float = BLOCK_TIMEOUT_S
    ) -> None:
        """Wait until every validator that runs has finalized this block, or those with these indices, such as one side of a partition.

        Raises:
            Unavailable: when that has not come in time, or none runs; the message says where each is.
        """
        waited = {self.node(index).name for index in (range(len(self.nodes)) if nodes is None else nodes)}
        deadline = time.monotonic() + timeout_s
        while True:
            status = apart(lambda: local.network_status(self.directory))
            heights = {
                node.name: node.height
                for node in status.nodes
                if node.pid is not None and node.name in waited
            }
            if heights and all(height is not None and height >= number for height in heights.values()):
                return
            if time.monotonic() > deadline:
                seen = ", ".join(f"{name} at {height}" for name, height in heights.items()) or "no node runs"
                raise Unavailable(f"block {number} was not finalized in {timeout_s:g} s: {seen}")
            time.sleep(POLL_INTERVAL_S)

    def _wait_all_sign(self) -> None:
        """Who came when there was a block already signs from a later height on; killing another one before that would stop the chain."""
        deadline = time.monotonic() + local.READY_TIMEOUT_S
        while silent := [node.name for node in self.nodes if not node.signs]:
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"{', '.join(silent)} did not sign in {local.READY_TIMEOUT_S:g} s; see {self.directory.path / 'logs'}"
                )
            time.sleep(POLL_INTERVAL_S)

    def _open_doors(self, spec: NetworkSpec) -> local.Doors | None:
        """Start the relay, where there is to be one, and say where each node reaches each other."""
        nodes = plan_network(spec).nodes
        if self._owner_pid is not None or not 1 < len(nodes) <= RELAYED_MAX:
            return None
        self._links = RelayedLinks(every_way([node.p2p_port for node in nodes]))
        ports = {(nodes[a].name, nodes[b].name): port for (a, b), port in self._links.ports.items()}
        return local.Doors(ports=ports, advertised_address=NOBODY_LISTENS)

    def _relay(self, action: str) -> RelayedLinks:
        count = len(self.nodes)
        if self._links is None:
            raise InvalidInput(
                f"{action}: found {count} validators; expected 2 to {RELAYED_MAX}, which a relay stands between"
            )
        return self._links


def _temporary_directory(*, in_memory: bool) -> Path:
    folder = MEMORY if in_memory and os.access(MEMORY, os.W_OK | os.X_OK) else None
    return Path(tempfile.mkdtemp(prefix="metanode-testnet-", dir=folder))
