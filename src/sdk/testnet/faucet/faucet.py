"""`Faucet`: ask it for tokens, ask it about addresses, shut somebody out."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, assert_never

import structlog

from metanode.crypto.addresses import format_address, is_checksum_wrong, parse_address
from metanode.errors import InvalidInput, Unavailable
from metanode.primitives.types import ZERO_ADDRESS
from sdk.testnet.faucet.account import load_account
from sdk.testnet.faucet.client_address import Origin, origin_of, parse_ip
from sdk.testnet.faucet.clock import FaucetClock
from sdk.testnet.faucet.configuration import FaucetConfig
from sdk.testnet.faucet.database import Database
from sdk.testnet.faucet.embedded import EmbeddedChain
from sdk.testnet.faucet.ledger import ChainIdentity, Ledger, Payout, PayoutState
from sdk.testnet.faucet.node import DELEGATION, open_node
from sdk.testnet.faucet.paying import GWEI, Payer, Payouts
from sdk.testnet.faucet.policy import Refused, describe_seconds, limits_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from metanode.primitives.types import Address
    from sdk.testnet.faucet.node import PayingNode

log = structlog.get_logger(__name__)

PAY_TIMEOUT_S: Final = 60.0
"""How long a request waits for its place among the transactions in flight; what is promised by then is paid later."""
TURN_S: Final = 0.25
"""From one look at the queue to the next."""
RUN_INTERVAL_S: Final = 1.0
RETRY_MAX_S: Final = 30.0
"""The longest pause of `run` after a node or a database that does not answer."""
CLEAN_INTERVAL_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chain:
    """Where it pays, known to be the ledger's chain."""

    url: str
    payer: Address
    payouts: Payouts


