"""The fork table, and identifiers as in EIP-2124."""

from typing import Any

import pytest

from metanode.chain.forks import (
    Activation,
    Fork,
    ForkId,
    Timeouts,
    calculate_fork_id,
    fork_at,
    validate_fork_id,
    validate_forks,
)
from metanode.errors import InvalidInput

MAINNET = bytes.fromhex("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3")
BLOCKS = [1_150_000, 1_920_000, 2_463_000, 2_675_000, 4_370_000, 7_280_000]


def by_height(*heights: int) -> list[Activation]:
    return [Activation(at=height, by_height=True, content=b"") for height in heights]


def of(checksum: int, following: int) -> ForkId:
    return ForkId(hash=checksum.to_bytes(4, "big"), next=following)


# Mainnet's table in EIP-2124.
@pytest.mark.parametrize(
    ("head", "checksum", "following"),
    [
        (0, 0xFC64EC04, 1_150_000),
        (1_149_999, 0xFC64EC04, 1_150_000),
        (1_150_000, 0x97C2C34C, 1_920_000),
        (1_920_000, 0x91D1F948, 2_463_000),
        (2_463_000, 0x7A64DA13, 2_675_000),
        (2_675_000, 0x3EDD5B10, 4_370_000),
        (4_369_999, 0x3EDD5B10, 4_370_000),
        (4_370_000, 0xA00BC324, 7_280_000),
        (7_280_000, 0x668DB0AF, 0),
        (7_987_396, 0x668DB0AF, 0),
    ],
)
def test_identifiers_of_mainnet(head: int, checksum: int, following: int) -> None:
    found = calculate_fork_id(MAINNET, by_height(*BLOCKS), height=head, timestamp=0)
    assert found == of(checksum, following)
    assert ForkId.from_item([found.hash, found.next.to_bytes(8, "big").lstrip(b"\0")]) == found


# Mainnet's validation table in EIP-2124, which stops at Petersburg.
@pytest.mark.parametrize(
    ("head", "remote", "accepted"),
    [
        (7_987_396, of(0x668DB0AF, 0), True),
        (7_987_396, of(0x668DB0AF, 2**64 - 1), True),
        (7_279_999, of(0xA00BC324, 0), True),
        (7_279_999, of(0xA00BC324, 7_280_000), True),
        (7_279_999, of(0xA00BC324, 2**64 - 1), True),
        (7_987_396, of(0xA00BC324, 7_280_000), True),
        (7_987_396, of(0x3EDD5B10, 4_370_000), True),
        (7_279_999, of(0x668DB0AF, 0), True),
        (4_369_999, of(0xA00BC324, 0), True),
        (7_987_396, of(0xA00BC324, 0), False),
        (7_987_396, of(0x5CDDC0E1, 0), False),
        (7_279_999, of(0x5CDDC0E1, 0), False),
        (7_987_396, of(0xAFEC6B27, 0), False),
        (88_888_888, of(0x668DB0AF, 88_888_888), False),
        (7_279_999, of(0xA00BC324, 7_279_999), False),
    ],
)
def test_who_may_connect(head: int, remote: ForkId, accepted: bool) -> None:
    def judge() -> None:
        validate_fork_id(remote, MAINNET, by_height(*BLOCKS), height=head, timestamp=0)

    if accepted:
        judge()
    else:
        with pytest.raises(InvalidInput, match="fork id"):
            judge()


def test_times_follow_heights_and_content_matters() -> None:
    def at(content: bytes) -> list[Activation]:
        return [*by_height(50), Activation(at=2_000_000_000, by_height=False, content=content)]

    before = {"height": 60, "timestamp": 1_999_999_999}
    after = {"height": 60, "timestamp": 2_000_000_000}
    assert calculate_fork_id(MAINNET, at(b"x"), **before) == calculate_fork_id(MAINNET, at(b"y"), **before)
    assert calculate_fork_id(MAINNET, at(b"x"), **after) != calculate_fork_id(MAINNET, at(b"y"), **after)
    remote = calculate_fork_id(MAINNET, at(b"y"), **after)
    with pytest.raises(InvalidInput, match="rules that this node does not know"):
        validate_fork_id(remote, MAINNET, at(b"x"), **after)
    announced = ForkId(hash=calculate_fork_id(MAINNET, by_height(50), **after).hash, next=2_000_000_000)
    with pytest.raises(InvalidInput, match="upgrade"):
        validate_fork_id(announced, MAINNET, by_height(50), **after)
    validate_fork_id(announced, MAINNET, by_height(50), **before)


def test_the_entry_in_force_is_the_last_one_whose_time_has_come() -> None:
    table = [Fork(time=0), Fork(time=100, gas_target=30_000_000), Fork(time=200, gas_target=90_000_000)]
    assert [fork_at(table, time).gas_target for time in (0, 99, 100, 199, 200, 10**10)] == [
        60_000_000, 60_000_000, 30_000_000, 30_000_000, 90_000_000, 90_000_000,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], "at least one entry"),
        ([Fork(time=5)], r"forks\[0\]\.time: .* expected 0, found 5"),
        ([Fork(time=0), Fork(time=0)], r"forks\[1\]\.time: expected more than 0"),
        (
            [Fork(time=0, execution="amsterdam")],
            r"forks\[0\]\.execution: expected one of osaka, found 'amsterdam'",
        ),
        ([Fork(time=0, consensus_version=2)], r"consensusVersion"),
        ([Fork(time=0, gas_target=1)], r"gasTarget: expected 5000"),
        ([Fork(time=0, timeouts=Timeouts(propose_timeout_ms=1))], r"proposeTimeoutMs: expected 50"),
        ([Fork(time=0, timeouts=Timeouts(round_timeout_max_ms=1))], r"roundTimeoutMaxMs: expected 4000"),
    ],
)
def test_impossible_tables_are_refused(table: list[Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        validate_forks(table)
