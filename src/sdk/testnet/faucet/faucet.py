"""`Faucet`: ask it for tokens, ask it about addresses, shut somebody out, free somebody of limits."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import time
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Final, Self, assert_never

import structlog

from metanode.crypto.addresses import format_address, parse_address
from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.faucet.client_address import origin_of, parse_ip
from sdk.testnet.faucet.configuration import FaucetConfig
from sdk.testnet.faucet.counts import RECIPIENT, Incident, Measures
from sdk.testnet.faucet.desk import ClaimDesk
from sdk.testnet.faucet.payout import Payout, PayoutState
from sdk.testnet.faucet.policy import Refused
from sdk.testnet.faucet.proof_of_work import difficulty
from sdk.testnet.faucet.quotas import Asker
from sdk.testnet.faucet.till import Till, parse_recipient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from metanode.primitives.types import Address
    from sdk.testnet.faucet.client_address import IPAddress, IPNetwork
    from sdk.testnet.faucet.node import PayingNode
    from sdk.testnet.faucet.operation import Operation, Settings
    from sdk.testnet.faucet.till import Chain

log = structlog.get_logger(__name__)

PAY_TIMEOUT_S: Final = 60.0
"""How long a request waits for its place among the transactions in flight; what is promised by then is paid later."""
TURN_S: Final = 0.25
"""From one look at the queue to the next."""
RUN_INTERVAL_S: Final = 1.0
GATHER_S: Final = 0.2
"""How long promises of the same moment are gathered before they are signed."""
STUCK_MAX: Final = 100
RETRY_MAX_S: Final = 30.0
"""The longest pause of `run` after a node or a database that does not answer."""
CLEAN_INTERVAL_S: Final = 3600.0
ALLOWED_PREFIX_MIN: Final = 8
"""The widest network that can be freed of limits: nobody has more than 10.0.0.0/8 or fd00::/8, and who writes /1 meant /16."""


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
        self._till = Till(self.config)
        self._ledger = self._till.ledger
        self._operation = self._till.operation
        self._clock = self._till.clock
        self._has_looked = False
        self._cleaned_s = float("-inf")

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
        return format_address(self._till.key.address)

    @property
    def rpc_url(self) -> str | None:
        """JSON-RPC of the chain that it pays on; None before a chain of its own has started."""
        return self.config.rpc_url or (None if self._till.chain is None else self._till.chain.url)

    @property
    def operation(self) -> Operation:
        """What an operator may do: pause, budgets, lists, vouchers and keys, and the record of it."""
        return self._operation

    def open_desk(self, *, proxies: Sequence[IPNetwork] = ()) -> ClaimDesk:
        """Make the counter for people from the web: challenges, claims, and what is public of the faucet; `run` pays them. Close it first.

        Args:
            proxies: Whose word on the client's address is believed. Of a client that is one of them it is not known for whom it asks, and
                so it is never an allowed one.
        """
        return ClaimDesk(self._till, proxies=proxies)

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
            recipient, client = parse_recipient(address), parse_ip(ip_address)
        except InvalidInput as error:
            self._ledger.count_rejected(RECIPIENT)
            return _answer(error=str(error))
        try:
            asker = await asyncio.to_thread(self._asker, recipient, client)
            settings = await asyncio.to_thread(self._operation.settings)
            refused = await self._till.find_refusal_now(asker, settings)
            if refused is None:
                chain = await self._till.open_chain()
                async with self._till.connect(chain) as node:
                    return await self._request(chain, node, asker, settings)
        except Unavailable as error:
            log.warning("faucet_unavailable", reason=str(error))
            return _answer(error=_unavailable(error), retry_after_s=int(RETRY_MAX_S))
        self._ledger.count_rejected(refused.code)
        return _refused(refused)

    def can_request(self, address: str, ip_address: str | None = None) -> tuple[bool, str]:
        """Say whether a request would be paid now, and if not, why; promises nothing, and asks no node."""
        try:
            recipient = parse_recipient(address)
            client = None if ip_address is None else parse_ip(ip_address)
            refused = self._till.find_refusal(self._asker(recipient, client))
        except InvalidInput as error:
            return False, str(error)
        except Unavailable as error:
            return False, _unavailable(error)
        return (True, "") if refused is None else (False, refused.reason)

    def get_address_info(self, address: str) -> dict[str, Any]:
        """What the faucet knows of an address: requests, coins in gwei, and whether it may ask again. Raises InvalidInput."""
        recipient = parse_address(address)
        refused = self._till.find_refusal(self._asker(recipient, None))
        totals = self._ledger.totals_of(recipient)
        return {
            "address": format_address(recipient),
            "total_requests": totals.requests,
            "total_received": totals.received_gwei,
            "last_request_ms": totals.last_request_ms,
            "can_request": refused is None,
            "reason": "" if refused is None else refused.reason,
            "retry_after_s": None if refused is None else refused.retry_after_s,
            "blocked": address in self.blocked_addresses,
            "allowed": address in self.allowed_addresses,
        }

    def get_stats(self) -> dict[str, Any]:
        """Counts over the life of the ledger; amounts in gwei."""
        totals, settings = self._ledger.totals(self._clock.now_ms()), self._operation.settings()
        return {
            "total_requests": totals.requests,
            "successful_requests": totals.successful,
            "rejected_requests": totals.rejected,
            "pending_requests": totals.under_way,
            "failed_requests": totals.failed,
            "total_tokens_distributed": totals.distributed_gwei,
            "unique_addresses": totals.unique_addresses,
            "requests_today": totals.paid_today,
            "daily_limit": settings.daily_limit,
            "remaining_today": max(0, settings.daily_limit - totals.paid_today),
            "tokens_per_request": settings.tokens_per_request,
            "blocked_addresses": len(self.blocked_addresses),
            "blocked_ips": len(self.blocked_ips),
            "allowed_addresses": len(self.allowed_addresses),
            "allowed_ips": len(self.allowed_ips),
        }

    def measures(self) -> Measures:
        """What Prometheus is told beside the statistics: counts of this process, and what holds now. Blocks for the database."""
        now_ms = self._clock.now_ms()
        bits, oldest_ms = 0, self._ledger.queue_standing().oldest_ms
        if self.config.proof_of_work:
            bits = difficulty(
                base_bits=self.config.proof_of_work_bits,
                paid_last_hour=self._ledger.paid_last_hour(now_ms),
                daily_count=self._operation.settings().daily_limit,
                grants_of_network=0,
                is_datacenter=False,
            )
        return Measures(
            counts=self._ledger.counts,
            puzzle_bits=bits,
            oldest_waiting_s=0.0 if oldest_ms is None else max(0, now_ms - oldest_ms) / 1000,
            is_signer=self._till.lease.is_held,
        )

    @property
    def request_count(self) -> int:
        """Requests so far, paid and refused."""
        return self._ledger.totals(self._clock.now_ms()).requests

    @property
    def total_distributed(self) -> int:
        """Gwei paid so far."""
        return self._ledger.totals(self._clock.now_ms()).distributed_gwei

    def get_history(self, address: str | None = None, *, limit: int = 100) -> list[dict[str, Any]]:
        """The newest payouts first, of one address or of all; at most 10,000. Raises InvalidInput."""
        recipient = None if address is None else parse_address(address)
        return [_to_dict(payout) for payout in self._ledger.history(recipient, limit)]

    def stuck_payouts(self) -> list[Payout]:
        """Return what an operator may retry or cancel: payouts that were given up, and those that wait unsigned; the oldest first."""
        return self._ledger.stuck(STUCK_MAX)

    def retry_payout(self, payout_id: int, *, actor: str) -> bool:
        """Queue a payout once more that was given up; False when it was not."""
        return self._ledger.retry(payout_id, actor=actor, now_ms=self._clock.now_ms())

    def cancel_payout(self, payout_id: int, *, actor: str) -> bool:
        """Take back a payout that is not signed; False when it is, or is over."""
        return self._ledger.cancel(
            payout_id, "cancelled by the operator", actor=actor, now_ms=self._clock.now_ms()
        )

    # -- shutting out ---------------------------------------------------------------------------------------------------------------------

    def block_address(self, address: str) -> None:
        """Give this address nothing any more. Raises InvalidInput."""
        self._operation.block("address", parse_address(address).hex(), now_ms=self._clock.now_ms())

    def unblock_address(self, address: str) -> bool:
        """Let it ask again; False when it was not blocked. Raises InvalidInput."""
        return self._operation.unblock("address", parse_address(address).hex(), now_ms=self._clock.now_ms())

    def block_ip(self, ip_address: str) -> None:
        """Give nothing to who asks from here: an IP address (of IPv6 its /64), or a network such as 198.51.100.0/24. Raises InvalidInput."""
        self._operation.block("ip", parse_network(ip_address), now_ms=self._clock.now_ms())

    def unblock_ip(self, ip_address: str) -> bool:
        """Let it ask again; False when it was not blocked. Raises InvalidInput."""
        return self._operation.unblock("ip", parse_network(ip_address), now_ms=self._clock.now_ms())

    @property
    def blocked_addresses(self) -> AbstractSet[str]:
        """The addresses that get nothing; an address is in it in any spelling."""
        return _Addresses([bytes.fromhex(one) for one in self._operation.blocked("address")])

    @property
    def blocked_ips(self) -> AbstractSet[str]:
        """The IP networks that get nothing."""
        return frozenset(self._operation.blocked("ip"))

    # -- freeing of limits ----------------------------------------------------------------------------------------------------------------

    def allow_address(self, address: str) -> None:
        """Count this address in no limit but the day's. Anybody can name it: the limits of who asks stay. Raises InvalidInput."""
        self._operation.allow("address", parse_address(address).hex(), now_ms=self._clock.now_ms())

    def disallow_address(self, address: str) -> bool:
        """Let its limits hold again; False when it was not allowed. Raises InvalidInput."""
        return self._operation.disallow("address", parse_address(address).hex(), now_ms=self._clock.now_ms())

    def allow_ip(self, ip_address: str) -> None:
        """Ask who asks from here for no limit but the day's, and for no work: an IP address (of IPv6 its /64), or a network such as 10.1.0.0/16.

        Raises:
            InvalidInput: when it is none, or wider than a /8.
        """
        self._operation.allow("ip", parse_allowed_network(ip_address), now_ms=self._clock.now_ms())

    def disallow_ip(self, ip_address: str) -> bool:
        """Let its limits hold again; False when it was not allowed. Raises InvalidInput."""
        return self._operation.disallow("ip", parse_network(ip_address), now_ms=self._clock.now_ms())

    @property
    def allowed_addresses(self) -> AbstractSet[str]:
        """The addresses that are free of limits; an address is in it in any spelling."""
        return _Addresses([bytes.fromhex(one) for one in self._operation.allowed("address")])

    @property
    def allowed_ips(self) -> AbstractSet[str]:
        """The IP networks that are free of limits."""
        return frozenset(self._operation.allowed("ip"))

    # -- working --------------------------------------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Bring every payout that is under way one step further, as `run` does once a second.

        Raises:
            Unavailable: when the node or the database does not answer.
            InvalidInput: when the node is of another chain than the ledger.
        """
        chain = await self._till.open_chain()
        async with self._till.connect(chain) as node:
            await self._till.advance(chain, node)

    async def run(self, *, on_settled: Callable[[], None] = lambda: None) -> None:
        """Settle and clean until cancelled; a node or a database that is away is waited for.

        Of several processes on one ledger one does it, the others wait until that is gone. `on_settled` hears of each step that went well.
        """
        self._till.promised = asyncio.Event()  # of this loop
        pause_s, is_told = RUN_INTERVAL_S, False
        try:
            while True:
                try:
                    # First, for until then the clock is the machine's alone.
                    await self._till.open_chain()
                    if await asyncio.to_thread(self._till.lease.hold, self._clock.now_ms()):
                        await self._look_at_nonces()
                        await self.settle()
                        is_told = False
                    elif not is_told:
                        log.info("faucet_waits", reason="another process on this ledger pays")
                        is_told = True
                    await asyncio.to_thread(self._clean_now_and_then)
                    pause_s = RUN_INTERVAL_S
                    on_settled()
                except Unavailable as error:
                    pause_s = min(2 * pause_s, RETRY_MAX_S)
                    log.warning("faucet_unavailable", reason=str(error), retry_in_s=pause_s)
                await self._wait(pause_s)
        finally:
            with contextlib.suppress(Unavailable):
                await asyncio.to_thread(self._till.lease.release)

    async def _look_at_nonces(self) -> None:
        """Once, before the first signature of this process: is the ledger the newest that this account had?"""
        if self._has_looked:
            return
        chain = await self._till.open_chain()
        async with self._till.connect(chain) as node:
            standing = await node.standing(self._till.key.address)
        reason = await asyncio.to_thread(
            self._till.lease.note_unknown_nonces, standing.nonce, self._clock.now_ms()
        )
        if reason is not None:
            self._ledger.counts.happened(Incident.NONCE_CONFLICT)
            log.error("faucet_paused", reason=reason)
        self._has_looked = True

    def cleanup(self) -> int:
        """Delete what is too old for any limit, and with it all that is known of clients; returns how many requests. Payouts stay."""
        return self._ledger.forget_before(
            self._clock.passed_ms(), window_ms=self.config.cooldown_period * 1000
        )

    def _clean_now_and_then(self) -> None:
        """Once an hour; raises StorageFailed."""
        if time.monotonic() - self._cleaned_s >= CLEAN_INTERVAL_S:
            self.cleanup()
            self._cleaned_s = time.monotonic()

    async def close(self) -> None:
        """Close the database, and stop a chain of its own."""
        await self._till.close()

    async def _wait(self, pause_s: float) -> None:
        """Wait, but not for long when somebody has been promised something."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._till.promised.wait()
        if self._till.promised.is_set():
            self._till.promised.clear()
            # Those who ask at the same time share a transaction.
            await asyncio.sleep(GATHER_S)

    def _asker(self, recipient: Address, client: IPAddress | None) -> Asker:
        return Asker(
            address=recipient,
            origin=None if client is None else origin_of(client),
            allowance=self._till.allowance(recipient, client),
        )

    async def _request(
        self, chain: Chain, node: PayingNode, asker: Asker, settings: Settings
    ) -> dict[str, Any]:
        if (reason := await self._till.find_unfit(chain, node, asker.address)) is not None:
            self._ledger.count_rejected(RECIPIENT)
            return _answer(error=reason)
        amount = await self._till.find_amount(chain, node, settings)
        if isinstance(amount, Refused):
            self._ledger.count_rejected(amount.code)
            return _refused(amount)
        promised = await asyncio.to_thread(self._till.promise, asker, amount, settings)
        if isinstance(promised, Refused):
            return _refused(promised)
        assert isinstance(promised, Payout), promised
        payout = promised
        try:
            async with asyncio.timeout(PAY_TIMEOUT_S):
                payout = await chain.payouts.pay(node, payout.id)
                while _is_waiting(payout):
                    # As many as may be are in flight. Who advances them signs and sends what waits, the oldest first.
                    await self._till.advance(chain, node)
                    await asyncio.sleep(TURN_S)
                    payout = await asyncio.to_thread(self._ledger.payout, payout.id)
        except (Unavailable, TimeoutError) as error:
            log.warning("faucet_payout_delayed", payout=payout.id, reason=str(error) or "no place in time")
            payout = await asyncio.to_thread(self._ledger.payout, payout.id)
        # Where nobody calls `run`, requests are all that ever happens. What was promised is told whatever becomes of this.
        with contextlib.suppress(Unavailable):
            await asyncio.to_thread(self._clean_now_and_then)
        return _outcome(payout)


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


def parse_network(text: str) -> str:
    """The network that an operator's word stands for, as it is stored."""
    try:
        if "/" in text:
            return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError:
        raise InvalidInput(
            f"ip_address: expected an IP address or a network like 198.51.100.0/24, found {text!r:.60}"
        ) from None
    return str(origin_of(parse_ip(text)).narrow)


def parse_allowed_network(text: str) -> str:
    """The network that an operator frees of limits, as it is stored. Raises InvalidInput."""
    network = ipaddress.ip_network(parse_network(text))
    if network.prefixlen < ALLOWED_PREFIX_MIN:
        raise InvalidInput(
            f"ip_address: expected a network of /{ALLOWED_PREFIX_MIN} or smaller, found {text!r:.60}, which frees half the internet of limits"
        )
    return str(network)


def _is_waiting(payout: Payout) -> bool:
    """Whether a moment's patience brings more: it waits for a place, or somebody is just sending it."""
    return payout.state is PayoutState.QUEUED or (payout.state is PayoutState.SIGNED and payout.error is None)


def _unavailable(error: Unavailable) -> str:
    return f"the faucet can't pay now: {error}"


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
                error="the faucet or its node is busy: the payout is queued, counts, and will be paid"
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