class Faucet:
    """Gives test tokens, within limits, each exactly once.

    `Faucet()` alone pays on a chain of its own, which starts at the first request. With `rpc_url` and a key in its configuration it pays on
    that network, and keeps its limits and payouts in a database.

    `request_tokens`, `settle` and `run` are coroutines; everything else is short and may be called anywhere.

    Args:
        config: Amounts, limits, where from; the defaults of `FaucetConfig` if none.

    Raises:
        InvalidInput: when the key can't be read, or the database is another faucet's.
        StorageFailed: when the database does not answer.
    """

    def __init__(self, config: FaucetConfig | None = None) -> None:
        self.config = config or FaucetConfig()
        self._limits = limits_of(self.config)
        self._embedded: EmbeddedChain | None = None
        if self.config.rpc_url is None:
            self._embedded = EmbeddedChain()
            self._key = self._embedded.key
        else:
            self._key = load_account(self.config)
        default = "sqlite://" if self.config.rpc_url is None else "sqlite:///faucet.db"
        self._ledger = Ledger(Database(self.config.database_url or default))
        self._clock = FaucetClock(self._ledger.newest_ms())
        self._chain: _Chain | None = None
        self._advancing = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<Faucet {self.address} on {self.config.rpc_url or 'a chain of its own'}>"

    @property
    def address(self) -> str:
        """The account that pays."""
        return format_address(self._key.address)

    @property
    def rpc_url(self) -> str | None:
        """JSON-RPC of the chain that it pays on; None before a chain of its own has started."""
        return self.config.rpc_url or (None if self._chain is None else self._chain.url)

    # -- asking ---------------------------------------------------------------------------------------------------------------------------

    async def request_tokens(self, address: str, ip_address: str) -> dict[str, Any]:
        """Pay `tokens_per_request` to an address, if its limits and those of the client allow it.

        Args:
            address: 0x and 40 hexadecimal digits.
            ip_address: Of the client; behind proxies `client_address` finds it.

        Returns:
            `success`, `amount` (gwei; 0 when nothing was paid), `tx_hash` (None when nothing was signed), `error` (None, or a sentence) and
            `retry_after_s` (None when waiting does not help). A payout that is signed, and that no node has taken yet, is told with its hash
            and `success` False: it will be paid, and counts.
        """
        try:
            recipient, origin = _parse_recipient(address), origin_of(parse_ip(ip_address))
        except InvalidInput as error:
            self._ledger.count_rejected()
            return _answer(error=str(error))
        now_ms = self._clock.now_ms()
        refused = await asyncio.to_thread(self._find_refusal, recipient, origin, now_ms)
        if refused is None:
            try:
                chain = await self._open_chain()
                async with open_node(chain.url) as node:
                    return await self._request(chain, node, recipient, origin)
            except Unavailable as error:
                log.warning("faucet_unavailable", reason=str(error))
                return _answer(error=f"the faucet can't pay now: {error}", retry_after_s=int(RETRY_MAX_S))
        self._ledger.count_rejected()
        return _refused(refused)

    def can_request(self, address: str, ip_address: str | None = None) -> tuple[bool, str]:
        """Say whether a request would be paid now, and if not, why; promises nothing, and asks no node."""
        try:
            recipient = _parse_recipient(address)
            origin = None if ip_address is None else origin_of(parse_ip(ip_address))
        except InvalidInput as error:
            return False, str(error)
        refused = self._find_refusal(recipient, origin, self._clock.now_ms())
        return (True, "") if refused is None else (False, refused.reason)

    def get_address_info(self, address: str) -> dict[str, Any]:
        """What the faucet knows of an address: requests, coins in gwei, and whether it may ask again. Raises InvalidInput."""
        recipient = parse_address(address)
        refused = self._find_refusal(recipient, None, self._clock.now_ms())
        history = [
            payout
            for payout in self._ledger.history(recipient, limit=1_000)
            if payout.state is not PayoutState.CANCELLED
        ]
        return {
            "address": format_address(recipient),
            "total_requests": len(history),
            "total_received": sum(
                payout.amount_gwei
                for payout in history
                if payout.state in {PayoutState.BROADCAST, PayoutState.SETTLED}
            ),
            "last_request_ms": history[0].requested_ms if history else None,
            "can_request": refused is None,
            "reason": "" if refused is None else refused.reason,
            "retry_after_s": None if refused is None else refused.retry_after_s,
            "blocked": address in self.blocked_addresses,
        }

    def get_stats(self) -> dict[str, Any]:
        """Counts over the life of the ledger; amounts in gwei."""
        totals = self._ledger.totals(self._clock.now_ms())
        return {
            "total_requests": totals.requests,
            "successful_requests": totals.successful,
            "rejected_requests": totals.rejected,
            "pending_requests": totals.under_way,
            "failed_requests": totals.failed,
            "total_tokens_distributed": totals.distributed_gwei,
            "unique_addresses": totals.unique_addresses,
            "requests_today": totals.paid_today,
            "daily_limit": self.config.daily_limit,
            "remaining_today": max(0, self.config.daily_limit - totals.paid_today),
            "tokens_per_request": self.config.tokens_per_request,
            "blocked_addresses": len(self.blocked_addresses),
            "blocked_ips": len(self.blocked_ips),
        }

    @property
    def request_count(self) -> int:
        """Requests so far, paid and refused."""
        return self._ledger.totals(self._clock.now_ms()).requests

    @property
    def total_distributed(self) -> int:
        """Gwei paid so far."""
        return self._ledger.totals(self._clock.now_ms()).distributed_gwei

    def get_history(self, address: str | None = None, *, limit: int = 100) -> list[dict[str, Any]]:
        """The newest payouts first, of one address or of all. Raises InvalidInput."""
        recipient = None if address is None else parse_address(address)
        return [_to_dict(payout) for payout in self._ledger.history(recipient, limit)]

    # -- shutting out ---------------------------------------------------------------------------------------------------------------------

    def block_address(self, address: str) -> None:
        """Give this address nothing any more. Raises InvalidInput."""
        self._ledger.block("address", parse_address(address).hex())

    def unblock_address(self, address: str) -> bool:
        """Let it ask again; False when it was not blocked. Raises InvalidInput."""
        return self._ledger.unblock("address", parse_address(address).hex())

    def block_ip(self, ip_address: str) -> None:
        """Give nothing to who asks from here: an IP address (of IPv6 its /64), or a network such as 198.51.100.0/24. Raises InvalidInput."""
        self._ledger.block("ip", _parse_network(ip_address))

    def unblock_ip(self, ip_address: str) -> bool:
        """Let it ask again; False when it was not blocked. Raises InvalidInput."""
        return self._ledger.unblock("ip", _parse_network(ip_address))

    @property
    def blocked_addresses(self) -> AbstractSet[str]:
        """The addresses that get nothing; an address is in it in any spelling."""
        return _Addresses([bytes.fromhex(one) for one in self._ledger.blocked("address")])

    @property
    def blocked_ips(self) -> AbstractSet[str]:
        """The IP networks that get nothing."""
        return frozenset(self._ledger.blocked("ip"))

    # -- working --------------------------------------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Bring every payout that is under way one step further, as `run` does once a second.

        Raises:
            Unavailable: when the node or the database does not answer.
            InvalidInput: when the node is of another chain than the ledger.
        """
        chain = await self._open_chain()
        async with open_node(chain.url) as node:
            await self._advance(chain, node)

    async def run(self) -> None:
        """Settle and clean until cancelled; a node or a database that is away is waited for."""
        pause_s, cleaned_s = RUN_INTERVAL_S, float("-inf")
        loop = asyncio.get_running_loop()
        while True:
            try:
                await self.settle()
                if loop.time() - cleaned_s >= CLEAN_INTERVAL_S:
                    await asyncio.to_thread(self.cleanup)
                    cleaned_s = loop.time()
                pause_s = RUN_INTERVAL_S
            except Unavailable as error:
                pause_s = min(2 * pause_s, RETRY_MAX_S)
                log.warning("faucet_unavailable", reason=str(error), retry_in_s=pause_s)
            await asyncio.sleep(pause_s)

    def cleanup(self) -> int:
        """Delete what is too old for any limit, and with it all that is known of clients; returns how many requests. Payouts stay."""
        return self._ledger.forget_before(self._clock.now_ms(), window_ms=self.config.cooldown_period * 1000)

    async def close(self) -> None:
        """Close the database, and stop a chain of its own."""
        await asyncio.to_thread(self._ledger.close)
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.stop)

    async def _request(
        self, chain: _Chain, node: PayingNode, recipient: Address, origin: Origin
    ) -> dict[str, Any]:
        if (reason := await self._find_unfit(chain, node, recipient)) is not None:
            self._ledger.count_rejected()
            return _answer(error=reason)
        promised = await asyncio.to_thread(
            self._ledger.promise,
            self._limits,
            recipient,
            origin,
            self.config.tokens_per_request,
            self._clock.now_ms(),
        )
        if isinstance(promised, Refused):
            return _refused(promised)
        payout = promised
        try:
            async with asyncio.timeout(PAY_TIMEOUT_S):
                payout = await chain.payouts.pay(node, payout.id)
                while _is_waiting(payout):
                    # As many as may be are in flight. Who advances them signs and sends what waits, the oldest first.
                    await self._advance(chain, node)
                    await asyncio.sleep(TURN_S)
                    payout = await asyncio.to_thread(self._ledger.payout, payout.id)
        except (Unavailable, TimeoutError) as error:
            log.warning("faucet_payout_delayed", payout=payout.id, reason=str(error) or "no place in time")
            payout = await asyncio.to_thread(self._ledger.payout, payout.id)
        return _outcome(payout)

    async def _find_unfit(self, chain: _Chain, node: PayingNode, recipient: Address) -> str | None:
        """Why this recipient gets nothing, whoever asks."""
        if recipient == chain.payer:
            return "address: this is the faucet's own"
        most = self.config.max_recipient_balance
        if most is None and not self.config.refuse_contracts:
            return None
        balance_wei, code = await node.recipient(recipient)
        if self.config.refuse_contracts and code and not code.startswith(DELEGATION):
            return "address: this is a contract, and the faucet pays accounts"
        if most is not None and balance_wei >= most * GWEI:
            return f"address: it has {balance_wei // GWEI:,} gwei already; the faucet helps who has less than {most:,}"
        return None

    async def _advance(self, chain: _Chain, node: PayingNode) -> None:
        """One step for all payouts; while somebody does it, others need not."""
        if self._advancing:
            return
        self._advancing = True
        try:
            await chain.payouts.advance(node)
        finally:
            self._advancing = False

    async def _open_chain(self) -> _Chain:
        """Find the chain, start it if it is the faucet's own, and see that the ledger is of it; once."""
        if self._chain is not None:
            return self._chain
        url = self.config.rpc_url
        if url is None:
            assert self._embedded is not None
            url = await asyncio.to_thread(self._embedded.start)
        async with open_node(url) as node:
            chain_id, genesis_hash = await node.identity()
        payer = self._key.address
        await asyncio.to_thread(
            self._ledger.bind, ChainIdentity(chain_id=chain_id, genesis_hash=genesis_hash, payer=payer)
        )
        self._chain = _Chain(
            url=url,
            payer=payer,
            payouts=Payouts(
                self._ledger,
                Payer(key=self._key, chain_id=chain_id),
                self._clock,
                in_flight_max=self.config.max_in_flight,
            ),
        )
        return self._chain

    def _find_refusal(self, recipient: Address, origin: Origin | None, now_ms: int) -> Refused | None:
        if recipient in self._blocked_bytes():
            return Refused(reason="This address is blocked", retry_after_s=None)
        if origin is not None and _covers(self._ledger.blocked("ip"), origin):
            return Refused(reason="This IP address is blocked", retry_after_s=None)
        return self._ledger.find_refusal(self._limits, recipient, origin, now_ms)

    def _blocked_bytes(self) -> frozenset[bytes]:
        return frozenset(bytes.fromhex(one) for one in self._ledger.blocked("address"))


