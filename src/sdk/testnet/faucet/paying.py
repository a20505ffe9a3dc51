"""From a promise to a final transaction, exactly once, however often the process dies in between.

The order is everything: nonce, signature and bytes are stored in one database transaction, and only then does a node see them. Who comes back
after a crash sends the same bytes again. A payout is signed with another nonce only when its old one was used up by another final
transaction; until then every further attempt is a replacement with the same nonce, of which the chain takes one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from metanode.errors import InvalidInput
from sdk.testnet.faucet.counts import Counts, Incident
from sdk.testnet.faucet.dispersing import (
    DEPLOYMENT_GAS,
    FACTORY,
    RECIPIENTS_MAX,
    deployment_calldata,
    disperse_calldata,
    gas_of,
    load_contract,
)
from sdk.testnet.faucet.node import TIP_WEI, TRANSFER_GAS, RecipientRefuses, transaction_hash
from sdk.testnet.faucet.payout import IN_FLIGHT, Payout, PayoutKind, PayoutState, SignedTransfer
from sdk.testnet.faucet.policy import empty
from sdk.testnet.transfers import signed_transfer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from metanode.crypto.secp256k1 import PrivateKey
    from sdk.testnet.faucet.clock import FaucetClock
    from sdk.testnet.faucet.ledger import Ledger
    from sdk.testnet.faucet.node import PayingNode, Standing

log = structlog.get_logger(__name__)

GWEI: Final = 10**9
SEND_AGAIN_BLOCKS: Final = 3
"""A transaction that no block took for so long is sent again: the node may have lost it."""
RAISE_FEE_BLOCKS: Final = 10
"""And after so long, each time, with a higher fee."""
FEE_RAISE: Final = (1125, 1000)
"""Pools want a tenth more of both fees before they replace; this is an eighth."""
BATCH_MIN: Final = 5
"""So many payouts that wait share a transaction."""
DEPLOYMENTS_MAX: Final = 3
"""After so many attempts to deploy the contract that pays many, each is paid alone."""
FEE_WEI_MAX: Final = 10**18
"""Of one transaction: what pools take, and more than any block of a test network needs."""
LOST_MAX: Final = 1
"""A payout is queued again once; a second loss means that something else uses the key, and is an operator's to look at."""


