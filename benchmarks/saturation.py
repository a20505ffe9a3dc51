"""Reads that saturate a core for ten minutes must not cost consensus a round (ADR 16), nor delay a block."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eth_account import Account
from eth_utils.address import to_checksum_address

from benchmarks import arrivals, chains, wrk
from benchmarks.logs import EMITTER_CODE
from benchmarks.report import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.chains import Chain

STEP_S = 30
LOGS = 100
"""As many as a page of transfers shows."""
RECEIPT_TIMEOUT_S = 30.0
EMITTER_INIT = bytes.fromhex("60178060095f395ff3") + bytes.fromhex(EMITTER_CODE[2:])
"""Puts the code, 0x17 bytes, on the chain."""


@dataclass(frozen=True)
class Read:
    """What is asked again and again."""

    method: str
    params: list[object]
    named: str = ""
    """Has figures of its own under this name; without one it is among the light ones, whose figures are one."""


def reads(emitter: str) -> tuple[Read, ...]:
    """One after another; calls are among what is refused first when the event loop is late, as are logs and whatever is pending."""
    nobody = "0x" + "11" * 20
    call: dict[str, object] = {"to": nobody, "data": "0x"}
    return (
        Read("eth_call", [call, "latest"]),
        Read("eth_getBlockByNumber", ["latest", True]),
        Read("eth_getBalance", [nobody, "latest"]),
        Read("eth_getLogs", [{"fromBlock": "0x0", "toBlock": "latest", "address": emitter}], f"eth_getLogs of {LOGS}"),
        Read("eth_call", [call, "pending"], "eth_call at pending"),
    )  # fmt: skip


def measure(seconds: int) -> Iterator[Figure]:
    """Four validators; one of them is asked without a pause, and tells of its blocks as they come."""
    with chains.metanode(4) as chain:
        asked = reads(_emit(chain))
        with arrivals.noted(chain.url) as noted:
            yield from _measured(chain, asked, noted, seconds)


def _measured(chain: Chain, asked: tuple[Read, ...], noted: list[float], seconds: int) -> Iterator[Figure]:
    chain.wait_next_block()
    before, cpu_s, started = _totals(chain), chain.cpu_s(), time.monotonic()
    loads: dict[str, list[wrk.Load]] = {}
    step = 0
    while time.monotonic() < started + seconds:
        read = asked[step % len(asked)]
        load = wrk.repeat(chain.url, read.method, read.params, seconds=min(STEP_S, seconds))
        loads.setdefault(read.named, []).append(load)
        print(
            f"    {read.named or read.method}: {load.per_second:,.0f} requests/s, p99 {load.p99_ms:.1f} ms",
            flush=True,
        )
        step += 1
    elapsed = time.monotonic() - started
    after = _totals(chain)
    gaps_s = arrivals.intervals_s([at for at in noted if at >= started])
    for named, found in loads.items():
        what, target = (f"saturation: {named}, ", "") if named else ("saturation: ", "< 5")
        rates = sorted(load.per_second for load in found)
        yield _figure(f"{what}requests/s", rates[len(rates) // 2], "")
        yield _figure(f"{what}slowest p99 ms", max(load.p99_ms for load in found), target)
    yield _figure("saturation: CPU of the nodes, % of one core", 100 * (chain.cpu_s() - cpu_s) / elapsed, "")
    for name, target in _COUNTERS:
        yield _figure(f"saturation: {name}", after[name] - before[name], target)
    mean_s, late_s = statistics.fmean(gaps_s), arrivals.percentile(gaps_s, 0.99)
    low_s, high_s = min(gaps_s), max(gaps_s)
    yield Figure("saturation: block interval, mean s", "metanode", mean_s, low_s, high_s, "2.00")
    yield Figure("saturation: block interval, p99 s", "metanode", late_s, low_s, high_s, "< 2.2")


def _emit(chain: Chain) -> str:
    """Put a contract on the chain that has emitted its logs; its address."""
    account = Account.from_key(chain.rich_key.secret)
    nonce = int(chain.call("eth_getTransactionCount", account.address, "latest"), 16)
    made = _sent(chain, account, {"nonce": nonce, "data": EMITTER_INIT, "gas": 200_000})
    emitter = str(made["contractAddress"])
    to = to_checksum_address(emitter)
    told = _sent(
        chain, account, {"nonce": nonce + 1, "to": to, "data": LOGS.to_bytes(32, "big"), "gas": 1_000_000}
    )
    assert len(told["logs"]) == LOGS, told
    return emitter


def _sent(chain: Chain, account: Any, fields: dict[str, Any]) -> dict[str, Any]:
    prices = {"maxFeePerGas": 100 * 10**9, "maxPriorityFeePerGas": 10**9, "value": 0, "type": 2}
    signed = account.sign_transaction({**prices, "chainId": chain.chain_id, **fields})
    transaction = chain.call("eth_sendRawTransaction", "0x" + bytes(signed.raw_transaction).hex())
    deadline = time.monotonic() + RECEIPT_TIMEOUT_S
    while (receipt := chain.call("eth_getTransactionReceipt", transaction)) is None:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{transaction} is in no block after {RECEIPT_TIMEOUT_S:.0f} s")
        time.sleep(0.1)
    assert receipt["status"] == "0x1", receipt
    return dict(receipt)


_LATE_BLOCKS = "blocks decided after round 0"
_LATE_TURNS = "turns of the event loop later than 50 ms"
_REFUSED = "calls refused to spare consensus"
_COUNTERS = ((_LATE_BLOCKS, "0"), (_LATE_TURNS, ""), (_REFUSED, ""))


def _totals(chain: Chain) -> dict[str, float]:
    """The counters of all four nodes together."""
    return {
        _LATE_BLOCKS: chain.counted_above("metanode_consensus_commit_round", "0.0"),
        _LATE_TURNS: chain.counted_above("metanode_event_loop_lag_seconds", "0.05"),
        _REFUSED: chain.counted("metanode_rpc_requests_total", result="limited"),
    }


def _figure(measure_name: str, value: float, target: str) -> Figure:
    return Figure(measure_name, "metanode", value, value, value, target)
