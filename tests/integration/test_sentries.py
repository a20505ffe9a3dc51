"""A validator that nobody knows the way to: the others reach it through its sentry only, and no block is final without it. Real processes."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.acceptance.processes import (
    Endpoint,
    NodeProcess,
    check_same_chain,
    free_ports,
    running,
    wait_height,
    wait_until,
)

from metanode.crypto.keystore import write_secret_file
from metanode.crypto.secp256k1 import PrivateKey

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(120)

NAMES = ("open", "hidden", "sentry")
VALIDATORS = {name: PrivateKey(bytes([n]) * 32) for n, name in ((0x31, "open"), (0x32, "hidden"))}
NODES = {name: PrivateKey(bytes([n]) * 32) for n, name in enumerate(NAMES, start=0x41)}
GENESIS_TIME = int(time.time()) - 3600


class Node:
    """One of the three, with its ports."""

    def __init__(self, home: Path, name: str) -> None:
        home.mkdir()
        self.name = name
        self.rpc_port, self.private_port, self.p2p_port = free_ports(3)
        self.process = NodeProcess(home, self.rpc_port)
        write_secret_file(home / "nodekey", NODES[name].secret.hex().encode())

    @property
    def enode(self) -> str:
        return f"enode://{self.id}@127.0.0.1:{self.p2p_port}"

    @property
    def id(self) -> str:
        return NODES[self.name].public_key.hex()

    def configure(self, p2p: str) -> None:
        validators = ", ".join(f'"0x{key.address.hex()}"' for key in VALIDATORS.values())
        own = VALIDATORS.get(self.name)
        if own is not None:
            self.process.environment["VALIDATOR_KEY"] = own.secret.hex()
        (self.process.home / "config.toml").write_text(
            f'[network]\nnetwork_id = "sentries"\n[consensus]\nblock_time = 1\nvalidators = [{validators}]\n'
            f"genesis_time = {GENESIS_TIME}\n[server]\nrpc_port = {self.rpc_port}\nprivate_port = {self.private_port}\n"
            + ("" if own is None else '[validator]\nenabled = true\nvalidator_key = "${VALIDATOR_KEY}"\n')
            + f'[p2p]\nlisten_address = "127.0.0.1:{self.p2p_port}"\n{p2p}'
        )

    def admin(self, method: str, *params: Any) -> Any:
        return Endpoint(f"http://127.0.0.1:{self.private_port}").call(method, *params)

    def peers(self) -> set[str]:
        return {peer["id"] for peer in self.admin("admin_peers")}


def test_a_validator_behind_a_sentry_takes_part_and_is_reached_by_nobody_else(tmp_path: Path) -> None:
    nodes = {name: Node(tmp_path / name, name) for name in NAMES}
    visible, hidden, sentry = (nodes[name] for name in NAMES)
    sentry.configure("")
    visible.configure(f'bootstrap_nodes = ["{sentry.enode}"]\n')
    hidden.configure(f'sentries = ["{sentry.enode}"]\n')

    with running([node.process for node in nodes.values()]):
        # A quorum of two is both: each block has the seal of the hidden validator, every second one is of its making.
        endpoints = [node.process.rpc for node in nodes.values()]
        wait_height(endpoints, 6, within_s=60.0)
        check_same_chain(endpoints)
        miners = {visible.process.rpc.block(number)["miner"] for number in range(2, 7)}
        assert miners == {"0x" + key.address.hex() for key in VALIDATORS.values()}

        assert visible.peers() == hidden.peers() == {sentry.id}
        assert sentry.peers() == {visible.id, hidden.id}

        # Who learns where it is gets nothing from it, and it answers no datagram.
        visible.admin("admin_addPeer", hidden.enode)
        wait_until(
            lambda: "useless_peer by the peer" in visible.process.log,
            within_s=20.0,
            what="the hidden validator refuses a stranger",
        )
        assert hidden.id not in visible.peers()
        assert hidden.peers() == {sentry.id}
        assert hidden.admin("admin_nodeInfo")["ports"]["discovery"] == 0
        assert [is_free_for_datagrams(node.p2p_port) for node in (hidden, sentry)] == [True, False]

        height = visible.process.rpc.height() or 0
        wait_height(endpoints, height + 2, within_s=30.0)

        # After kill -9 it finds the same way back in.
        hidden.process.kill()
        stopped = visible.process.rpc.height() or 0
        hidden.process.start()
        hidden.process.wait_ready()
        wait_height(endpoints, stopped + 3, within_s=60.0)


def is_free_for_datagrams(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attempt:
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
