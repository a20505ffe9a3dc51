"""The faucet on a real network: killed by signal 9 at each step, and the chain of the other tests compared with the real one."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.processes import free_ports
from tests.testnet.faucet_chain import CHAIN_ID, PAYER, FakeChain
from tests.testnet.faucet_process import PATIENCE_S, POINTS, promise_all

from metanode.crypto.addresses import format_address
from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput
from metanode.primitives.types import Address
from sdk.testnet import Faucet, FaucetConfig, Testnet
from sdk.testnet.faucet.dispersing import FACTORY, disperse_calldata, gas_of, load_contract
from sdk.testnet.faucet.node import PayingNode, Receipt, open_node, transaction_hash
from sdk.testnet.transfers import signed_transfer

if TYPE_CHECKING:
    from collections.abc import Iterator

PAID_WEI = 100 * 10**18
DEADLINE_S = 120.0


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdk.testnet.faucet.node.TIMEOUT_S", PATIENCE_S)


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


async def settle_all(faucet: Faucet) -> None:
    deadline = time.monotonic() + DEADLINE_S
    await faucet.settle()
    while any(one["state"] != "settled" for one in faucet.get_history()):
        assert time.monotonic() < deadline, faucet.get_history()
        await asyncio.sleep(0.2)
        await faucet.settle()


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
            await settle_all(faucet)
            return await balance_of(net.rpc_url, recipient), len(faucet.get_history())

    paid_wei, promises = asyncio.run(finish())

    # Who dies before the promise is on the disk has promised nothing.
    assert promises == (0 if point == "before promise" else 1)
    assert paid_wei == promises * PAID_WEI


@pytest.mark.parametrize("point", ["before replace", "after replace"])
def test_a_first_signature_that_comes_late_after_all_is_the_one_payout(
    point: str, net: Testnet, account: PrivateKey, tmp_path: Path
) -> None:
    """The node that had lost the transaction finds it again while the faucet is dead: both signatures have one nonce."""
    recipient, database = os.urandom(20), f"sqlite:///{tmp_path}/faucet.db"
    command = ["-m", "tests.testnet.faucet_process", net.rpc_url, database, format_address(recipient), point]
    killed = subprocess.run([sys.executable, *command], timeout=DEADLINE_S, check=False)
    assert killed.returncode == -signal.SIGKILL

    async def finish() -> tuple[int, list[str], str]:
        config = FaucetConfig(rpc_url=net.rpc_url, database_url=database)
        async with Faucet(config) as faucet, open_node(net.rpc_url) as node:
            assert faucet.address == format_address(account.address)
            (payout,) = faucet._ledger.in_flight()
            signatures = faucet._ledger.signatures(payout.id)
            assert len(signatures) == (1 if point.startswith("before") else 2)
            assert await node.send(signatures[0].raw) is None
            await settle_all(faucet)
            (paid,) = faucet.get_history()
            return (
                await balance_of(net.rpc_url, recipient),
                ["0x" + one.hash.hex() for one in signatures],
                str(paid["tx_hash"]),
            )

    paid_wei, hashes, settled = asyncio.run(finish())

    assert paid_wei == PAID_WEI
    assert settled in hashes


@pytest.fixture
def contract(net: Testnet, account: PrivateKey, tmp_path: Path) -> bytes:
    """The contract that pays many, on the chain: put there by a faucet with a queue."""

    async def deploy() -> None:
        config = FaucetConfig(rpc_url=net.rpc_url, database_url=f"sqlite:///{tmp_path}/first.db")
        async with Faucet(config) as faucet, open_node(net.rpc_url) as node:
            assert faucet.address == format_address(account.address)
            if (await node.codes([load_contract().address]))[0]:
                return
            promise_all(faucet, [format_address(os.urandom(20)) for _ in range(6)])
            await settle_all(faucet)
            deadline = time.monotonic() + DEADLINE_S
            while not (await node.codes([load_contract().address]))[0]:
                assert time.monotonic() < deadline
                await faucet.settle()
                await asyncio.sleep(0.2)
            # Its own transaction is settled too, and is no payout.
            while faucet._ledger.in_flight():
                assert time.monotonic() < deadline
                await faucet.settle()
                await asyncio.sleep(0.2)
            assert faucet.get_stats()["successful_requests"] == 6

    asyncio.run(deploy())
    return load_contract().address


@pytest.mark.parametrize("point", [point for point in POINTS if "promise" not in point])
def test_a_faucet_killed_in_a_batch_pays_each_exactly_once(
    point: str, net: Testnet, contract: bytes, tmp_path: Path
) -> None:
    assert len(contract) == 20
    recipients = [os.urandom(20) for _ in range(7)]
    database = f"sqlite:///{tmp_path}/faucet.db"
    names = ",".join(format_address(one) for one in recipients)
    command = ["-m", "tests.testnet.faucet_process", net.rpc_url, database, names, point]
    killed = subprocess.run([sys.executable, *command], timeout=DEADLINE_S, check=False)
    assert killed.returncode == -signal.SIGKILL

    async def finish() -> tuple[list[int], set[str]]:
        async with Faucet(FaucetConfig(rpc_url=net.rpc_url, database_url=database)) as faucet:
            await settle_all(faucet)
            paid = [await balance_of(net.rpc_url, one) for one in recipients]
            return paid, {str(one["tx_hash"]) for one in faucet.get_history()}

    paid_wei, hashes = asyncio.run(finish())

    assert paid_wei == [PAID_WEI] * 7
    assert len(hashes) == 1


# Runtime codes: takes nothing; burns all gas that it is given; takes everything.
REVERTS, BURNS, TAKES = "5f5ffd", "5b5f56", "00"
GREEDY = """
# pragma version 0.4.3
interface Disperse:
    def disperse(recipients: DynArray[address, 100], amounts: DynArray[uint256, 100]): payable

