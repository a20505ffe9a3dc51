"""The faucet on a real network: killed by signal 9 at each step, and the chain of the other tests compared with the real one."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.testnet.faucet_chain import CHAIN_ID, PAYER, FakeChain
from tests.testnet.faucet_process import POINTS

from metanode.crypto.addresses import format_address
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput
from metanode.primitives.types import Address
from sdk.testnet import Faucet, FaucetConfig, Testnet
from sdk.testnet.faucet.node import PayingNode, open_node, transaction_hash
from sdk.testnet.transfers import signed_transfer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAID_WEI = 100 * 10**18
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def net() -> Iterator[Testnet]:
    with Testnet(
        validators=1,
        block_time_s=1,
        chain_id=CHAIN_ID,
        in_memory=True,
        balances={format_address(PAYER.address): 10**24},
    ) as net:
        yield net


@pytest.fixture
def account(net: Testnet, monkeypatch: pytest.MonkeyPatch) -> PrivateKey:
    """The account that the faucet pays from: nobody else uses it."""
    found = net.accounts[3].private_key
    monkeypatch.setenv("FAUCET_PRIVATE_KEY", found)
    return PrivateKey(bytes.fromhex(found.removeprefix("0x")))


async def balance_of(url: str, address: bytes) -> int:
    async with open_node(url) as node:
        return (await node.recipient(Address(address)))[0]


@pytest.mark.parametrize("point", POINTS)
def test_a_faucet_killed_at_any_step_pays_exactly_once(
    point: str, net: Testnet, account: PrivateKey, tmp_path: Path
) -> None:
    recipient, database = os.urandom(20), f"sqlite:///{tmp_path}/faucet.db"
    command = ["-m", "tests.testnet.faucet_process", net.rpc_url, database, format_address(recipient), point]
    killed = subprocess.run([sys.executable, *command], timeout=DEADLINE_S, check=False)
    assert killed.returncode == -signal.SIGKILL

    async def finish() -> tuple[int, int]:
        async with Faucet(FaucetConfig(rpc_url=net.rpc_url, database_url=database)) as faucet:
            assert faucet.address == format_address(account.address)
            deadline = time.monotonic() + DEADLINE_S
            await faucet.settle()
            while any(one["state"] != "settled" for one in faucet.get_history()):
                assert time.monotonic() < deadline, faucet.get_history()
                await asyncio.sleep(0.2)
                await faucet.settle()
            return await balance_of(net.rpc_url, recipient), len(faucet.get_history())

    paid_wei, promises = asyncio.run(finish())

    # Who dies before the promise is on the disk has promised nothing.
    assert promises == (0 if point == "before promise" else 1)
    assert paid_wei == promises * PAID_WEI


def test_a_ledger_is_refused_on_another_chain(net: Testnet, account: PrivateKey, tmp_path: Path) -> None:
    config = FaucetConfig(rpc_url=net.rpc_url, database_url=f"sqlite:///{tmp_path}/faucet.db")

    async def first() -> None:
        async with Faucet(config) as faucet:
            await faucet.settle()

    async def second(url: str) -> None:
        async with Faucet(FaucetConfig(rpc_url=url, database_url=config.database_url)) as faucet:
            await faucet.request_tokens(format_address(account.address), "198.51.100.7")

    asyncio.run(first())
    with (
        Testnet(validators=1, block_time_s=1, in_memory=True) as other,
        pytest.raises(InvalidInput, match="this ledger belongs to"),
    ):
        asyncio.run(second(other.rpc_url))


@pytest.mark.parametrize("kind", ["fake", "real"])
def test_a_node_answers_what_the_faucet_relies_on(kind: str, net: Testnet) -> None:
    async def use(node: PayingNode, fake: FakeChain | None) -> None:
        payer, to = PAYER.address, Address(os.urandom(20))
        chain_id, genesis = await node.identity()
        assert (chain_id, len(genesis)) == (CHAIN_ID, 32)
        before = await node.standing(payer)
        assert await node.gas_of_transfer(payer, to, 5) == 21_000

        def transfer(nonce: int, tip_wei: int = 10**9) -> bytes:
            return signed_transfer(PAYER, chain_id=CHAIN_ID, nonce=nonce, to=to, value_wei=5, tip_wei=tip_wei)

        # Behind a gap, so that no block takes it while we look.
        later = transfer(before.nonce + 1)
        assert await node.send(later) is None
        assert await node.send(later) is None, "the same bytes again are no error"
        assert "underpriced" in str(await node.send(transfer(before.nonce + 1, tip_wei=10**9 + 1)))
        assert await node.receipts([transaction_hash(later)]) == {}

        first = transfer(before.nonce)
        assert await node.send(first) is None
        deadline = time.monotonic() + DEADLINE_S
        while (after := await node.standing(payer)).nonce < before.nonce + 2:
            assert time.monotonic() < deadline
            if fake is not None:
                fake.mine()
            await asyncio.sleep(0.1)
        assert after.head > before.head
        receipts = await node.receipts([transaction_hash(first), transaction_hash(later), bytes(32)])
        assert {one.transaction_hash for one in receipts.values()} == {
            transaction_hash(first),
            transaction_hash(later),
        }
        assert all(one.succeeded for one in receipts.values())
        assert "nonce too low" in str(await node.send(transfer(before.nonce, tip_wei=5 * 10**9)))

    async def run() -> None:
        if kind == "fake":
            fake = FakeChain()
            await use(fake, fake)
        else:
            async with open_node(net.rpc_url) as node:
                await use(node, None)

    asyncio.run(run())
