"""The faucet: how long a proof of work takes to check and to make, how many claims are promised a second, and how fast a crowd is paid.

The chain is one validator with blocks of a second; the ledger is SQLite on a disk, as `Faucet` has it by default. A crowd of promises is in the
ledger before the clock starts, and is paid when the last of them is in a final block.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.report import Figure
from metanode.crypto.addresses import format_address
from metanode.crypto.secp256k1 import PrivateKey
from metanode.primitives.types import Address
from sdk.testnet import Faucet, FaucetConfig, Testnet
from sdk.testnet.faucet.client_address import origin_of
from sdk.testnet.faucet.payout import Payout
from sdk.testnet.faucet.proof_of_work import Challenge, puzzle_hash
from sdk.testnet.faucet.quotas import Asker
from sdk.testnet.faucet.verification import Verifier
from sdk.testnet.services.faucet.client import solve

if TYPE_CHECKING:
    from collections.abc import Iterator

CROWD: Final = 1_000
PROOFS: Final = 5
PAYER: Final = PrivateKey(b"\x61" * 32)


def measure(rounds: int) -> Iterator[Figure]:
    """Measure everything."""
    yield from _proofs()
    os.environ["FAUCET_PRIVATE_KEY"] = PAYER.secret.hex()
    promised: list[float] = []
    batched: list[float] = []
    alone: list[float] = []
    for _ in range(rounds):
        for batching, found in ((True, batched), (False, alone)):
            promises_per_s, payouts_per_s = asyncio.run(_crowd(batching=batching))
            promised.append(promises_per_s)
            found.append(payouts_per_s)
    yield _figure("claims promised a second, SQLite", promised, "")
    yield _figure(f"payouts final a second, {CROWD:,} at once, batched", batched, "")
    yield _figure(f"payouts final a second, {CROWD:,} at once, each alone", alone, "")


def _proofs() -> Iterator[Figure]:
    begin_s = time.perf_counter()
    for nonce in range(100):
        puzzle_hash(bytes(16), bytes(20), 0, nonce)
    rate = 100 / (time.perf_counter() - begin_s)
    yield _figure("native scrypt hashes a second, one thread", [rate], "")
    checked_ms, solved_s = [], []
    for _ in range(PROOFS):
        challenge = Challenge(
            id=os.urandom(16), chain_id=1, genesis_hash=bytes(32), address=Address(os.urandom(20)), amount_gwei=1,
            bits=8, narrow=bytes(16), wide=bytes(16), issued_ms=0, expires_ms=1,
        )  # fmt: skip
        begin_s = time.perf_counter()
        nonces = solve(
            {
                "id": challenge.id.hex(),
                "address": format_address(challenge.address),
                "params": {
                    "alg": "scrypt",
                    "N": 4096,
                    "r": 8,
                    "p": 1,
                    "k": 8,
                    "bits": 8,
                    "expected_hashes": 2048,
                },
            }
        )
        solved_s.append(time.perf_counter() - begin_s)
        checked_ms.append(asyncio.run(_checked_ms(challenge, nonces)))
    yield _figure("checking a right proof of 8 bits, ms", checked_ms, "62")
    yield _figure("solving a challenge of 8 bits, native, all cores, s", solved_s, "")


async def _checked_ms(challenge: Challenge, nonces: list[int]) -> float:
    verifier = Verifier()
    try:
        begin_s = time.perf_counter()
        await verifier.check(challenge, nonces)
        return 1000 * (time.perf_counter() - begin_s)
    finally:
        verifier.close()


async def _crowd(*, batching: bool) -> tuple[float, float]:
    """Promises and payouts a second."""
    with (
        tempfile.TemporaryDirectory(prefix="metanode-benchmark-") as folder,
        Testnet(
            validators=1, block_time_s=1, in_memory=True, balances={format_address(PAYER.address): 10**27}
        ) as net,
    ):
        config = FaucetConfig(
            rpc_url=net.rpc_url,
            database_url=f"sqlite:///{Path(folder) / 'faucet.db'}",
            daily_limit=100_000,
            batching=batching,
        )
        async with Faucet(config) as faucet:
            if batching:
                _promise(faucet, 6)
                await _pay(faucet)
            begin_s = time.perf_counter()
            _promise(faucet, CROWD)
            promised_s = time.perf_counter() - begin_s
            begin_s = time.perf_counter()
            await _pay(faucet)
            return CROWD / promised_s, CROWD / (time.perf_counter() - begin_s)


def _promise(faucet: Faucet, count: int) -> None:
    settings = faucet.operation.settings()
    for _ in range(count):
        origin = origin_of(ipaddress.IPv4Address(os.urandom(4)))
        asker = Asker(address=Address(os.urandom(20)), origin=origin)
        assert isinstance(faucet._till.promise(asker, settings.tokens_per_request, settings), Payout)  # noqa: SLF001 - a promise alone


async def _pay(faucet: Faucet) -> None:
    """Work as `run` does, and a little oftener, until nothing is under way."""
    while True:
        await faucet.settle()
        if not faucet._ledger.in_flight() and not faucet._ledger.queued(1):  # noqa: SLF001 - the same
            return
        await asyncio.sleep(0.1)


def _figure(measure: str, found: list[float], target: str) -> Figure:
    return Figure(
        measure=measure,
        chain="metanode",
        median=statistics.median(found),
        low=min(found),
        high=max(found),
        target=target,
    )
