"""A network with blocks worth looking at, and the services' program beside it: what the tests of pages stand on."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from eth_abi.abi import encode
from eth_account import Account
from eth_utils.address import to_checksum_address
from tests.acceptance.processes import wait_until
from tests.testnet.index_chain import call_of, speaker_code, word

from metanode.crypto.hashing import keccak256
from sdk.testnet import Testnet
from sdk.testnet.services.indexer.events import TRANSFER, TRANSFER_BATCH, TRANSFER_SINGLE

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "<script>alert('name')</script> \u202egnp.exe"
SYMBOL = '=HYPERLINK("x")'
FOLDER = Path(__file__).parent
NOBODY, CAROL, DAVE = (f"0x{byte * 20}" for byte in ("00", "ca", "da"))
THINGS_MOVED = ((NOBODY, CAROL, 7), (NOBODY, CAROL, 8), (CAROL, DAVE, 7))
"""From, to, number: Dave has 7, and Carol 8."""
PARTS_MADE = ((1, 10), (2, 20))
"""Numbers and amounts, all of them Carol's; then she gives Dave 5 of number 2."""


def call(url: str, method: str, *params: object) -> Any:
    answer = httpx.post(
        url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, timeout=20
    ).json()
    assert "error" not in answer, answer
    return answer["result"]


@dataclass
class Sender:
    """One funded account that sends."""

    url: str
    chain_id: int
    key: str
    nonce: int = 0

    @property
    def address(self) -> str:
        return Account.from_key(self.key).address

    def send(self, **fields: Any) -> str:
        """Send, and return the hash; nobody waits for it."""
        transaction = {
            "chainId": self.chain_id,
            "nonce": self.nonce,
            "gas": 2_000_000,
            "maxFeePerGas": 10**11,
            "maxPriorityFeePerGas": 10**9,
            "value": 0,
        } | fields
        self.nonce += 1
        signed = Account.sign_transaction(transaction, self.key)
        return call(
            self.url, "eth_sendRawTransaction", "0x" + signed.raw_transaction.hex().removeprefix("0x")
        )

    def done(self, transaction_hash: str) -> dict[str, Any]:
        """Wait for a receipt."""
        return wait_until(
            lambda: call(self.url, "eth_getTransactionReceipt", transaction_hash),
            what="the transaction is in a block",
            within_s=30,
        )


@dataclass
class Served:
    """A network and its explorer."""

    net: Testnet
    url: str
    process: subprocess.Popen[bytes]
    sender: Sender
    token: str
    things: str
    """An ERC-721, of `THINGS_MOVED`."""
    parts: str
    """An ERC-1155, of `PARTS_MADE`."""
    transfer: str
    token_transfer: str
    number: int
    """The block of `token_transfer`."""
    reverted: str
    forwarded: str
    created: str
    validator: str
    operator_password: str

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=20, **options)

    def wait_indexed(self, transaction_hash: str) -> None:
        wait_until(
            lambda: "block" in self.get(f"/tx/{transaction_hash}.json").json(),
            what="the transaction is indexed",
            within_s=60,
        )

    def wait_named(self, token: str) -> None:
        """Return when the index has asked a token for its name and symbol, which it does after the block."""
        wait_until(
            lambda: self.get(f"/token/{token}.json").json().get("token", {}).get("symbol"),
            what=f"{token} has a symbol",
            within_s=60,
        )


