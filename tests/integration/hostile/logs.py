"""Blocks full of logs, so that an answer or a burst of news is large."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.acceptance.processes import wait_until
from tests.integration.hostile.target import LOGGER, rich_key, signed

from metanode.primitives.hexadecimal import encode_data

if TYPE_CHECKING:
    from tests.integration.hostile.target import Target


def send_logs(target: Target, count: int) -> str:
    """Send a transaction that writes so many logs; its hash."""
    key = rich_key(0)
    raw = signed(
        key,
        target.nonce(key),
        to=LOGGER,
        value_wei=0,
        data=count.to_bytes(32, "big"),
        gas=100_000 + 850 * count,
        fee_wei=50 * 10**9,
    )
    return str(target.call("eth_sendRawTransaction", encode_data(raw)))


def write_logs(target: Target, count: int) -> int:
    """Write so many logs into one block; its number."""
    sent = send_logs(target, count)
    receipt = wait_until(
        lambda: target.call("eth_getTransactionReceipt", sent), within_s=20.0, what="the logs are written"
    )
    assert receipt["status"] == "0x1", receipt["status"]
    assert len(receipt["logs"]) == count
    return int(receipt["blockNumber"], 16)
