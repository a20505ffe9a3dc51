"""Who sends a claim again while the first one is being promised gets the first one's answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from sdk.testnet.faucet.configuration import FaucetConfig
from sdk.testnet.faucet.desk import ClaimDesk
from sdk.testnet.faucet.policy import Refused

if TYPE_CHECKING:
    import pytest


async def test_a_replay_is_not_refused_by_the_limit_that_its_first_claim_has_filled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first: Any = object()
    looks = iter([None, first])
    rejected: list[str] = []
    ledger = SimpleNamespace(redeemed=lambda _: next(looks), count_rejected=rejected.append)
    operation = SimpleNamespace(secret=lambda _: b"s" * 32)
    till: Any = SimpleNamespace(config=FaucetConfig(), operation=operation, ledger=ledger)
    desk: Any = ClaimDesk(till)

    async def check(_: Any) -> Refused:
        return Refused.__new__(Refused)

    monkeypatch.setattr(desk, "_check", check)
    asked: Any = object()

    assert await desk._promise(asked, asked) is first
    assert rejected == []