def compile_token() -> str:
    made = subprocess.run(
        [str(Path(sys.executable).with_name("vyper")), "-f", "bytecode", str(FOLDER / "hostile_token.vy")],
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout.strip()


def selector(signature: str) -> str:
    return "0x" + keccak256(signature.encode())[:4].hex()


@contextmanager
def serve(tmp_path: Path, net: Testnet, *, more: str = "") -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run the services' program on a port of its own."""
    config = tmp_path / "services.toml"
    port = free_port()
    urls = json.dumps([node.rpc_url for node in net.nodes])
    names = json.dumps([node.name for node in net.nodes])
    metrics = json.dumps([node.metrics_url for node in net.nodes])
    addresses = "\n".join(
        f'"0x{net.directory.validator_address(node.name).hex()}" = "{node.name}"' for node in net.nodes
    )
    config.write_text(
        f'[network]\nnetwork_id = "metanode-testnet"\nchain_id = {net.chain_id}\nrpc_urls = {urls}\nnode_names = {names}\nmetrics_urls = {metrics}\n'
        f"[explorer]\nport = {port}\n{more}\n[names]\n{addresses}\n"
    )
    log = (tmp_path / "services.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "sdk.testnet.services.program", str(config)],
        stdout=log,
        stderr=log,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(url, process, tmp_path), what="the explorer answers", within_s=60)
        yield url, process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        log.close()


def answers(url: str, process: subprocess.Popen[bytes], tmp_path: Path) -> bool:
    assert process.poll() is None, (tmp_path / "services.log").read_text()
    try:
        return httpx.get(f"{url}/readyz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_numbered(sender: Sender) -> tuple[str, str]:
    """Make an ERC-721 and an ERC-1155, which a Speaker is by what it emits; their addresses."""
    made = [
        sender.send(data=f"0x{(speaker_code() + encode(['bytes', 'string', 'uint8'], words)).hex()}")
        for words in ((b"Things", "+CAT", 0), (b"Parts", "@P", 0))
    ]
    things, parts = (to_checksum_address(sender.done(each)["contractAddress"]) for each in made)

    def emit(contract: str, *words: bytes) -> str:
        signature = "say4(bytes32,bytes32,bytes32,bytes32,bytes)"
        return sender.send(to=contract, data=f"0x{call_of(signature, *words).hex()}")

    for giver, getter, thing in THINGS_MOVED:
        emit(things, TRANSFER, word(giver), word(getter), word(thing), b"")
    batch = encode(["uint256[]", "uint256[]"], list(zip(*PARTS_MADE, strict=True)))
    emit(parts, TRANSFER_BATCH, word(CAROL), word(NOBODY), word(CAROL), batch)
    last = emit(parts, TRANSFER_SINGLE, word(CAROL), word(CAROL), word(DAVE), word(2) + word(5))
    assert sender.done(last)["status"] == "0x1"
    return things, parts


@contextmanager
def served_network(tmp_path: Path, *, more: str = "") -> Iterator[Served]:
    """Four validators, some transactions and a token of each kind, and the explorer over them, with `more` of its configuration."""
    with Testnet(validators=4, block_time_s=1, in_memory=True) as net:
        sender = Sender(net.rpc_url, net.chain_id, net.accounts[0].private_key)
        transfer = sender.send(to=net.accounts[1].address, value=1_234_567_890_123_456_789, gas=21_000)
        code = compile_token()
        created = sender.send(data=code + encode(["string", "string"], [NAME, SYMBOL]).hex())
        token = to_checksum_address(sender.done(created)["contractAddress"])
        moved = sender.send(
            to=token,
            data=selector("transfer(address,uint256)")
            + encode(["address", "uint256"], [net.accounts[2].address, 1_500_000]).hex(),
        )
        poor = Sender(net.rpc_url, net.chain_id, net.accounts[5].private_key)
        reverted = poor.send(
            to=token,
            data=selector("transfer(address,uint256)")
            + encode(["address", "uint256"], [net.accounts[2].address, 10**12]).hex(),
        )
        forwarded = sender.send(
            to=token,
            value=10**17,
            data=selector("forward(address)") + encode(["address"], [net.accounts[3].address]).hex(),
        )
        things, parts = make_numbered(sender)
        receipt = sender.done(moved)
        assert receipt["status"] == sender.done(forwarded)["status"] == "0x1"
        assert poor.done(reverted)["status"] == "0x0"
        with serve(tmp_path, net, more=more) as (url, process):
            served = Served(
                net=net, url=url, process=process, sender=sender, token=token, things=things, parts=parts, transfer=transfer,
                token_transfer=moved, number=int(receipt["blockNumber"], 16), reverted=reverted, forwarded=forwarded, created=created,
                validator=f"0x{net.directory.validator_address('validator-1').hex()}",
                operator_password=(tmp_path / "operator.password").read_text().strip(),
            )  # fmt: skip
            served.wait_indexed(forwarded)
            served.wait_indexed(reverted)
            for each in (token, things, parts):
                served.wait_named(each)
            yield served
