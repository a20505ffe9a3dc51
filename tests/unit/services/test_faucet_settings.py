"""The table [faucet]: the faucet's settings by their names, and where its operator's page is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metanode.errors import InvalidInput
from sdk.testnet.services.faucet.settings import FaucetSettings, read_settings

HOME = Path("/srv/testnet")


def read(**table: Any) -> FaucetSettings:
    return read_settings(
        table,
        directory=HOME,
        data=HOME / "data",
        rpc_urls=("http://a:8545", "http://b:8545"),
        database_url="sqlite:///faucet.db",
    )


def test_a_table_says_limits_paths_and_the_operators_port() -> None:
    found = read(public=True, daily_limit=7, keystore="faucet.json", operator_port=8081)

    assert (found.faucet.daily_limit, found.faucet.max_requests_per_address) == (7, 1)
    assert found.faucet.proof_of_work
    assert found.faucet.keystore == HOME / "faucet.json"
    assert (found.faucet.rpc_url, found.faucet.backup_rpc_urls) == ("http://a:8545", ("http://b:8545",))
    assert (found.operator_port, found.operator_bind_address) == (8081, "127.0.0.1")
    assert found.operator_password_file == HOME / "data" / "operator.password"


def test_without_a_word_the_limits_are_the_documents_and_there_is_no_operators_page() -> None:
    found = read()

    assert (found.faucet.max_requests_per_address, found.faucet.proof_of_work) == (3, False)
    assert found.operator_port == 0


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        read(daily_limt=5, daily_limit=0, operator_port=70_000, public="yes", operator_bind_address="home")

    lines = str(refused.value).splitlines()
    assert "faucet.daily_limt: no such setting; did you mean daily_limit?" in lines
    assert len(lines) == 5
    assert all(line.startswith("faucet.") for line in lines)
