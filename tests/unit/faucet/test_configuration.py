"""What an operator may set, and what is told of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from metanode.errors import InvalidInput, StorageFailed
from sdk.testnet.faucet import Faucet, FaucetConfig

if TYPE_CHECKING:
    from pathlib import Path


def test_every_problem_is_told_at_once_and_names_its_field() -> None:
    with pytest.raises(InvalidInput) as refused:
        FaucetConfig(tokens_per_request=0, cooldown_period=-1, daily_limit=True, rpc_url="localhost:8545")

    assert str(refused.value).splitlines() == [
        "tokens_per_request: expected a whole number from 1 to 9,223,372,036,854,775,807, found 0",
        "cooldown_period: expected a whole number from 1 to 31,622,400, found -1",
        "daily_limit: expected a whole number from 1 to 1,000,000, found True",
        "rpc_url: expected http://HOST:PORT or https://…, found 'localhost:8545'",
    ]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"rpc_url": "http://"}, "rpc_url: "),
        ({"rpc_url": "http://[::1"}, "rpc_url: "),
        ({"database_url": "mysql://x"}, "database_url: expected sqlite:///PATH or postgresql://HOST/NAME"),
        ({"backup_rpc_urls": ("http://a:1",)}, "backup_rpc_urls: give rpc_url too"),
        (
            {"rpc_url": "http://a:1", "backup_rpc_urls": ["http://b:1", "b:2"]},
            r"backup_rpc_urls\[1\]: expected http://",
        ),
        ({"proof_of_work_bits": 15}, "proof_of_work_bits: expected a whole number from 1 to 14"),
        ({"target_balance": 0}, "target_balance: "),
        ({"max_recipient_balance": 0}, "max_recipient_balance: "),
        ({"max_requests_per_address_weekly": "3"}, "max_requests_per_address_weekly: "),
    ],
)
def test_a_wrong_value_is_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        FaucetConfig(**settings)


def test_a_password_in_a_url_is_never_told() -> None:
    with pytest.raises(InvalidInput) as refused:
        FaucetConfig(database_url="mysql://faucet:secret@db/name")

    assert "secret" not in str(refused.value)


def test_a_faucet_on_a_network_needs_a_key_and_says_where_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAUCET_PRIVATE_KEY", raising=False)

    with pytest.raises(InvalidInput, match="environment variable FAUCET_PRIVATE_KEY"):
        Faucet(FaucetConfig(rpc_url="http://127.0.0.1:8545", database_url="sqlite://"))


@pytest.mark.parametrize("text", ["0x12", "zz" * 32, "00" * 32, "ff" * 32])
def test_a_wrong_key_is_refused_without_a_word_of_it(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAUCET_PRIVATE_KEY", text)

    with pytest.raises(
        InvalidInput, match="FAUCET_PRIVATE_KEY: expected a private key of 64 hexadecimal digits"
    ) as refused:
        Faucet(FaucetConfig(rpc_url="http://127.0.0.1:8545", database_url="sqlite://"))
    assert text not in str(refused.value)


def test_a_database_that_cannot_be_opened_is_told_by_its_driver(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="unable to open database file"):
        Faucet(FaucetConfig(database_url=f"sqlite:///{tmp_path}/no/such/folder/faucet.db"))
