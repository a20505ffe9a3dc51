"""Behind the counter of a faucet: its database, its key, its chain, and every question that comes before a payout.

`Faucet` (for programs) and `ClaimDesk` (for the web) are its two faces; both promise and pay here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from metanode.crypto.addresses import format_address, is_checksum_wrong, parse_address
from metanode.errors import InvalidInput, Unavailable
from metanode.primitives.types import ZERO_ADDRESS
from sdk.testnet.faucet.account import load_account
from sdk.testnet.faucet.clock import FaucetClock
from sdk.testnet.faucet.database import Database
from sdk.testnet.faucet.embedded import EmbeddedChain
from sdk.testnet.faucet.lease import SigningLease
from sdk.testnet.faucet.ledger import Ledger
from sdk.testnet.faucet.node import DELEGATION, NodeOrder, open_node
from sdk.testnet.faucet.operation import Operation
from sdk.testnet.faucet.paying import GWEI, Payer, Payouts
from sdk.testnet.faucet.payout import ChainIdentity
from sdk.testnet.faucet.policy import (
    RefusalCode,
    Refused,
    empty,
    limits_of,
    scaled_amount,
)
from sdk.testnet.faucet.quotas import Allowance

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from metanode.primitives.types import Address
    from sdk.testnet.faucet.client_address import IPAddress, Origin
    from sdk.testnet.faucet.configuration import FaucetConfig
    from sdk.testnet.faucet.node import PayingNode, Standing
    from sdk.testnet.faucet.operation import Settings
    from sdk.testnet.faucet.payout import Claim, Payout, Redeemed
    from sdk.testnet.faucet.quotas import Asker

STANDING_AGE_S: Final = 1.0
"""How old the account's balance may be that a promise is measured by; the signature asks for it anew."""
VALIDATORS_AGE_S: Final = 60.0
_DIGITS: Final = frozenset("0123456789abcdefABCDEF")


@dataclass(slots=True, kw_only=True)
class Chain:
    """Where it pays, known to be the ledger's chain."""

    url: str
    identity: ChainIdentity
    payouts: Payouts
    is_by_clock: bool
    """Whether it makes blocks by the clock, as a chain with our validators does, and not only when somebody sends it something."""
    standing: Standing | None = None
    standing_s: float = field(default=float("-inf"))
    validators: frozenset[bytes] = frozenset()
    validators_s: float = field(default=float("-inf"))


