"""`metanode faucet` on a service's answers."""

from __future__ import annotations

from typing import Any

import pytest

from metanode.cli import faucet


@pytest.mark.parametrize(
    ("amount_wei", "told"),
    [
        ("100000000000000000000", "100"),
        ("1234567000000000000000000", "1234567"),
        ("1234567890123456789", "1.234567890123456789"),
    ],
)
def test_what_was_paid_is_told_to_the_last_digit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], amount_wei: str, told: str
) -> None:
    def claim(_: str, address: str, **__: Any) -> dict[str, Any]:
        return {"amount": amount_wei, "address": address, "transaction_hash": "0x" + "22" * 32}

    monkeypatch.setattr(faucet.client, "claim", claim)

    faucet.claim("0x" + "11" * 20)

    assert capsys.readouterr().out.splitlines()[0] == f"{told} coins are at 0x{'11' * 20}"
