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
from sdk.testnet.faucet.ledger import IN_FLIGHT, Payout, PayoutState, SignedTransfer
from sdk.testnet.faucet.node import TIP_WEI, transaction_hash
from sdk.testnet.transfers import signed_transfer

if TYPE_CHECKING:
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
LOST_MAX: Final = 1
"""A payout is queued again once; a second loss means that something else uses the key, and is an operator's to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """Who signs, where."""

    key: PrivateKey
    chain_id: int


class Payouts:
    """Signs, sends and settles what the ledger has promised."""

    def __init__(self, ledger: Ledger, payer: Payer, clock: FaucetClock, *, in_flight_max: int) -> None:
        self._ledger = ledger
        self._payer = payer
        self._clock = clock
        self._in_flight_max = in_flight_max

    async def pay(self, node: PayingNode, payout_id: int) -> Payout:
        """Sign a queued payout if there is room, and send it; returns it as it is then.

        A recipient that takes no coins, and an account without enough of them, cancel it.

        Raises:
            Unavailable: when the node or the database does not answer; what is signed by then is sent by `advance`.
        """
        payout = await asyncio.to_thread(self._ledger.payout, payout_id)
        if payout.state is not PayoutState.QUEUED:
            return payout
        standing = await node.standing(self._payer.key.address)
        try:
            gas = await node.gas_of_transfer(
                self._payer.key.address, payout.address, payout.amount_gwei * GWEI
            )
            payout = await asyncio.to_thread(self._sign, payout_id, standing, gas)
        except InvalidInput as error:
            await asyncio.to_thread(self._ledger.cancel, payout_id, str(error))
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
        for payout in await asyncio.to_thread(self._ledger.queued, self._in_flight_max):
            if (await self.pay(node, payout.id)).state is PayoutState.QUEUED:
                break  # no room

    async def _advance_one(self, node: PayingNode, payout: Payout, standing: Standing) -> None:
        assert payout.nonce is not None, payout
        signatures = await asyncio.to_thread(self._ledger.signatures, payout.id)
        receipts = await node.receipts([one.hash for one in signatures])
        for receipt in receipts.values():
            if receipt.succeeded:
                await asyncio.to_thread(
                    self._ledger.settle, payout.id, receipt.transaction_hash, self._clock.now_ms()
                )
                return
        if standing.nonce > payout.nonce:
            used = any(one.hash in receipts for one in signatures if one.nonce == payout.nonce)
            reason = (
                "the transfer was reverted"
                if used
                else f"nonce {payout.nonce} was used by a transaction that is not the faucet's: something else has its key"
            )
            after = await asyncio.to_thread(
                self._ledger.queue_again, payout.id, payout.nonce, reason, lost_max=LOST_MAX
            )
            log.error("faucet_payout_lost", payout=payout.id, reason=reason, state=str(after.state))
            return
        if payout.signed_at_number is not None:
            open_blocks = standing.head - payout.signed_at_number
            same_nonce = sum(one.nonce == payout.nonce for one in signatures)
            if open_blocks >= RAISE_FEE_BLOCKS * same_nonce:
                await asyncio.to_thread(self._raise_fee, payout, signatures[-1], standing)
                await self._send(node, payout, standing)
                return
        if payout.sent_at_number is None or standing.head - payout.sent_at_number >= SEND_AGAIN_BLOCKS:
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

    def _sign(self, payout_id: int, standing: Standing, gas: int) -> Payout:
        def make(payout: Payout, nonce: int, in_flight_gwei: int) -> SignedTransfer:
            fee_wei = gas * standing.max_fee_wei
            need_wei = (payout.amount_gwei + in_flight_gwei) * GWEI + fee_wei
            if standing.balance_wei < need_wei:
                raise InvalidInput("the faucet is empty: it waits for its operator to fill it")
            return self._transfer(payout, nonce, gas, standing.max_fee_wei, TIP_WEI)

        return self._ledger.sign(
            payout_id,
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
        replacement = self._transfer(payout, payout.nonce, last.gas, max_fee_wei, tip_wei)
        self._ledger.replace(payout.id, replacement)
        log.warning("faucet_fee_raised", payout=payout.id, nonce=payout.nonce, max_fee_wei=max_fee_wei)

    def _transfer(
        self, payout: Payout, nonce: int, gas: int, max_fee_wei: int, tip_wei: int
    ) -> SignedTransfer:
        raw = signed_transfer(
            self._payer.key,
            chain_id=self._payer.chain_id,
            nonce=nonce,
            to=payout.address,
            value_wei=payout.amount_gwei * GWEI,
            gas=gas,
            max_fee_wei=max_fee_wei,
            tip_wei=tip_wei,
        )
        return SignedTransfer(
            hash=transaction_hash(raw),
            nonce=nonce,
            raw=raw,
            gas=gas,
            max_fee_wei=max_fee_wei,
            tip_wei=tip_wei,
        )