class _Addresses(AbstractSet[str]):
    """Addresses with their checksums; membership in any spelling."""

    def __init__(self, addresses: list[bytes]) -> None:
        self._addresses = addresses

    def __contains__(self, item: object) -> bool:
        try:
            return isinstance(item, str) and parse_address(item) in self._addresses
        except InvalidInput:
            return False

    def __iter__(self) -> Iterator[str]:
        return (format_address(one) for one in self._addresses)

    def __len__(self) -> int:
        return len(self._addresses)

    def __repr__(self) -> str:
        return repr(set(self))


def _parse_recipient(text: str) -> Address:
    """Parse an address that may be paid. Raises InvalidInput."""
    if not isinstance(text, str):
        raise InvalidInput(f"address: expected 0x and 40 hexadecimal digits, found {text!r:.60}")
    address = parse_address(text)
    if is_checksum_wrong(text):
        raise InvalidInput(
            f"address: the capitals are not its EIP-55 checksum, so a digit may be wrong; if it is right, write {format_address(address)}"
        )
    if address == ZERO_ADDRESS:
        raise InvalidInput("address: nobody has the key of the zero address")
    return address


def _parse_network(text: str) -> str:
    """The network that an operator's word stands for, as it is stored."""
    try:
        if "/" in text:
            return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError:
        raise InvalidInput(
            f"ip_address: expected an IP address or a network like 198.51.100.0/24, found {text!r:.60}"
        ) from None
    return str(origin_of(parse_ip(text)).narrow)


