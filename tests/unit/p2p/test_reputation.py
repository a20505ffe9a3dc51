import pytest

from metanode.p2p.enode import NodeId
from metanode.p2p.limits import LastTimes, TokenBucket
from metanode.p2p.reputation import PEERS_MAX, PENALTIES, Offence, Reputation

A, B = NodeId(b"\x01" * 64), NodeId(b"\x02" * 64)


@pytest.mark.parametrize(
    ("offence", "times"),
    [(Offence.MALFORMED, 1), (Offence.UNASKED, 4), (Offence.TOO_MANY_REQUESTS, 10), (Offence.NO_ANSWER, 20)],
)
def test_so_many_offences_of_a_kind_ban_a_peer(offence: Offence, times: int) -> None:
    reputation = Reputation()
    assert [reputation.charge(A, offence, 0.0) for _ in range(times)] == [False] * (times - 1) + [True]
    assert reputation.is_banned(A, 0.0)
    assert not reputation.is_banned(B, 0.0)


def test_every_offence_has_a_name_and_a_penalty_of_its_own() -> None:
    assert [offence.name for offence in Offence] == list(Offence.__members__), "an alias would hide in logs"
    assert set(PENALTIES) == set(Offence)
    assert Offence.CLAIM_LOWERED.name == "CLAIM_LOWERED"


def test_points_are_forgiven_with_time() -> None:
    reputation = Reputation()
    for minute in range(100):
        assert not reputation.charge(A, Offence.UNASKED, minute * 60.0)


def test_each_ban_is_twice_as_long_up_to_an_hour() -> None:
    reputation = Reputation()
    now, lengths = 0.0, []
    for _ in range(9):
        assert reputation.charge(A, Offence.MALFORMED, now)
        started = now
        while reputation.is_banned(A, now):
            now += 10.0
        lengths.append(now - started)
    assert lengths == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_a_peer_that_is_needed_may_return_soon() -> None:
    reputation = Reputation()
    for now in (0.0, 100.0, 200.0):
        assert reputation.charge(A, Offence.MALFORMED, now, is_needed=True)
        assert reputation.is_banned(A, now + 4.9)
        assert not reputation.is_banned(A, now + 5.0)


def test_the_conduct_of_so_many_peers_is_remembered_and_no_more() -> None:
    reputation = Reputation()
    for number in range(PEERS_MAX + 10):
        reputation.charge(NodeId(number.to_bytes(64, "big")), Offence.UNASKED, 0.0)
    assert len(reputation._conduct) == PEERS_MAX


def test_a_bucket_lets_the_burst_and_then_the_rate_through() -> None:
    bucket = TokenBucket(per_s=10, burst=20, now=0.0)
    assert sum(bucket.take(1, 0.0) for _ in range(100)) == 20
    assert sum(bucket.take(1, 0.5) for _ in range(100)) == 5
    assert sum(bucket.take(1, 100.0) for _ in range(100)) == 20
    assert not bucket.take(1, 50.0), "a clock that goes back gives nothing"


def test_a_debt_says_how_long_to_wait() -> None:
    bucket = TokenBucket(per_s=10, burst=20, now=0.0)
    assert bucket.owe(20, 0.0) == 0
    assert bucket.owe(5, 0.0) == pytest.approx(0.5)
    assert bucket.owe(0, 0.5) == pytest.approx(0.0)


def test_a_name_is_let_through_once_in_an_interval_and_each_try_counts() -> None:
    times = LastTimes(30.0, 100)
    assert [times.take("a", at) for at in (0.0, 29.9, 30.0, 60.0, 89.0)] == [True, False, False, True, False]
    assert times.take("b", 89.0)


def test_only_so_many_names_are_remembered() -> None:
    times = LastTimes(30.0, 3)
    for name in "abcd":
        assert times.take(name, 0.0)
    assert [times.take(name, 1.0) for name in "bcd"] == [False] * 3
    assert len(times._at) == 3
