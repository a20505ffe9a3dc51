"""`ClaimDesk`: how people from the web get tokens. A challenge is handed out, its proof is checked, a payout is promised, and its way can be watched.

Every refusal says whose fault it is and when to come again, as a value: the service turns it into HTTP.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import secrets
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.faucet.attempts import Attempts, OriginAttempts
from sdk.testnet.faucet.client_address import origin_of
from sdk.testnet.faucet.clock import monotonic_ms
from sdk.testnet.faucet.counts import PROOF, RECIPIENT, Puzzle
from sdk.testnet.faucet.paying import GWEI
from sdk.testnet.faucet.payout import Claim, Payout, Redeemed
from sdk.testnet.faucet.policy import Refused, day_start_ms
from sdk.testnet.faucet.proof_of_work import (
    LIFE_MS,
    Challenge,
    ChallengeExpired,
    ChallengeInvalid,
    decode,
    difficulty,
    encode,
)
from sdk.testnet.faucet.quotas import Asker, HiddenOrigin
from sdk.testnet.faucet.till import parse_recipient
from sdk.testnet.faucet.verification import (
    FAILURES_MAX,
    FAILURES_OF_CHALLENGE_MAX,
    HOUR_MS,
    Verifier,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from metanode.primitives.types import Address
    from sdk.testnet.faucet.client_address import IPAddress, IPNetwork
    from sdk.testnet.faucet.operation import Operation
    from sdk.testnet.faucet.payout import QueueStanding
    from sdk.testnet.faucet.till import Till

log = structlog.get_logger(__name__)

VIEW_AGE_S: Final = 1.0
"""How old what is public of the faucet may be: any number of readers cost one look a second."""
LOOK_S: Final = 1.2
"""A page waits no longer for a node that hangs; claims have its own limit."""
PAYOUTS_SHOWN: Final = 50
DATACENTER_NETWORKS_MAX: Final = 100_000


class Unfit(InvalidInput):
    """This recipient gets nothing, whoever asks."""


class ProofMissing(InvalidInput):
    """Neither a proof of work nor a voucher came with a claim that needs one."""


class TooManyFailures(InvalidInput):
    """A network's proofs were wrong too often."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("Too many wrong proofs of work from this IP address")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedChallenge:
    """A puzzle, and the token that it is redeemed with."""

    token: str
    challenge: Challenge


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskView:
    """What is public of the faucet."""

    payer: Address
    chain_id: int
    genesis_hash: bytes
    balance_gwei: int | None
    """None while the node does not answer."""
    tokens_per_request: int
    daily_limit: int
    paid_today: int
    unique_addresses: int
    successful: int
    distributed_gwei: int
    queue: QueueStanding
    median_time_to_funds_ms: int | None
    paused: str | None
    now_ms: int

    @property
    def remaining_today(self) -> int:
        """Payouts that the day still has."""
        return max(0, self.daily_limit - self.paid_today)

    @property
    def day_ends_ms(self) -> int:
        """When the day's budget is new."""
        return day_start_ms(self.now_ms) + 86_400_000

    @property
    def claims_left(self) -> int | None:
        """Payouts that the balance is enough for."""
        return None if self.balance_gwei is None else self.balance_gwei // self.tokens_per_request