@external
@payable
def __default__():
    nobody: DynArray[address, 100] = []
    nothing: DynArray[uint256, 100] = []
    extcall Disperse(msg.sender).disperse(nobody, nothing, value=0)
"""


FORGING = """
# pragma version 0.4.3
interface Disperse:
    def disperse(recipients: DynArray[address, 1], amounts: DynArray[uint256, 1]): payable

@external
@payable
def __default__():
    # The recipient is this contract, which takes nothing from the contract that pays many.
    assert msg.sender != DISPERSE
    recipients: DynArray[address, 1] = [self]
    amounts: DynArray[uint256, 1] = [0]
    extcall Disperse(DISPERSE).disperse(recipients, amounts, value=0)
"""


async def final_receipt(
    node: PayingNode, key: PrivateKey, to: bytes, data: bytes, *, value_wei: int = 0, gas: int = 1_000_000
) -> Receipt:
    standing = await node.standing(key.address)
    raw = signed_transfer(
        key, chain_id=CHAIN_ID, nonce=standing.nonce, to=to, value_wei=value_wei, gas=gas, data=data
    )
    assert await node.send(raw) is None
    deadline = time.monotonic() + DEADLINE_S
    while not (found := await node.receipts([transaction_hash(raw)])):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    return found[transaction_hash(raw)]


async def deployed(node: PayingNode, key: PrivateKey, initcode: str, *, salt: int) -> bytes:
    code, salt_bytes = bytes.fromhex(initcode), salt.to_bytes(32, "big")
    assert (await final_receipt(node, key, FACTORY, salt_bytes + code)).succeeded
    return keccak256(b"\xff" + FACTORY + salt_bytes + keccak256(code))[12:]


def compiled(source: str, path: Path) -> str:
    path.write_text(source)
    command = [str(Path(sys.executable).parent / "vyper"), "-f", "bytecode", str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return found.stdout.strip()[2:]


def test_recipients_that_revert_burn_or_call_back_hurt_nobody_else(
    net: Testnet, contract: bytes, tmp_path: Path
) -> None:
    """A batch as the faucet never makes it, for it looks at the code before: the contract holds by itself."""
    key = PrivateKey(bytes.fromhex(net.accounts[5].private_key.removeprefix("0x")))
    greedy = compiled(GREEDY, tmp_path / "greedy.vy")

    async def run() -> None:
        async with open_node(net.rpc_url) as node:

            async def final(to: bytes, data: bytes, value_wei: int, gas: int) -> Receipt:
                return await final_receipt(node, key, to, data, value_wei=value_wei, gas=gas)

            async def deploy(initcode: str) -> bytes:
                return await deployed(node, key, initcode, salt=7)

            def simple(runtime: str) -> str:
                size = len(runtime) // 2
                return f"60{size:02x}600a5f3960{size:02x}5ff3".ljust(20, "0") + runtime

            bad = [await deploy(simple(one)) for one in (REVERTS, BURNS)]
            taking, calling = await deploy(simple(TAKES)), await deploy(greedy)
            plain = [os.urandom(20) for _ in range(94)]
            # The worst place for those that burn is before everybody else.
            recipients = [bad[1], bad[0], calling, taking, bad[1], *plain, bad[1]]
            amounts = [10 + number for number in range(len(recipients))]
            before = await balance_of(net.rpc_url, contract)
            receipt = await final(
                contract, disperse_calldata(recipients, amounts), sum(amounts), gas_of(len(recipients))
            )

            assert receipt.succeeded
            # Who calls back has 30,000 gas for it and gets its own coins at most.
            kept = await balance_of(net.rpc_url, calling)
            assert receipt.refused == ({0, 1, 4, 99} if kept else {0, 1, 2, 4, 99}), (
                "it has its coins, or is named"
            )
            assert [await balance_of(net.rpc_url, one) for one in plain] == amounts[5:99]
            assert await balance_of(net.rpc_url, taking) == amounts[3]
            assert kept in {0, amounts[2]}
            assert await balance_of(net.rpc_url, contract) == before == 0

            less = await final(contract, disperse_calldata(plain[:2], [1, 2]), 2, gas_of(2))
            assert not less.succeeded, "the value has to be the sum"

    asyncio.run(run())


@pytest.mark.parametrize("gas_max", [None, 100_000])
def test_a_recipient_that_forges_a_refusal_is_not_paid_again(
    gas_max: int | None,
    net: Testnet,
    account: PrivateKey,
    contract: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It makes the contract that pays many say "refused" in the transaction that pays it alone, and keeps the coins.

    With the gas that a lone payout has it can't; with enough for it the ledger does not believe it.
    """
    if can_forge := gas_max is not None:
        monkeypatch.setattr("sdk.testnet.faucet.node.GAS_MAX", gas_max)
    key = PrivateKey(bytes.fromhex(net.accounts[6].private_key.removeprefix("0x")))
    forging = compiled(FORGING.replace("DISPERSE", format_address(contract)), tmp_path / "forging.vy")

    async def run() -> None:
        config = FaucetConfig(rpc_url=net.rpc_url, database_url=f"sqlite:///{tmp_path}/faucet.db")
        async with open_node(net.rpc_url) as node, Faucet(config) as faucet:
            assert faucet.address == format_address(account.address)
            thief = await deployed(node, key, forging, salt=8 + can_forge)
            answer = await faucet.request_tokens(format_address(thief), "198.51.100.7")
            assert answer["success"] == can_forge, answer
            start, deadline = (await node.standing(key.address)).head, time.monotonic() + DEADLINE_S
            while (await node.standing(key.address)).head < start + 6:
                assert time.monotonic() < deadline
                await faucet.settle()
                await asyncio.sleep(0.1)

            (payout,) = faucet.get_history()
            paid_wei = await balance_of(net.rpc_url, thief)
            if not can_forge:
                assert (paid_wei, payout["state"]) == (0, "cancelled")
                return
            receipts = await node.receipts([bytes.fromhex(str(payout["tx_hash"]).removeprefix("0x"))])
            assert [one.refused for one in receipts.values()] == [{0}], "the forgery itself works"
            assert (paid_wei, payout["state"]) == (PAID_WEI, "settled")

    asyncio.run(run())


