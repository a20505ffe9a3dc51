"""A faucet whose database does not answer says so to who asks, as it says that a node does not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sdk.testnet.faucet import Faucet, FaucetConfig
from sdk.testnet.faucet.configuration import PRIVATE_KEY_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ADDRESS = "0x1234567890123456789012345678901234567890"


def test_who_asks_a_faucet_without_its_database_gets_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PRIVATE_KEY_VARIABLE, "11" * 32)
    faucet = Faucet(
        FaucetConfig(rpc_url="http://127.0.0.1:9", database_url=f"sqlite:///{tmp_path / 'faucet.db'}")
    )
    for file in tmp_path.iterdir():
        file.write_bytes(b"no database any more" * 1000)

    answer = asyncio.run(faucet.request_tokens(ADDRESS, "192.0.2.1"))
    allowed, reason = faucet.can_request(ADDRESS, "192.0.2.1")

    assert (answer["success"], answer["amount"], answer["tx_hash"], answer["retry_after_s"]) == (
        False,
        0,
        None,
        30,
    )
    assert "the faucet can't pay now: the faucet's database refused or did not answer" in answer["error"]
    assert (allowed, reason) == (False, answer["error"])
