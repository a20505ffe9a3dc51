"""A chain in memory that takes the faucet's transfers as a node does, and forgets, refuses and disappears when a test says so."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from eth_abi import decode as decode_abi

from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey, recover_address
from metanode.errors import Unavailable
from metanode.primitives import rlp
from metanode.primitives.types import Address
from sdk.testnet.faucet.dispersing import FACTORY, load_contract
from sdk.testnet.faucet.node import PayingNode, Receipt, RecipientRefuses, Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

PAYER = PrivateKey(b"\x21" * 32)
CHAIN_ID = 9999
GENESIS_HASH = b"\x11" * 32
DISPERSE_SELECTOR = keccak256(b"disperse(address[],uint256[])")[:4]


@dataclass(frozen=True)
class Transfer:
    """A decoded transfer."""

    hash: bytes
    nonce: int
    tip_wei: int
    max_fee_wei: int
    to: bytes
    value_wei: int
    data: bytes = b""


def decode(raw: bytes) -> Transfer:
    """Decode a type 2 transfer of the payer."""
    assert raw[0] == 2
    fields = rlp.decode(raw[1:])
    assert isinstance(fields, list)
    signed = keccak256(b"\x02" + rlp.encode(fields[:9]))
    odd, r, s = (bytes(part) for part in fields[9:])  # type: ignore[arg-type]
    signature = r.rjust(32, b"\0") + s.rjust(32, b"\0") + odd.rjust(1, b"\0")
    assert recover_address(signed, signature) == PAYER.address
    number = [int.from_bytes(field, "big") for field in fields[:7] if isinstance(field, bytes)]
    data = fields[7]
    assert isinstance(data, bytes)
    assert number[0] == CHAIN_ID
    return Transfer(
        hash=keccak256(raw),
        nonce=number[1],
        tip_wei=number[2],
        max_fee_wei=number[3],
        to=bytes(fields[5]),  # type: ignore[arg-type]
        value_wei=number[6],
        data=data,
    )


def decode_disperse(data: bytes) -> list[tuple[bytes, int]]:
    """Who gets how many wei by a call of the contract that pays many."""
    assert data[:4] == DISPERSE_SELECTOR
    recipients, amounts = decode_abi(["address[]", "uint256[]"], data[4:])
    return [(bytes.fromhex(to[2:]), amount) for to, amount in zip(recipients, amounts, strict=True)]


class FakeChain(PayingNode):
    """Answers as `PayingNode` does; `mine` makes a block."""

    def __init__(self) -> None:
        self.paid: Counter[bytes] = Counter()
        self.pool: dict[int, Transfer] = {}
        self.down = False
        self.refusing: set[bytes] = set()
        """Recipients that take no coins, and have no code that would tell."""
        self.contracts: set[bytes] = set()
        """Recipients with code."""
        self.has_factory = True
        self.is_deployed = False
        self.failing_deployments = False
        self._receipts: dict[bytes, Receipt] = {}
        self._standing = Standing(head=0, timestamp_ms=0, base_fee_wei=7, nonce=0, balance_wei=10**30)

    def mine(self, *, blocks: int = 1, take: bool = True) -> None:
        """Make blocks; without `take` they are empty."""
        for _ in range(blocks):
            self._standing = replace(self._standing, head=self._standing.head + 1)
            while take and (transfer := self.pool.pop(self._standing.nonce, None)) is not None:
                self._take(transfer)

    def use_nonce_elsewhere(self) -> None:
        """Somebody else has the key, and a transaction in a block."""
        self.pool.pop(self._standing.nonce, None)
        self._standing = replace(self._standing, nonce=self._standing.nonce + 1)

    def set_balance(self, balance_wei: int) -> None:
        """Leave the payer this much."""
        self._standing = replace(self._standing, balance_wei=balance_wei)

    def forget_pool(self) -> None:
        """Restart the node: what was in no block is gone."""
        self.pool.clear()

    async def identity(self) -> tuple[int, bytes]:
        self._check_up()
        return CHAIN_ID, GENESIS_HASH

    async def standing(self, payer: Address) -> Standing:
        self._check_up()
        assert payer == PAYER.address
        return self._standing

    async def recipient(self, address: Address) -> tuple[int, bytes]:
        self._check_up()
        return self.paid[address], b""

    async def codes(self, addresses: Sequence[Address]) -> list[bytes]:
        self._check_up()
        known = {FACTORY: b"\x60" if self.has_factory else b""}
        known |= {load_contract().address: load_contract().runtime if self.is_deployed else b""}
        known |= {Address(one): b"\x60" for one in self.contracts}
        return [known.get(one, b"") for one in addresses]

    async def validators(self) -> frozenset[bytes]:
        self._check_up()
        return frozenset()

    async def gas_of_transfer(self, payer: Address, to: Address, value_wei: int) -> int:
        self._check_up()
        assert payer == PAYER.address
        assert value_wei > 0
        if to in self.refusing:
            raise RecipientRefuses("the recipient does not take coins: execution reverted")
        return 21_000

    async def send(self, raw: bytes) -> str | None:
        self._check_up()
        transfer = decode(raw)
        if transfer.nonce < self._standing.nonce:
            return "nonce too low"
        known = self.pool.get(transfer.nonce)
        if known is not None and known != transfer:
            enough = 11 * known.tip_wei <= 10 * transfer.tip_wei and (
                11 * known.max_fee_wei <= 10 * transfer.max_fee_wei
            )
            if not enough:
                return "replacement transaction underpriced"
        self.pool[transfer.nonce] = transfer
        return None

    async def receipts(self, hashes: Sequence[bytes]) -> dict[bytes, Receipt]:
        self._check_up()
        return {one: self._receipts[one] for one in hashes if one in self._receipts}

    def _take(self, transfer: Transfer) -> None:
        paid, refused, succeeded = transfer.value_wei, set(), True
        if transfer.to == FACTORY:
            succeeded = not self.failing_deployments
            self.is_deployed = self.is_deployed or succeeded
        elif transfer.to == load_contract().address:
            assert self.is_deployed, "coins sent to an address without the contract are lost"
            for place, (to, amount) in enumerate(decode_disperse(transfer.data)):
                if to in self.refusing:
                    refused.add(place)
                    paid -= amount
                else:
                    self.paid[to] += 1
            assert sum(amount for _, amount in decode_disperse(transfer.data)) == transfer.value_wei
        else:
            self.paid[transfer.to] += 1
        self._receipts[transfer.hash] = Receipt(
            transaction_hash=transfer.hash, succeeded=succeeded, refused=frozenset(refused)
        )
        self._standing = replace(
            self._standing,
            nonce=self._standing.nonce + 1,
            balance_wei=self._standing.balance_wei - paid,
        )

    def _check_up(self) -> None:
        if self.down:
            raise Unavailable("the node does not answer")
