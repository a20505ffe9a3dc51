"""Network namespaces: one for each node, their ends on a bridge in a namespace of its own. Nothing is changed in the machine's own network.

A node listens for RPC on the loopback of its namespace, which no rule touches, and for peers on `eth0`, which the faults are about. A thread
that has entered the namespace is the way in for the test.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import shutil
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from tests.integration.faults import leftovers
from tests.integration.faults.leftovers import run

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

CLONE_NEWNET = 0x4000_0000
SIOCETHTOOL = 0x8946
ETHTOOL_STXCSUM = 0x17
SUBNET = "10.77.0"
"""Inside the namespaces only."""

_libc = ctypes.CDLL(None, use_errno=True)


def why_not() -> str | None:
    """Why namespaces can't be used here; None when they can."""
    for tool in ("ip", "nft", "nsenter"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed: apt-get install iproute2 nftables util-linux"
    if os.geteuid() != 0:
        # Not all of `make test`: as root it would leave files that the owner of the directory can't delete.
        return "network namespaces need root: sudo .venv/bin/python -m pytest tests/integration/faults"
    probe = leftovers.own_name("probe")
    try:
        run("ip", "netns", "add", probe)
        try:
            inside = ("ip", "netns", "exec", probe)
            run(*inside, "ip", "link", "add", "one", "type", "veth", "peer", "name", "two")
            run(*inside, "ip", "link", "add", "bridge", "type", "bridge")
            run(*inside, "nft", "add", "table", "inet", "faults")
        finally:
            leftovers.remove_namespace(probe)
    except OSError as error:
        return f"network namespaces are not permitted here ({error}); in a container of Docker: docker run --privileged"
    return None


class Namespace:
    """One network namespace and a thread inside it."""

    def __init__(self, what: str) -> None:
        self.name = leftovers.own_name(what)
        run("ip", "netns", "add", self.name)
        self._inside = ThreadPoolExecutor(max_workers=1, thread_name_prefix=self.name, initializer=self.enter)
        self.run("ip", "link", "set", "lo", "up")

    @property
    def command(self) -> tuple[str, ...]:
        """What stands before a command to run it inside; the process id stays that of the command."""
        return ("nsenter", f"--net={leftovers.NAMESPACES / self.name}", "--")

    def run(self, *command: str) -> str:
        """Run a command of the system inside."""
        return run(*self.command, *command)

    def do(self, work: Callable[[], Result]) -> Result:
        """Run a function in a thread whose sockets are inside."""
        return self._inside.submit(work).result()

    def enter(self) -> None:
        """From now on the calling thread is inside: its new sockets are."""
        descriptor = os.open(leftovers.NAMESPACES / self.name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _libc.setns(descriptor, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"setns {self.name}")
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Remove it with all that runs in it."""
        self._inside.shutdown()
        leftovers.remove_namespace(self.name)


class BridgedNamespaces:
    """The namespaces of all nodes, numbered from 0, and the hub with the bridge. Node n has the address 10.77.0.(n + 1)."""

    def __init__(self, count: int) -> None:
        leftovers.clean()
        self._made: list[Namespace] = []
        try:
            self.hub = self._make("hub")
            self.hub.run("ip", "link", "add", "bridge", "type", "bridge")
            self.hub.run("ip", "link", "set", "bridge", "up")
            self.nodes = [self._join(index) for index in range(count)]
        except BaseException:
            self.close()
            raise

    @staticmethod
    def address(index: int) -> str:
        """Where peers reach a node."""
        return f"{SUBNET}.{index + 1}"

    @staticmethod
    def hub_end(index: int) -> str:
        """The hub's end of a node's cable."""
        return f"node{index}"

    def close(self) -> None:
        """Remove all of it."""
        while self._made:
            self._made.pop().close()

    def _make(self, what: str) -> Namespace:
        made = Namespace(what)
        self._made.append(made)
        return made

    def _join(self, index: int) -> Namespace:
        node, end = self._make(f"n{index}"), self.hub_end(index)
        self.hub.run("ip", "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", node.name)
        self.hub.run("ip", "link", "set", end, "master", "bridge", "up")
        node.run("ip", "address", "add", f"{self.address(index)}/24", "dev", "eth0")
        node.run("ip", "link", "set", "eth0", "up")
        # Frames must be whole on the cable: the relay that delays them hands them on as it finds them.
        node.do(_compute_checksums)
        node.run("nft", "add", "table", "inet", "faults")
        node.run("nft", "add chain inet faults input { type filter hook input priority 0 ; }")
        return node


def _compute_checksums() -> None:
    """Have `eth0` compute checksums before a frame leaves, and cut segments to the size of a frame (without the one there is no other)."""
    value = array.array("B", struct.pack("II", ETHTOOL_STXCSUM, 0))
    request = struct.pack("16sP", b"eth0", value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCETHTOOL, request.ljust(40, b"\0"))
