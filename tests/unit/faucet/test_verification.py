"""Proofs are checked within bounds, and who sends false ones soon is not listened to."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from metanode.primitives.types import Address
from sdk.testnet.faucet import verification
from sdk.testnet.faucet.proof_of_work import PUZZLES, Challenge, ChallengeInvalid, attempts
from sdk.testnet.faucet.verification import TooBusy, Verifier

if TYPE_CHECKING:
    from collections.abc import Sequence

EASY = Challenge(
    id=b"\x01" * 16,
    chain_id=1,
    genesis_hash=bytes(32),
    address=Address(b"\x02" * 20),
    amount_gwei=1,
    bits=2,
    narrow=bytes(16),
    wide=bytes(16),
    issued_ms=0,
    expires_ms=1,
)


def solve(challenge: Challenge) -> list[int]:
    return [
        next(
            found
            for found in attempts(challenge.id, challenge.address, puzzle, challenge.bits)
            if found is not None
        )
        for puzzle in range(PUZZLES)
    ]


def check(nonces: Sequence[int]) -> None:
    verifier = Verifier(threads=1)
    try:
        asyncio.run(verifier.check(EASY, nonces))
    finally:
        verifier.close()


def test_every_puzzle_has_to_be_solved() -> None:
    nonces = solve(EASY)
    check(nonces)

    for puzzle in range(PUZZLES):
        wrong = [*nonces]
        wrong[puzzle] = next(
            nonce for nonce in range(1000) if verification.is_solved(EASY, puzzle, nonce) is False
        )
        with pytest.raises(
            ChallengeInvalid, match=rf"nonces\[{puzzle}\]: its hash does not begin with 2 zero bits"
        ):
            check(wrong)


@pytest.mark.parametrize("nonces", [[], [0] * 7, [0] * 9, [-1] + [0] * 7, [2**64] + [0] * 7])
def test_other_numbers_are_refused_before_any_work(nonces: list[int]) -> None:
    with pytest.raises(ChallengeInvalid, match="expected 8 whole numbers"):
        check(nonces)


def test_more_proofs_than_can_be_checked_soon_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, started = threading.Event(), threading.Event()

    def wait(*_: object) -> None:
        started.set()
        gate.wait(30)

    monkeypatch.setattr(verification, "_first_wrong", wait)

    async def run() -> None:
        verifier = Verifier(threads=1, queue_max=2)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(verifier.check(EASY, [0] * PUZZLES))
                await asyncio.to_thread(started.wait, 30)
                with pytest.raises(TooBusy):
                    await verifier.check(EASY, [0] * PUZZLES)
                gate.set()
            await verifier.check(EASY, [0] * PUZZLES)
        finally:
            verifier.close()

    asyncio.run(run())
