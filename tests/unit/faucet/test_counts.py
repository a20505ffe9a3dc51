"""What a faucet counts: each kind from nothing on, and how long things took by bounds that add up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.testnet.counting import Durations
from sdk.testnet.faucet import Faucet, FaucetConfig
from sdk.testnet.faucet.counts import RECIPIENT, Channel, Counts, Incident, Puzzle
from sdk.testnet.faucet.policy import RefusalCode
from sdk.testnet.faucet.proof_of_work import BITS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS = "0x" + "ab" * 20


@pytest.fixture
def faucet() -> Iterator[Faucet]:
    """One whose chain is never started: nobody is paid here."""
    faucet = Faucet(FaucetConfig(proof_of_work=True))
    yield faucet
    asyncio.run(faucet.close())


@given(st.lists(st.floats(-5, 1_000)))
def test_every_duration_is_in_one_bucket_and_in_all_above_it(seconds: list[float]) -> None:
    durations = Durations((1, 10, 100))
    for one in seconds:
        durations.note(one)

    buckets, sum_s = durations.read()

    assert [end for end, _ in buckets] == ["1.0", "10.0", "100.0", "+Inf"]
    assert [count for _, count in buckets] == [
        sum(one <= bound for one in seconds) for bound in (1, 10, 100, float("inf"))
    ]
    assert sum_s == pytest.approx(sum(max(0.0, one) for one in seconds))


def test_every_kind_is_there_before_it_happens() -> None:
    """A counter that appears with its first event hides that event from `increase`."""
    refusals, promises, incidents = Counts().read()

    assert set(refusals) >= {code.value for code in RefusalCode}
    assert (set(promises), set(incidents)) == (set(Channel), set(Incident))
    assert {*refusals.values(), *promises.values(), *incidents.values()} == {0}
    assert Counts().challenges() == dict.fromkeys(Puzzle, 0)


def test_a_refusal_is_counted_by_its_reason(faucet: Faucet) -> None:
    faucet.block_address(ADDRESS)

    assert not asyncio.run(faucet.request_tokens(ADDRESS, "10.0.0.1"))["success"]
    assert not asyncio.run(faucet.request_tokens("0xnonsense", "10.0.0.1"))["success"]

    refusals = faucet.measures().counts.read()[0]
    assert {reason: number for reason, number in refusals.items() if number} == {
        RefusalCode.BLOCKED: 1,
        RECIPIENT: 1,
    }
    assert faucet.get_stats()["rejected_requests"] == 2


def test_what_holds_now_of_a_faucet_that_nobody_has_asked(faucet: Faucet) -> None:
    measures = faucet.measures()

    assert (measures.puzzle_bits, measures.oldest_waiting_s, measures.is_signer) == (
        faucet.config.proof_of_work_bits,
        0.0,
        False,
    )
    assert measures.puzzle_bits <= BITS_MAX
