"""Keys of the configuration whose effect shows on an address that is not loopback, or after many blocks: two nodes that differ in them only.

`narrow` keeps the state of 128 blocks of 200, has 8 MiB for caches and room for two connections of an address; `trusting` keeps all, has the default
of 64 MiB, and takes this machine for a proxy.
"""

from __future__ import annotations

import signal
import socket
import time
from random import Random
from typing import TYPE_CHECKING

import psutil
import pytest
from eth_account import Account
from tests.acceptance.long_chain import write_chain
from tests.acceptance.processes import (
    NodeProcess,
    RPCError,
    free_ports,
    running,
    wait_height,
    wait_until,
)

from metanode.crypto.addresses import format_address
from metanode.crypto.secp256k1 import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)

NARROW, TRUSTING = (PrivateKey(bytes([n]) * 32) for n in (0x41, 0x42))
"""Each has a chain of its own: one key is used by one process."""
BLOCKS, KEPT = 200, 128
PER_ADDRESS = 2
CALLS_PER_S = 20
"""A burst of two seconds is allowed: 40."""
LARGE_BLOCKS = range(2, 14)
LARGE_BYTES = 60_000
"""Of each of a large block's transactions. Decoded, all twelve blocks fit into an eighth of the default's 64 MiB, which is theirs, and two or three into an
eighth of 8."""
TRANSACTIONS = 4
"""In a large block."""
REQUEST = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'