class Till:
    """Everything that a promise needs, and the work on those that are given. Owned by one `Faucet`.

    Raises:
        InvalidInput: when the key can't be read, or the database is another faucet's.
        StorageFailed: when the database does not answer.
    """

    def __init__(self, config: FaucetConfig) -> None:
        self.config = config
        self.embedded = EmbeddedChain() if config.rpc_url is None else None
        self.key = load_account(config) if self.embedded is None else self.embedded.key
        default = "sqlite:///faucet.db" if self.embedded is None else "sqlite://"
        database = Database(config.database_url or default)
        self.ledger = Ledger(database)
        self.operation = Operation(database, config)
        self.lease = SigningLease(database)
        self._order = NodeOrder()
        self.clock = FaucetClock(self.ledger.newest_ms())
        self.chain: Chain | None = None
        self.promised = asyncio.Event()
        """Set by a promise that somebody else is to pay."""
        self._advancing = False

    # -- questions ------------------------------------------------------------------------------------------------------------------------

    def allowance(self, recipient: Address, client: IPAddress | None) -> Allowance:
        """Return what an operator's lists free a request of. Blocks for the database.

        An entry frees the clients inside it and no others: of an entry smaller than the network that a client is counted by, its neighbours
        are not meant.
        """
        if client is not None and self.is_allowed_client(client):
            return Allowance.CLIENT
        is_listed = recipient.hex() in self.operation.allowed("address")
        return Allowance.ADDRESS if is_listed else Allowance.NONE

    def is_allowed_client(self, client: IPAddress) -> bool:
        """Whether an operator has freed who asks from here of limits. Blocks for the database."""
        networks = map(ipaddress.ip_network, self.operation.allowed("ip"))
        return any(client.version == one.version and client in one for one in networks)

    def find_refusal(self, asker: Asker, settings: Settings | None = None) -> Refused | None:
        """Say why limits, lists or an operator refuse a request now; asks no node. Blocks for the database."""
        settings = settings or self.operation.settings()
        if settings.paused is not None:
            return Refused(
                reason=f"The faucet is paused: {settings.paused}", code=RefusalCode.PAUSED, retry_after_s=300
            )
        if asker.address.hex() in self.operation.blocked("address"):
            return Refused(reason="This address is blocked", code=RefusalCode.BLOCKED, retry_after_s=None)
        if asker.origin is not None and _covers(self.operation.blocked("ip"), asker.origin):
            return Refused(reason="This IP address is blocked", code=RefusalCode.BLOCKED, retry_after_s=None)
        limits = limits_of(self.config, daily_limit=settings.daily_limit)
        return self.ledger.find_refusal(limits, asker, self.clock.now_ms())

    async def find_refusal_now(self, asker: Asker, settings: Settings) -> Refused | None:
        """As `find_refusal`; but while the clock is held back, no refusal stands that the chain's newest block may have ended. Raises Unavailable."""
        refused = await asyncio.to_thread(self.find_refusal, asker, settings)
        if refused is None or not self.clock.behind_ms:
            return refused
        chain = await self.open_chain()
        async with self.connect(chain) as node:
            await self.standing(chain, node)
        return await asyncio.to_thread(self.find_refusal, asker, settings)

    async def find_unfit(self, chain: Chain, node: PayingNode, recipient: Address) -> str | None:
        """Say why this recipient gets nothing, whoever asks. Raises Unavailable."""
        if recipient == self.key.address:
            return "address: this is the faucet's own"
        if self.config.refuse_validators and recipient in await self._validators(chain, node):
            return "address: this is a validator's, and validators get their coins from blocks"
        most = self.config.max_recipient_balance
        if most is None and not self.config.refuse_contracts:
            return None
        balance_wei, code = await node.recipient(recipient)
        if self.config.refuse_contracts and code and not code.startswith(DELEGATION):
            return "address: this is a contract, and the faucet pays accounts"
        if most is not None and balance_wei >= most * GWEI:
            return f"address: it has {balance_wei // GWEI:,} gwei already; the faucet helps who has less than {most:,}"
        return None

    async def find_amount(self, chain: Chain, node: PayingNode, settings: Settings) -> int | Refused:
        """Return how much a request is paid now, in gwei. Raises Unavailable."""
        amount_gwei = settings.tokens_per_request
        standing = await self.standing(chain, node)
        if not self.clock.is_certain:
            raise Unavailable(
                f"the chain's newest block is {self.clock.behind_ms // 60_000 + 1:,} minutes older than this machine's time: the chain stands "
                "still, or the machine's clock is wrong; its next block says which, and then the faucet pays again"
            )
        queue = await asyncio.to_thread(self.ledger.queue_standing)
        left_gwei = standing.balance_wei // GWEI - queue.promised_gwei
        if self.config.scale_with_balance:
            target_gwei = self.config.target_balance
            if target_gwei is None:
                target_gwei = await asyncio.to_thread(self.operation.highest_balance, left_gwei)
            scaled = scaled_amount(amount_gwei, left_gwei, target_gwei)
            if isinstance(scaled, Refused):
                return scaled
            amount_gwei = scaled
        return empty() if left_gwei < amount_gwei else amount_gwei

    async def standing(self, chain: Chain, node: PayingNode) -> Standing:
        """Return the account's nonce and balance, at most a second old. Raises Unavailable."""
        if chain.standing is None or time.monotonic() - chain.standing_s > STANDING_AGE_S:
            chain.standing = await node.standing(self.key.address)
            chain.standing_s = time.monotonic()
            if chain.is_by_clock:
                self.clock.saw_block(chain.standing.timestamp_ms)
        return chain.standing

    # -- work -----------------------------------------------------------------------------------------------------------------------------

    def promise(
        self, asker: Asker, amount_gwei: int, settings: Settings, claim: Claim | None = None
    ) -> Payout | Refused | Redeemed:
        """Queue a payout and charge it, or refuse. Blocks for the database."""
        limits = limits_of(self.config, daily_limit=settings.daily_limit)
        return self.ledger.promise(limits, asker, amount_gwei, self.clock.now_ms(), claim)

    async def advance(self, chain: Chain, node: PayingNode) -> None:
        """One step for all payouts; while somebody does it, others need not. Raises Unavailable."""
        if self._advancing:
            return
        self._advancing = True
        try:
            if self.clock.behind_ms:
                await self.standing(chain, node)
            await chain.payouts.advance(node)
        finally:
            self._advancing = False

    async def open_chain(self) -> Chain:
        """Find the chain, start it if it is the faucet's own, and see that the ledger is of it, and the key no validator's; once.

        Raises:
            Unavailable: when the node or the database does not answer.
            InvalidInput: when the node is of another chain than the ledger, or the account that pays is a validator's.
        """
        if self.chain is not None:
            return self.chain
        url = self.config.rpc_url
        if url is None:
            assert self.embedded is not None
            url = await asyncio.to_thread(self.embedded.start)
        known = await asyncio.to_thread(self.ledger.genesis_hash)
        async with open_node(
            url, self.config.backup_rpc_urls, genesis_hash=known, silent=self._order
        ) as node:
            chain_id, genesis_hash = await node.identity()
            validators = await node.validators()
            standing = await node.standing(self.key.address)
        if self.key.address in validators:
            raise InvalidInput(
                f"keystore: {format_address(self.key.address)} is a validator's account, and this program is one that strangers reach; give the "
                "faucet a key of its own, and send it coins"
            )
        identity = ChainIdentity(chain_id=chain_id, genesis_hash=genesis_hash, payer=self.key.address)
        await asyncio.to_thread(self.ledger.bind, identity)
        if validators:
            self.clock.saw_block(standing.timestamp_ms)
        else:
            self.clock.believe_wall()
        payouts = Payouts(
            self.ledger,
            Payer(key=self.key, chain_id=chain_id),
            self.clock,
            in_flight_max=self.config.max_in_flight,
            batching=self.config.batching,
            is_paused=lambda: not self.operation.settings().is_signing,
            counts=self.ledger.counts,
        )
        self.chain = Chain(url=url, identity=identity, payouts=payouts, is_by_clock=bool(validators))
        return self.chain

    def connect(self, chain: Chain) -> AbstractAsyncContextManager[PayingNode]:
        """Open connections to the chain's nodes; entering raises Unavailable when none of several can be asked."""
        return open_node(
            chain.url,
            self.config.backup_rpc_urls,
            genesis_hash=chain.identity.genesis_hash,
            silent=self._order,
        )

    async def close(self) -> None:
        """Close the database, and stop a chain of its own."""
        await asyncio.to_thread(self.ledger.close)
        if self.embedded is not None:
            await asyncio.to_thread(self.embedded.stop)

    async def _validators(self, chain: Chain, node: PayingNode) -> frozenset[bytes]:
        if time.monotonic() - chain.validators_s > VALIDATORS_AGE_S:
            chain.validators = await node.validators()
            chain.validators_s = time.monotonic()
        return chain.validators


def parse_recipient(text: str) -> Address:
    """Parse an address that may be paid. Raises InvalidInput."""
    if not isinstance(text, str):
        raise InvalidInput(f"address: expected 0x and 40 hexadecimal digits, found {text!r:.60}")
    if len(text) == 40 and _DIGITS.issuperset(text):
        text = "0x" + text
    address = parse_address(text)
    if is_checksum_wrong(text):
        raise InvalidInput(
            f"address: the capitals are not its EIP-55 checksum, so a digit may be wrong; if it is right, write {format_address(address)}"
        )
    if address == ZERO_ADDRESS:
        raise InvalidInput("address: nobody has the key of the zero address")
    return address


def _covers(networks: list[str], origin: Origin) -> bool:
    return any(
        network.version == origin.narrow.version and network.overlaps(origin.narrow)
        for network in map(ipaddress.ip_network, networks)
    )