class ClaimDesk:
    """The counter for the web. `close` it before the faucet.

    Raises:
        InvalidInput: when the file of data centres can't be read.
    """

    def __init__(self, till: Till, *, proxies: Sequence[IPNetwork] = ()) -> None:
        self._till = till
        self._proxies = tuple(proxies)
        self.config = till.config
        self._secret = till.operation.secret("challenge_secret")
        self._verifier = Verifier()
        self._failures = OriginAttempts(maximum=FAILURES_MAX, window_ms=HOUR_MS)
        self._failures_of_challenges = Attempts(maximum=FAILURES_OF_CHALLENGE_MAX, window_ms=LIFE_MS)
        self._datacenters = _read_networks(till.config.datacenter_networks)
        self._datacenter_lengths = {(one.version, one.prefixlen) for one in self._datacenters}
        self._view: DeskView | Unavailable | None = None
        self._view_s = float("-inf")
        self._view_lock = asyncio.Lock()
        self.trouble = ""
        """Why nothing can be promised now, whatever the ledger says; empty when it can."""

    def close(self) -> None:
        """End the threads that check proofs."""
        self._verifier.close()

    @property
    def operation(self) -> Operation:
        """What an operator may do."""
        return self._till.operation

    def now_ms(self) -> int:
        """The time by which limits are counted."""
        return self._till.clock.now_ms()

    async def check(self, address: str, client: IPAddress) -> Refused | None:
        """Say whether a claim would be refused now, and why; promises nothing.

        Raises:
            InvalidInput: when it is no address, or one that never gets anything.
            Unavailable: when the node or the database does not answer.
        """
        asker = await self._asker(parse_recipient(address), client)
        checked = await self._check(asker)
        return checked if isinstance(checked, Refused) else None

    async def issue(self, address: str, client: IPAddress) -> IssuedChallenge | Refused:
        """Hand out a puzzle for an address.

        Raises:
            InvalidInput: as `check`.
            Unavailable: as `check`.
        """
        asker = await self._asker(parse_recipient(address), client)
        amount = await self._check(asker)
        if isinstance(amount, Refused):
            self._till.ledger.counts.challenged(Puzzle.REFUSED)
            return amount
        now_ms = self.now_ms()
        assert asker.origin is not None
        network = await asyncio.to_thread(self._till.ledger.network_standing, asker.origin, now_ms)
        settings = await asyncio.to_thread(self._till.operation.settings)
        chain = await self._till.open_chain()
        challenge = Challenge(
            id=secrets.token_bytes(16),
            chain_id=chain.identity.chain_id,
            genesis_hash=chain.identity.genesis_hash,
            address=asker.address,
            amount_gwei=amount,
            bits=difficulty(
                base_bits=self.config.proof_of_work_bits,
                paid_last_hour=network.paid_last_hour,
                daily_count=settings.daily_limit,
                grants_of_network=network.grants,
                is_datacenter=self._is_datacenter(client),
            ),
            narrow=network.origin.narrow,
            wide=network.origin.wide,
            issued_ms=now_ms,
            expires_ms=now_ms + LIFE_MS,
        )
        self._till.ledger.counts.challenged(Puzzle.ISSUED)
        return IssuedChallenge(token=encode(challenge, self._secret), challenge=challenge)

    async def redeem(
        self, token: str, nonces: Sequence[int], client: IPAddress, idempotency_key: str | None = None
    ) -> Payout | Redeemed | Refused:
        """Promise a payout for a solved challenge, once.

        Raises:
            ChallengeInvalid: when the token is not of this faucet and chain, or the proof is wrong.
            ChallengeExpired: when its time is over.
            TooManyFailures: when this network's proofs were wrong too often.
            TooBusy: when too many proofs wait to be checked.
            InvalidInput: as `check`.
            Unavailable: as `check`.
        """
        origin, passed_ms, counts = origin_of(client), monotonic_ms(), self._till.ledger.counts
        if (wait_s := self._failures.wait_s(origin, passed_ms)) is not None:
            raise TooManyFailures(wait_s)
        chain = await self._till.open_chain()
        now_ms = self.now_ms()
        try:
            challenge = decode(token, self._secret, genesis_hash=chain.identity.genesis_hash, now_ms=now_ms)
        except ChallengeInvalid:
            self._failures.count(origin, passed_ms)
            raise
        except ChallengeExpired:
            counts.challenged(Puzzle.EXPIRED)
            raise
        claim = Claim(id=challenge.id, idempotency=_hash_key(idempotency_key, challenge.address, token))
        redeemed = await asyncio.to_thread(self._till.ledger.redeemed, claim)
        if redeemed is not None:
            return redeemed
        if self._failures_of_challenges.wait_s(challenge.id, passed_ms) is not None:
            raise ChallengeInvalid("challenge: too many wrong proofs came for it; ask for a new one")
        began_s = time.monotonic()
        try:
            await self._verifier.check(challenge, nonces)
        except ChallengeInvalid:
            self._failures.count(origin, passed_ms)
            self._failures_of_challenges.count(challenge.id, passed_ms)
            counts.checking.note(time.monotonic() - began_s)
            counts.challenged(Puzzle.WRONG)
            counts.refused(PROOF)
            raise
        counts.checking.note(time.monotonic() - began_s)
        counts.challenged(Puzzle.SOLVED)
        counts.solving.note((now_ms - challenge.issued_ms) / 1000)
        asked = HiddenOrigin(narrow=challenge.narrow, wide=challenge.wide)
        asker = await self._asker(challenge.address, client, asked=asked)
        return await self._promise(asker, claim, most_gwei=challenge.amount_gwei)

    async def redeem_without_proof(
        self, address: str, client: IPAddress, *, voucher: str | None, idempotency_key: str | None = None
    ) -> Payout | Redeemed | Refused:
        """Promise a payout to who has a voucher or key or asks from an allowed network, or to anybody where no proof of work is asked.

        Raises:
            ProofMissing: when neither is so.
            TooManyFailures: when this network's vouchers were wrong too often.
            InvalidInput: as `check`; when there is no such voucher.
            Unavailable: as `check`.
        """
        recipient, origin, passed_ms = parse_recipient(address), origin_of(client), monotonic_ms()
        pass_id: str | None = None
        if voucher is not None:
            if (wait_s := self._failures.wait_s(origin, passed_ms)) is not None:
                raise TooManyFailures(wait_s)
            try:
                pass_id = await asyncio.to_thread(self._till.operation.find_pass, voucher)
            except InvalidInput:
                self._failures.count(origin, passed_ms)
                raise
        elif await self.needs_work(client):
            raise ProofMissing(
                "challenge: this faucet asks for a proof of work; ask for a challenge and solve it, or give a voucher"
            )
        claim = Claim(
            id=secrets.token_bytes(16), idempotency=_hash_key(idempotency_key, recipient, pass_id or "")
        )
        return await self._promise(await self._asker(recipient, client, pass_id=pass_id), claim)

    async def find(self, claim_id: str) -> Payout | None:
        """Return the payout of a claim, or None. Raises StorageFailed."""
        if len(claim_id) != 32 or not set(claim_id) <= set("0123456789abcdef"):
            return None
        return await asyncio.to_thread(self._till.ledger.claimed, bytes.fromhex(claim_id))

    async def payouts(self) -> list[Payout]:
        """Return the newest payouts. Raises StorageFailed."""
        return await asyncio.to_thread(self._till.ledger.history, None, PAYOUTS_SHOWN)

    async def view(self) -> DeskView:
        """Return what is public, at most a second old. Raises Unavailable while the chain was never seen."""
        async with self._view_lock:
            if self._view is None or time.monotonic() - self._view_s > VIEW_AGE_S:
                try:
                    self._view = await self._look()
                except Unavailable as error:
                    # Kept as well: those who wait for this look would each make their own, one after the other.
                    self._view = error
                self._view_s = time.monotonic()
            if isinstance(self._view, Unavailable):
                raise self._view.with_traceback(None)
            return self._view

    async def needs_work(self, client: IPAddress) -> bool:
        """Whether a claim of this client without a voucher needs a proof of work. Raises StorageFailed."""
        if not self.config.proof_of_work or self._is_proxy(client):
            return self.config.proof_of_work
        return not await asyncio.to_thread(self._till.is_allowed_client, client)

    async def difficulty(self, client: IPAddress) -> int | None:
        """Return how many bits a puzzle of this client would have now; None where none is asked. Raises StorageFailed."""
        if not await self.needs_work(client):
            return None
        network = await asyncio.to_thread(
            self._till.ledger.network_standing, origin_of(client), self.now_ms()
        )
        settings = await asyncio.to_thread(self._till.operation.settings)
        return difficulty(
            base_bits=self.config.proof_of_work_bits,
            paid_last_hour=network.paid_last_hour,
            daily_count=settings.daily_limit,
            grants_of_network=network.grants,
            is_datacenter=self._is_datacenter(client),
        )

    async def _asker(
        self,
        recipient: Address,
        client: IPAddress,
        *,
        asked: HiddenOrigin | None = None,
        pass_id: str | None = None,
    ) -> Asker:
        who = None if self._is_proxy(client) else client
        return Asker(
            address=recipient,
            origin=origin_of(client),
            asked=asked,
            pass_id=pass_id,
            allowance=await asyncio.to_thread(self._till.allowance, recipient, who),
        )

    def _is_proxy(self, client: IPAddress) -> bool:
        """Whether this is no client but a proxy that does not say for whom it asks: anybody may stand behind it."""
        return any(client.version == one.version and client in one for one in self._proxies)

    async def _check(self, asker: Asker) -> int | Refused:
        """How much this asker would get, or why nothing."""
        if self.trouble:
            raise Unavailable(self.trouble)
        settings = await asyncio.to_thread(self._till.operation.settings)
        refused = await self._till.find_refusal_now(asker, settings)
        if refused is not None:
            return refused
        chain = await self._till.open_chain()
        async with self._till.connect(chain) as node:
            if (reason := await self._till.find_unfit(chain, node, asker.address)) is not None:
                raise Unfit(reason)
            return await self._till.find_amount(chain, node, settings)

    async def _promise(
        self, asker: Asker, claim: Claim, *, most_gwei: int | None = None
    ) -> Payout | Redeemed | Refused:
        # Who sends the same again gets the same answer, also when its limits are full meanwhile, by its own first claim.
        redeemed = await asyncio.to_thread(self._till.ledger.redeemed, claim)
        if redeemed is not None:
            return redeemed
        try:
            amount = await self._check(asker)
        except Unfit:
            self._till.ledger.count_rejected(RECIPIENT)
            raise
        if isinstance(amount, Refused):
            # The same may have been promised while this was checked, and is then what fills the limit.
            redeemed = await asyncio.to_thread(self._till.ledger.redeemed, claim)
            if redeemed is not None:
                return redeemed
            self._till.ledger.count_rejected(amount.code)
            return amount
        if most_gwei is not None:
            amount = min(amount, most_gwei)
        settings = await asyncio.to_thread(self._till.operation.settings)
        promised = await asyncio.to_thread(self._till.promise, asker, amount, settings, claim)
        if isinstance(promised, Payout):
            self._till.promised.set()
        return promised

    async def _look(self) -> DeskView:
        try:
            async with asyncio.timeout(LOOK_S):
                chain = await self._till.open_chain()
        except TimeoutError:
            raise Unavailable("the node does not answer") from None
        balance_gwei: int | None = None
        try:
            async with asyncio.timeout(LOOK_S), self._till.connect(chain) as node:
                balance_gwei = (await self._till.standing(chain, node)).balance_wei // GWEI
        except (Unavailable, TimeoutError) as error:
            log.warning("faucet_unavailable", reason=str(error) or f"no answer in {LOOK_S:g} s")
        now_ms = self.now_ms()
        settings = await asyncio.to_thread(self._till.operation.settings)
        totals = await asyncio.to_thread(self._till.ledger.totals, now_ms)
        queue = await asyncio.to_thread(self._till.ledger.queue_standing)
        times_ms = queue.times_to_funds_ms
        return DeskView(
            payer=self._till.key.address,
            chain_id=chain.identity.chain_id,
            genesis_hash=chain.identity.genesis_hash,
            balance_gwei=balance_gwei,
            tokens_per_request=settings.tokens_per_request,
            daily_limit=settings.daily_limit,
            paid_today=totals.paid_today,
            unique_addresses=totals.unique_addresses,
            successful=totals.successful,
            distributed_gwei=totals.distributed_gwei,
            queue=queue,
            median_time_to_funds_ms=int(statistics.median(times_ms)) if times_ms else None,
            paused=settings.paused,
            now_ms=now_ms,
        )

    def _is_datacenter(self, client: IPAddress) -> bool:
        # One look for each length of prefix in the file, however many networks it has.
        return any(
            client.version == version
            and ipaddress.ip_network((client, length), strict=False) in self._datacenters
            for version, length in self._datacenter_lengths
        )


def _hash_key(key: str | None, address: bytes, what: str) -> bytes | None:
    """Hide a client's key of a request; the same key with another request is another one."""
    if key is None:
        return None
    return hashlib.sha256(b"\0".join([address, what.encode(), key.encode()])).digest()


def _read_networks(path: Path | None) -> frozenset[IPNetwork]:
    if path is None:
        return frozenset()
    networks: set[IPNetwork] = set()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"datacenter_networks: {path} can't be read: {error}") from None
    for number, line in enumerate(lines[:DATACENTER_NETWORKS_MAX], start=1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                networks.add(ipaddress.ip_network(text, strict=False))
            except ValueError:
                raise InvalidInput(
                    f"datacenter_networks: {path}, line {number}: expected a network such as 198.51.100.0/24, found {text!r:.60}"
                ) from None
    return frozenset(networks)
