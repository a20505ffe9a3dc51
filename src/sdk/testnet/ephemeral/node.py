"""`TestnetNode`: one node of a `Testnet`, and what can be done to it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from metanode.errors import MetanodeError, Unavailable
from metanode.rpc.client import open_client
from metanode.rpc.errors import JSONRPCError, NodeFault
from sdk.testnet.deployment.apply import local
from sdk.testnet.deployment.apply.local import apart
from sdk.testnet.deployment.apply.supervisor import running_node

if TYPE_CHECKING:
    from pathlib import Path

    from sdk.testnet.deployment.plan import NodePlan
    from sdk.testnet.ephemeral.network import Testnet

START_TIMEOUT_S: Final = 60.0
"""A node answers within two seconds; one that does not after this has a fault, and its log says which."""
POLL_INTERVAL_S: Final = 0.05


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
        """Its JSON-RPC over HTTP."""
        return self._plan.rpc_url

    @property
    def ws_url(self) -> str:
        """The same over WebSockets."""
        return self.rpc_url.replace("http:", "ws:", 1)

    @property
    def metrics_url(self) -> str:
        """Where Prometheus reads it."""
        return f"http://127.0.0.1:{self._plan.metrics_port}/metrics"

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

    @property
    def peers(self) -> int | None:
        """With how many nodes it is connected; None when it does not answer."""
        return self._network.status_of(self.name).peers

    @property
    def signs(self) -> bool:
        """Whether it takes part in deciding blocks: not while it catches up, nor in the first height of one that came to a running chain."""
        try:
            found = self.call("ibft_getConsensusState")
        except MetanodeError:
            return False
        return isinstance(found, dict) and found.get("signs") is True

    def call(self, method: str, *params: Any) -> Any:
        """Call a method of its JSON-RPC and return the result.

        Raises:
            JSONRPCError: when the node refuses; with its code and data.
            Unavailable: when it does not answer, or could not serve the call.
        """
        return apart(lambda: asyncio.run(_call(self.rpc_url, method, params)))

    def kill(self) -> None:
        """Kill it with signal 9; it stays dead until `start`."""
        self._network.check_own(f"kill {self.name}")
        local.kill_node(self._network.directory, self.name)

    def stop(self) -> None:
        """Let it end cleanly; it stays away until `start`."""
        self._network.check_own(f"stop {self.name}")
        local.stop_node(self._network.directory, self.name)

    def start(self) -> None:
        """Start it after `kill` or `stop`, and return when it answers; it catches up by itself. Does nothing to one that runs.

        Raises:
            Unavailable: when it does not answer in a minute; the message shows the end of its log.
        """
        self._network.check_own(f"start {self.name}")
        local.release_node(self._network.directory, self.name)
        deadline = time.monotonic() + START_TIMEOUT_S
        while self.height is None:
            if time.monotonic() > deadline:
                end = "\n".join(self.log_file.read_text(errors="replace").splitlines()[-20:])
                raise Unavailable(f"{self.name} does not answer after {START_TIMEOUT_S:g} s:\n{end}")
            time.sleep(POLL_INTERVAL_S)

    def restart(self) -> None:
        """Stop it cleanly, start it again, and return when it answers."""
        self.stop()
        self.start()


async def _call(url: str, method: str, params: tuple[Any, ...]) -> Any:
    async with open_client(url) as client:
        (result,) = await client.batch([(method, params)])
    if isinstance(result, (JSONRPCError, NodeFault)):
        raise result
    return result
