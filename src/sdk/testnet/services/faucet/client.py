"""A claim from a program: asks a faucet's service for a challenge, solves it in native code on all cores, and waits until the coins are there."""

from __future__ import annotations

import os
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx

from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.faucet.proof_of_work import ALGORITHM, PUZZLES, SCRYPT_N, SCRYPT_P, SCRYPT_R, attempts

if TYPE_CHECKING:
    from collections.abc import Callable

API: Final = "/api/v1/faucet"
TIMEOUT_S: Final = 30.0
READ_TIMEOUT_S: Final = 5.0
"""For what is asked again anyway."""
WAIT_S: Final = 120.0
"""For the coins; a network that is well takes seconds."""
POLL_S: Final = 0.5
BITS_MAX: Final = 20
"""A faucet that asks for more is no faucet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a proof of work is."""

    solved: int
    puzzles: int
    hashes: int
    expected_hashes: int
    elapsed_s: float


class ClaimRefused(InvalidInput):
    """The faucet said no; its words are the message."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(str(problem.get("detail") or problem.get("title") or "the faucet refused"))
        self.code = str(problem.get("code", ""))
        self.retry_after_s: int | None = problem.get("retry_after")


def claim(
    url: str,
    address: str,
    *,
    voucher: str | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> dict[str, Any]:
    """Claim coins for an address and wait until they are in a final block.

    Args:
        url: Of the faucet's service, e.g. `http://127.0.0.1:8080`.
        address: Who is paid.
        voucher: In the place of a proof of work.
        on_progress: Hears now and then how far the proof is.

    Returns:
        The claim as the API has it: `id`, `state` ("final"), `amount` in wei, `transaction_hash`.

    Raises:
        ClaimRefused: when the faucet does not pay; with its code, and when to try again.
        Unavailable: when it does not answer, or the coins do not come in time.
    """
    with httpx.Client(base_url=url.rstrip("/"), timeout=TIMEOUT_S) as http:
        if voucher is not None:
            body: dict[str, Any] = {"address": address, "voucher": voucher}
        elif _ask(http, "GET", API)["proof_of_work"] is None:
            body = {"address": address}
        else:
            challenge = _ask(http, "POST", f"{API}/challenges", {"address": address})
            body = {"challenge": challenge["challenge"], "nonces": solve(challenge, on_progress)}
        claimed = _ask(http, "POST", f"{API}/claims", body, {"Idempotency-Key": secrets.token_hex(16)})
        deadline_s = time.monotonic() + WAIT_S
        while not claimed["is_over"]:
            if time.monotonic() > deadline_s:
                raise Unavailable(
                    f"claim {claimed['id']} is {claimed['state']} after {WAIT_S:.0f} s; it stays promised: {url}/claims/{claimed['id']}"
                )
            time.sleep(POLL_S)
            claimed = _ask(http, "GET", f"{API}/claims/{claimed['id']}")
        if claimed["state"] != "final":
            raise ClaimRefused({"detail": claimed["error"], "code": claimed["state"]})
        return claimed


def read_state(url: str) -> dict[str, Any]:
    """Return what a faucet's service says of itself. Raises ClaimRefused and Unavailable."""
    with httpx.Client(base_url=url.rstrip("/"), timeout=READ_TIMEOUT_S) as http:
        return _ask(http, "GET", API)


def newest_payouts(url: str) -> list[dict[str, Any]]:
    """Return what a faucet's service paid last, the newest first. Raises ClaimRefused and Unavailable."""
    with httpx.Client(base_url=url.rstrip("/"), timeout=READ_TIMEOUT_S) as http:
        items: list[dict[str, Any]] = _ask(http, "GET", f"{API}/payouts")["items"]
        return items


def solve(challenge: dict[str, Any], on_progress: Callable[[Progress], None] = lambda _: None) -> list[int]:
    """Solve a challenge on all cores: scrypt leaves Python's lock. Raises ClaimRefused when it is of a kind that is not known."""
    params = challenge["params"]
    expected = {"alg": ALGORITHM, "N": SCRYPT_N, "r": SCRYPT_R, "p": SCRYPT_P, "k": PUZZLES}
    if any(params.get(name) != value for name, value in expected.items()) or params["bits"] > BITS_MAX:
        raise ClaimRefused({"detail": "this faucet asks for a proof of work that this program does not know"})
    id_, address = bytes.fromhex(challenge["id"]), bytes.fromhex(challenge["address"][2:])
    solved: list[int] = []
    hashes, lock, begin_s = 0, threading.Lock(), time.monotonic()

    def tell() -> None:
        on_progress(
            Progress(
                solved=len(solved),
                puzzles=PUZZLES,
                hashes=hashes,
                expected_hashes=params["expected_hashes"],
                elapsed_s=time.monotonic() - begin_s,
            )
        )

    def solve_one(puzzle: int) -> int:
        nonlocal hashes
        for found in attempts(id_, address, puzzle, params["bits"]):
            with lock:
                hashes += 1
                if found is not None:
                    solved.append(puzzle)
                if found is not None or hashes % 16 == 0:
                    tell()
            if found is not None:
                return found
        raise AssertionError("a puzzle has infinitely many nonces to try")

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return list(pool.map(solve_one, range(PUZZLES)))


def _ask(
    http: httpx.Client,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    try:
        answer = http.request(method, path, json=body, headers=headers)
        document = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise Unavailable(f"the faucet at {http.base_url} does not answer: {error}") from None
    if not isinstance(document, dict):
        raise Unavailable(f"{http.base_url} is no faucet")
    if not answer.is_success:
        raise ClaimRefused(document)
    return document
