"""What a faucet says of an address that was paid more often than an answer has rows."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from sqlalchemy import insert

from metanode.crypto.addresses import parse_address
from sdk.testnet.command.output import run_program
from sdk.testnet.command.program import app
from sdk.testnet.faucet import Faucet, FaucetConfig, schema
from sdk.testnet.faucet.database import Database
from sdk.testnet.faucet.payout import PayoutKind, PayoutState

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ADDRESS = "0x1234567890123456789012345678901234567890"
PAYOUTS = 1_500


def test_every_payout_counts_and_is_shown_to_who_asks_for_so_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'faucet.db'}"
    faucet = Faucet(FaucetConfig(database_url=url))
    database = Database(url)
    with database.change() as connection:
        row = {
            "address": parse_address(ADDRESS), "amount_gwei": 7, "state": PayoutState.SETTLED, "kind": PayoutKind.PAYOUT, "lost": 0,
        }  # fmt: skip
        connection.execute(
            insert(schema.payouts), [row | {"requested_ms": number} for number in range(PAYOUTS)]
        )
    database.close()

    info = faucet.get_address_info(ADDRESS)
    asyncio.run(faucet.close())
    command = ["faucet", "history", ADDRESS, "--limit", "10000", "--json", "--database", url]
    assert run_program(lambda: app(command, standalone_mode=False)) == 0

    assert (info["total_requests"], info["total_received"]) == (PAYOUTS, 7 * PAYOUTS)
    assert info["last_request_ms"] == PAYOUTS - 1
    assert len(json.loads(capsys.readouterr().out)) == PAYOUTS