class NotEnough(InvalidInput):
    """The account has too few coins for this now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """Who signs, where."""

    key: PrivateKey
    chain_id: int


class Payouts:
    """Signs, sends and settles what the ledger has promised."""

    def __init__(
        self,
        ledger: Ledger,
        payer: Payer,
        clock: FaucetClock,
        *,
        in_flight_max: int,
        batching: bool = True,
        is_paused: Callable[[], bool] = lambda: False,
        counts: Counts | None = None,
    ) -> None:
        self._ledger = ledger
        self._payer = payer
        self._clock = clock
        self._in_flight_max = in_flight_max
        self._is_batching = batching
        self._contract_is_there = False
        self._is_paused = is_paused
        self._counts = counts or Counts()

    async def pay(self, node: PayingNode, payout_id: int) -> Payout:
        """Sign a queued payout if there is room, and send it; returns it as it is then.

        A recipient that takes no coins cancels it; while the account has not enough of them, it waits.

        Raises:
            Unavailable: when the node or the database does not answer; what is signed by then is sent by `advance`.
        """
        payout = await asyncio.to_thread(self._ledger.payout, payout_id)
        if payout.state is not PayoutState.QUEUED:
            return payout
        standing = await node.standing(self._payer.key.address)
        try:
            # Asked first: a node refuses to estimate what the account could not pay, in words of its own.
            _check_balance(standing, payout.amount_gwei, TRANSFER_GAS)
            gas = (
                DEPLOYMENT_GAS
                if payout.kind is PayoutKind.CONTRACT
                else await node.gas_of_transfer(
                    self._payer.key.address, payout.address, payout.amount_gwei * GWEI
                )
            )
            (payout,) = await asyncio.to_thread(self._sign, [payout_id], standing, gas)
        except RecipientRefuses as error:
            await asyncio.to_thread(self._ledger.cancel, payout_id, str(error))
            return await asyncio.to_thread(self._ledger.payout, payout_id)
        except NotEnough as error:
            if payout.error != str(error):
                log.warning("faucet_empty", payout=payout_id, reason=str(error))
                await asyncio.to_thread(self._ledger.note_error, payout_id, str(error))
            return await asyncio.to_thread(self._ledger.payout, payout_id)
        if payout.state is PayoutState.SIGNED:
            await self._send(node, payout, standing)
        return await asyncio.to_thread(self._ledger.payout, payout_id)

    async def advance(self, node: PayingNode) -> None:
        """Bring everything that is under way one step further: settle, send again, raise a fee, queue again, sign what waits.

        Raises:
            Unavailable: when the node or the database does not answer; the next call goes on.
        """
        # The nonce is asked before the receipts: what had used it by then is in a finalized block, and so is its receipt.
        standing = await node.standing(self._payer.key.address)
        for payout in await asyncio.to_thread(self._ledger.in_flight):
            await self._advance_one(node, payout, standing)
        if await asyncio.to_thread(self._is_paused):
            return
        for _ in range(self._in_flight_max):
            if not await self._pay_many(node):
                break
        for payout in await asyncio.to_thread(self._ledger.queued, self._in_flight_max):
            if (await self.pay(node, payout.id)).state is PayoutState.QUEUED:
                break  # no room, or not enough coins

    async def _pay_many(self, node: PayingNode) -> bool:
        """Sign and send one transaction for many payouts that wait; False when too few do, or there is no room, or no contract."""
        if not self._is_batching:
            return False
        waiting = [
            payout
            for payout in await asyncio.to_thread(self._ledger.queued, RECIPIENTS_MAX)
            # What was lost once, or refused, is paid alone.
            if payout.kind is PayoutKind.PAYOUT and not payout.lost
        ]
        if len(waiting) < BATCH_MIN or not await self._has_contract(node):
            return False
        # Code may take coins or not, and costs what it likes: such recipients are asked one by one.
        codes = await node.codes([payout.address for payout in waiting])
        plain = [payout.id for payout, code in zip(waiting, codes, strict=True) if not code]
        if len(plain) < BATCH_MIN:
            return False
        standing = await node.standing(self._payer.key.address)
        try:
            payouts = await asyncio.to_thread(self._sign, plain, standing, gas_of(len(plain)))
        except NotEnough as error:
            # Not enough for all: each is paid by itself, as far as it goes.
            log.warning("faucet_batch_refused", payouts=len(plain), reason=str(error))
            return False
        signed = [payout for payout in payouts if payout.state is PayoutState.SIGNED]
        if not signed:
            return False
        log.info("faucet_batch_signed", payouts=len(signed), nonce=signed[0].nonce)
        await self._send(node, signed[0], standing)
        return True

    async def _has_contract(self, node: PayingNode) -> bool:
        """Whether the chain has the contract in a final block; if not, its deployment is queued where the chain has the factory."""
        if self._contract_is_there:
            return True
        contract = load_contract()
        code, factory = await node.codes([contract.address, FACTORY])
        if code == contract.runtime:
            self._contract_is_there = True
            return True
        if code or not factory:
            self._is_batching = False
            log.warning("faucet_cannot_batch", reason="the chain lacks the deterministic deployment factory")
            return False
        if not await asyncio.to_thread(
            self._ledger.queue_contract, FACTORY, self._clock.now_ms(), attempts_max=DEPLOYMENTS_MAX
        ):
            self._is_batching = False
            log.error("faucet_cannot_batch", reason="the contract that pays many could not be deployed")
        return False

    async def _advance_one(self, node: PayingNode, payout: Payout, standing: Standing) -> None:
        assert payout.nonce is not None, payout
        # Those of an earlier nonce can't pay any more, and one of them may have paid others.
        signatures = [
            one
            for one in await asyncio.to_thread(self._ledger.signatures, payout.id)
            if one.nonce == payout.nonce
        ]
        receipts = await node.receipts([one.hash for one in signatures])
        for receipt in receipts.values():
            if receipt.succeeded:
                await asyncio.to_thread(
                    self._ledger.settle,
                    payout.id,
                    receipt.transaction_hash,
                    self._clock.now_ms(),
                    refused=receipt.refused,
                    lost_max=LOST_MAX,
                )
                return
        if standing.nonce > payout.nonce:
            used = bool(receipts)
            reason = (
                "the transfer was reverted"
                if used
                else f"nonce {payout.nonce} was used by a transaction that is not the faucet's: something else has its key"
            )
            after = await asyncio.to_thread(
                self._ledger.queue_again, payout.id, payout.nonce, reason, lost_max=LOST_MAX
            )
            if not used:
                self._counts.happened(Incident.NONCE_CONFLICT)
            log.error("faucet_payout_lost", payout=payout.id, reason=reason, state=str(after.state))
            return
        if payout.signed_at_number is not None:
            open_blocks = standing.head - payout.signed_at_number
            if open_blocks >= RAISE_FEE_BLOCKS * len(signatures):
                await asyncio.to_thread(self._raise_fee, payout, signatures[-1], standing)
                await self._send(node, payout, standing)
                return
        if payout.sent_at_number is None or standing.head - payout.sent_at_number >= SEND_AGAIN_BLOCKS:
            if payout.sent_at_number is not None:
                self._counts.happened(Incident.SENT_AGAIN)
            await self._send(node, payout, standing)

    async def _send(self, node: PayingNode, payout: Payout, standing: Standing) -> None:
        """Send the newest signature of a payout."""
        signatures = await asyncio.to_thread(self._ledger.signatures, payout.id)
        refused = await node.send(signatures[-1].raw)
        if refused is None:
            await asyncio.to_thread(self._ledger.mark_sent, payout.id, standing.head)
        else:
            # It may be final already ("nonce too low"): the receipt, or the nonce, says so at the next step.
            log.warning("faucet_transaction_refused", payout=payout.id, reason=refused)
            await asyncio.to_thread(self._ledger.note_error, payout.id, refused)

    def _sign(self, payout_ids: Sequence[int], standing: Standing, gas: int) -> list[Payout]:
        def make(payouts: Sequence[Payout], nonce: int, in_flight_gwei: int) -> SignedTransfer:
            amount_gwei = sum(payout.amount_gwei for payout in payouts)
            _check_balance(standing, amount_gwei + in_flight_gwei, gas)
            return self._transaction(payouts, nonce, gas, standing.max_fee_wei, TIP_WEI)

        return self._ledger.sign(
            payout_ids,
            make,
            chain_nonce=standing.nonce,
            head=standing.head,
            in_flight_max=self._in_flight_max,
        )

    def _raise_fee(self, payout: Payout, last: SignedTransfer, standing: Standing) -> None:
        numerator, denominator = FEE_RAISE
        tip_wei = last.tip_wei * numerator // denominator + 1
        max_fee_wei = max(
            last.max_fee_wei * numerator // denominator + 1, 2 * standing.base_fee_wei + tip_wei
        )
        assert payout.nonce is not None, payout
        assert payout.state in IN_FLIGHT, payout
        payouts = self._ledger.unit(payout.id)
        if last.gas * max_fee_wei > FEE_WEI_MAX:
            log.warning(
                "faucet_fee_highest", payout=payout.id, nonce=payout.nonce, max_fee_wei=last.max_fee_wei
            )
            return
        replacement = self._transaction(payouts, payout.nonce, last.gas, max_fee_wei, tip_wei)
        if self._ledger.replace(payout.id, replacement, instead_of=last.hash):
            self._counts.happened(Incident.FEE_RAISED)
            log.warning("faucet_fee_raised", payout=payout.id, nonce=payout.nonce, max_fee_wei=max_fee_wei)

    def _transaction(
        self, payouts: Sequence[Payout], nonce: int, gas: int, max_fee_wei: int, tip_wei: int
    ) -> SignedTransfer:
        """One transaction for one payout, for many, or for the contract that pays many."""
        to, data = payouts[0].address, b""
        amounts_wei = [payout.amount_gwei * GWEI for payout in payouts]
        if payouts[0].kind is PayoutKind.CONTRACT:
            data = deployment_calldata()
        elif len(payouts) > 1:
            to = load_contract().address
            data = disperse_calldata([payout.address for payout in payouts], amounts_wei)
        raw = signed_transfer(
            self._payer.key,
            chain_id=self._payer.chain_id,
            nonce=nonce,
            to=to,
            value_wei=sum(amounts_wei),
            gas=gas,
            max_fee_wei=max_fee_wei,
            tip_wei=tip_wei,
            data=data,
        )
        return SignedTransfer(
            hash=transaction_hash(raw),
            nonce=nonce,
            raw=raw,
            gas=gas,
            max_fee_wei=max_fee_wei,
            tip_wei=tip_wei,
        )


def _check_balance(standing: Standing, amount_gwei: int, gas: int) -> None:
    """Raise NotEnough when an account can't pay so much and its fee."""
    if standing.balance_wei < amount_gwei * GWEI + gas * standing.max_fee_wei:
        raise NotEnough(empty().reason)