def _covers(networks: list[str], origin: Origin) -> bool:
    return any(
        network.version == origin.narrow.version and network.overlaps(origin.narrow)
        for network in map(ipaddress.ip_network, networks)
    )


def _is_waiting(payout: Payout) -> bool:
    """Whether a moment's patience brings more: it waits for a place, or somebody is just sending it."""
    return payout.state is PayoutState.QUEUED or (payout.state is PayoutState.SIGNED and payout.error is None)


def _answer(
    *, error: str, amount: int = 0, tx_hash: str | None = None, retry_after_s: int | None = None
) -> dict[str, Any]:
    return {
        "success": False,
        "amount": amount,
        "tx_hash": tx_hash,
        "error": error,
        "retry_after_s": retry_after_s,
    }


def _refused(refused: Refused) -> dict[str, Any]:
    return _answer(error=refused.reason, retry_after_s=refused.retry_after_s)


def _outcome(payout: Payout) -> dict[str, Any]:
    """What became of a promise by the time its request is answered."""
    tx_hash = None if payout.transaction_hash is None else "0x" + payout.transaction_hash.hex()
    match payout.state:
        case PayoutState.BROADCAST | PayoutState.SETTLED:
            return {
                "success": True,
                "amount": payout.amount_gwei,
                "tx_hash": tx_hash,
                "error": None,
                "retry_after_s": None,
            }
        case PayoutState.SIGNED:
            why = f" ({payout.error})" if payout.error else ""
            return _answer(
                error=f"no node has taken the transaction yet{why}: it is stored, and will be sent again",
                tx_hash=tx_hash,
            )
        case PayoutState.QUEUED:
            return _answer(
                error=f"the faucet is busy: the payout is queued, and will be paid; this request waited {describe_seconds(int(PAY_TIMEOUT_S))}"
            )
        case PayoutState.CANCELLED | PayoutState.FAILED:
            return _answer(error=payout.error or "the payout did not succeed")
        case _:
            assert_never(payout.state)


def _to_dict(payout: Payout) -> dict[str, Any]:
    return {
        "id": payout.id,
        "address": format_address(payout.address),
        "amount": payout.amount_gwei,
        "state": str(payout.state),
        "requested_ms": payout.requested_ms,
        "settled_ms": payout.settled_ms,
        "tx_hash": None if payout.transaction_hash is None else "0x" + payout.transaction_hash.hex(),
        "error": payout.error,
    }
