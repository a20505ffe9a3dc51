"""The chain of `devp2p-ethtest`: 600 blocks of another client from Shanghai to Prague, imported as a node imports what it missed."""

import base64
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.conformance.chains import ask
from tests.conformance.suites.json_rpc import blocks_of
from tests.conformance.verdicts import Verdict, expect_equal, judged, using

from metanode import _engine


def judge(files: Sequence[Path]) -> Iterator[tuple[Path, Verdict]]:
    """Import the chain, and compare the accounts at its end."""
    folder = next(file.parent for file in files)
    with using(folder / "genesis.json"):
        engine = _engine.Engine.open((folder / "genesis.json").read_bytes(), threads=1)
    try:
        with using(folder / "newpayload.json"):
            calls = json.loads((folder / "newpayload.json").read_bytes())
            requests = [
                [base64.b64decode(one) for one in (call["params"][3:] or [[]])[0] or []] for call in calls
            ]
        with using(folder / "chain.rlp"):
            blocks = blocks_of((folder / "chain.rlp").read_bytes())[-(len(calls) - 1) :]

        def import_all(_: object) -> None:
            head = engine.import_blocks(list(zip(blocks, requests[1:], strict=True)))
            expected = json.loads((folder / "headblock.json").read_bytes())["hash"]
            expect_equal("head", "0x" + head.hash.hex(), expected)

        yield folder / "chain.rlp", judged("600 blocks", import_all, None, counts=False)

        def compare_accounts(_: object) -> None:
            accounts = json.loads((folder / "headstate.json").read_bytes())["accounts"]
            for account in accounts.values():
                if "address" in account:
                    balance = ask(engine, "eth_getBalance", account["address"], "latest")["result"]
                    nonce = ask(engine, "eth_getTransactionCount", account["address"], "latest")["result"]
                    expect_equal(account["address"], int(balance, 16), int(account["balance"]))
                    expect_equal(account["address"], int(nonce, 16), account["nonce"])

        yield folder / "headstate.json", judged("its accounts", compare_accounts, None, counts=False)
    finally:
        engine.close()