def own_address() -> str:
    """Of this machine, not loopback: limits of addresses hold for no other."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


OWN = own_address()
needs_network = pytest.mark.skipif(
    OWN.startswith("127."), reason="needs an address but loopback: sudo ip address add 192.0.2.2/24 dev lo"
)


def make(home: Path, key: PrivateKey, *, genesis_time: int, server: str, storage: str) -> NodeProcess:
    sender = Account.from_key(key.secret)

    def large(height: int) -> list[bytes]:
        first = TRANSACTIONS * (height - LARGE_BLOCKS.start)
        fields = {
            "chainId": 1337, "to": "0x" + "11" * 20, "value": 0, "gas": 30_000 + 40 * LARGE_BYTES,
            "maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9,
        }  # fmt: skip
        nonces = range(first, first + TRANSACTIONS) if height in LARGE_BLOCKS else ()
        # The log packs what repeats itself.
        wanted = [
            {**fields, "nonce": nonce, "data": Random(nonce).randbytes(LARGE_BYTES)} for nonce in nonces
        ]
        return [bytes(sender.sign_transaction(each).raw_transaction) for each in wanted]

    write_chain(home, key, blocks=BLOCKS, genesis_time=genesis_time, transactions=large)
    rpc_port, p2p_port = free_ports(2)
    (home / "config.toml").write_text(
        f'[network]\npublic_rpc = true\n[server]\nrpc_port = {rpc_port}\nbind_address = "0.0.0.0"\n'
        f"connections_per_address_max = {PER_ADDRESS}\n{server}[storage]\n{storage}"
        f'[p2p]\nlisten_address = "127.0.0.1:{p2p_port}"\n[validator]\nenabled = true\nvalidator_key = "${{KEY}}"\n'
    )
    return NodeProcess(home, rpc_port, environment={"KEY": key.secret.hex()})


@pytest.fixture(scope="module")
def narrow_and_trusting(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[NodeProcess, NodeProcess]]:
    genesis_time = int(time.time()) - 2 * BLOCKS - 2
    narrow = make(
        tmp_path_factory.mktemp("narrow"),
        NARROW,
        genesis_time=genesis_time,
        server=f"requests_per_address_per_second = {CALLS_PER_S}\n",
        storage=f"history_blocks = {KEPT}\ncache_mib = 8\n",
    )
    trusting = make(
        tmp_path_factory.mktemp("trusting"),
        TRUSTING,
        genesis_time=genesis_time,
        server=f'trusted_proxies = ["{OWN}"]\n',
        storage="",
    )
    with running([narrow, trusting]):
        wait_height([narrow.rpc, trusting.rpc], BLOCKS + 1, within_s=30.0)
        yield narrow, trusting


def served(node: NodeProcess, connections: int) -> int:
    """How many of so many connections of this machine's own address, open at once, get an answer."""
    head = f"POST / HTTP/1.1\r\nHost: {OWN}\r\nContent-Type: application/json\r\nContent-Length: {len(REQUEST)}\r\n\r\n"
    opened = [socket.create_connection((OWN, node.rpc_port), timeout=10.0) for _ in range(connections)]
    try:
        answers = []
        for client in opened:
            try:
                client.sendall(head.encode() + REQUEST)
                answers.append(client.recv(4096))
            except OSError:
                answers.append(b"")
        return sum(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    finally:
        for client in opened:
            client.close()


@needs_network
def test_an_address_has_its_connections_and_a_trusted_proxy_as_many_as_it_wants(
    narrow_and_trusting: tuple[NodeProcess, NodeProcess],
) -> None:
    narrow, trusting = narrow_and_trusting

    assert served(narrow, PER_ADDRESS + 4) == PER_ADDRESS
    assert served(trusting, PER_ADDRESS + 4) == PER_ADDRESS + 4
    wait_until(lambda: served(narrow, 1) == 1, within_s=10.0, what="a place is free again")


def calls_answered(node: NodeProcess, calls: int) -> int:
    """How many of a batch of calls of this machine's own address are done."""
    batch = b"[" + b",".join([REQUEST] * calls) + b"]"
    with socket.create_connection((OWN, node.rpc_port), timeout=10.0) as client:
        head = f"POST / HTTP/1.1\r\nHost: {OWN}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(batch)}\r\n\r\n"
        client.sendall(head.encode() + batch)
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    return answer.count(b'"result"')


@needs_network
def test_an_address_has_its_calls_a_second_and_a_trusted_proxy_as_many_as_it_wants(
    narrow_and_trusting: tuple[NodeProcess, NodeProcess],
) -> None:
    narrow, trusting = narrow_and_trusting

    wait_until(lambda: calls_answered(narrow, 30) == 30, within_s=10.0, what="the burst is whole again")
    assert calls_answered(narrow, 60) < 60, "the burst is used up"
    assert calls_answered(trusting, 90) == 90
    wait_until(lambda: calls_answered(narrow, 1) == 1, within_s=10.0, what="a call is free again")


def test_state_before_the_blocks_that_are_kept_is_refused_as_pruned(
    narrow_and_trusting: tuple[NodeProcess, NodeProcess],
) -> None:
    narrow, trusting = narrow_and_trusting

    def balance(node: NodeProcess, key: PrivateKey, number: int) -> int:
        return int(node.rpc.call("eth_getBalance", format_address(key.address), hex(number)), 16)

    # History goes when blocks are brought from the log to the tables, as at each end.
    narrow.signal(signal.SIGTERM)
    narrow.wait_end(within_s=30.0)
    narrow.start()
    narrow.wait_ready()

    assert balance(trusting, TRUSTING, 1) == 10**24
    with pytest.raises(RPCError) as refused:
        balance(narrow, NARROW, 1)
    assert "state of block 1 is pruned" in refused.value.message
    assert balance(narrow, NARROW, BLOCKS - KEPT // 2) >= 10**24
    assert narrow.rpc.block(1)["number"] == "0x1", "blocks are kept for ever"


def test_blocks_that_the_cache_has_room_for_are_read_from_the_disk_once(
    narrow_and_trusting: tuple[NodeProcess, NodeProcess],
) -> None:
    def read_again(node: NodeProcess) -> int:
        """Bytes that a node reads from its files for blocks that it was asked for a moment ago."""

        def ask() -> None:
            for height in LARGE_BLOCKS:
                assert len(node.rpc.call("eth_getBlockReceipts", hex(height))) == TRANSACTIONS

        assert node.process is not None
        ask()
        before = psutil.Process(node.process.pid).io_counters().read_chars
        ask()
        return int(psutil.Process(node.process.pid).io_counters().read_chars - before)

    block_bytes = TRANSACTIONS * LARGE_BYTES
    narrow, trusting = map(read_again, narrow_and_trusting)

    assert narrow > len(LARGE_BLOCKS) * block_bytes // 2
    assert trusting < block_bytes
