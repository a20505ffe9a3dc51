"""State tests: one transaction on a given state, by the code that runs the transactions of a block."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tests.conformance.chains import blob_schedule
from tests.conformance.suites.refusals import codes_of
from tests.conformance.transitions import run
from tests.conformance.verdicts import Mismatch, Verdict, each, expect_equal

ENVIRONMENT: Final = {
    "currentCoinbase": "coinbase",
    "currentNumber": "number",
    "currentTimestamp": "timestamp",
    "currentGasLimit": "gasLimit",
    "currentDifficulty": "difficulty",
    "currentRandom": "mixHash",
    "currentBaseFee": "baseFeePerGas",
    "currentExcessBlobGas": "excessBlobGas",
}
"""Their names of what surrounds a transaction, and a genesis's."""


def judge(file: Path) -> Iterator[Verdict]:
    """The cases of a file of state tests."""
    return each(json.loads(file.read_bytes()).items(), judge_state)


def judge_state(test: Mapping[str, Any]) -> None:
    """One state, under each fork and with each transaction that the test has for it."""
    given = test.get("config", {})
    config = {"chainId": int(given.get("chainid", "0x1"), 16), "blobSchedule": blob_schedule(given)}
    env = {name: test["env"][theirs] for theirs, name in ENVIRONMENT.items() if theirs in test["env"]}
    for network, posts in test["post"].items():
        for post in posts:
            raw = bytes.fromhex(post["txbytes"][2:])
            found = run(network, alloc=test["pre"], env=env, transactions=[raw], config=config)
            expect_rejection(found["rejected"], post.get("expectException"))
            expect_equal("state root", found["stateRoot"], post["hash"])
            expect_equal("hash of the logs", found["logsHash"], post["logs"])


def expect_rejection(rejected: list[dict[str, Any]], expected: str | None) -> None:
    """Raise Mismatch unless the transaction ran, or was left out for one of the expected reasons."""
    if not rejected:
        if expected:
            raise Mismatch(f"the transaction ran, expected {expected}")
        return
    why = f"the transaction is refused as {rejected[0]['code']} ({rejected[0]['message']})"
    if not expected:
        raise Mismatch(why)
    if rejected[0]["code"] not in codes_of(expected):
        raise Mismatch(f"{why}, expected {expected}")