def test_a_node_that_is_away_has_another_one_in_its_place(
    net: Testnet, account: PrivateKey, tmp_path: Path
) -> None:
    recipient = os.urandom(20)
    (dead,) = free_ports(1)

    async def pay(*backups: str) -> str | None:
        config = FaucetConfig(
            rpc_url=f"http://127.0.0.1:{dead}",
            backup_rpc_urls=backups,
            database_url=f"sqlite:///{tmp_path}/faucet.db",
        )
        async with Faucet(config) as faucet:
            assert faucet.address == format_address(account.address)
            answer = await faucet.request_tokens(format_address(recipient), "198.51.100.7")
            if answer["success"]:
                await settle_all(faucet)
            error: str | None = answer["error"]
            return error

    assert "no node can be asked" in str(asyncio.run(pay(f"http://127.0.0.1:{dead}")))
    with Testnet(validators=1, block_time_s=1, in_memory=True) as other:
        assert asyncio.run(pay(net.rpc_url)) is None
        # Now the ledger knows its chain, and a node of another one is not asked.
        assert asyncio.run(pay(other.rpc_url, net.rpc_url)) is None
    assert asyncio.run(balance_of(net.rpc_url, recipient)) == 2 * PAID_WEI


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
        assert (await node.codes([to, FACTORY]))[0] == b""
        assert (await node.codes([FACTORY]))[0]
        assert all(len(one) == 20 for one in await node.validators())

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
