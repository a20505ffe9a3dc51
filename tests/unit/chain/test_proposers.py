"""Who proposes, and what a dead validator costs."""

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.chain.certificate import Certificate
from metanode.chain.proposers import find_skipped, proposer_order, rotation_after, scheduled_proposer
from metanode.chain.quorum import QuorumRule
from metanode.chain.timing import calculate_due, calculate_timestamp
from metanode.chain.validators import Validator, ValidatorSet
from metanode.primitives.types import ZERO_ADDRESS, Address, Round

A, B, C, D, E = (Address(bytes([n]) * 20) for n in range(1, 6))
FOUR = ValidatorSet.of_addresses([A, B, C, D])


@pytest.mark.parametrize(
    ("desc", "last", "rotation"),
    [
        ("genesis", ZERO_ADDRESS, (A, B, C, D)),
        ("the next one", A, (B, C, D, A)),
        ("wraps around", D, (A, B, C, D)),
        ("one who has left", Address(bytes([2, 255]) * 10), (C, D, A, B)),
        ("one who was last and has left", E, (A, B, C, D)),
    ],
)
def test_rotations(desc: str, last: Address, rotation: tuple[Address, ...]) -> None:
    assert rotation_after(FOUR, last) == rotation, desc


@pytest.mark.parametrize(
    ("desc", "active", "last", "order"),
    [
        ("everyone awake", (99, 99, 99, 99), A, (B, C, D, A)),
        ("2N heights of silence are allowed", (99, 92, 99, 99), A, (B, C, D, A)),
        ("one more is not", (99, 91, 99, 99), A, (C, D, A, B)),
        ("two silent ones keep their order", (99, 1, 2, 99), A, (D, A, B, C)),
        ("all silent is like all awake", (1, 1, 1, 1), B, (C, D, A, B)),
    ],
)
def test_orders_at_height_100(
    desc: str, active: tuple[int, ...], last: Address, order: tuple[Address, ...]
) -> None:
    found = proposer_order(
        validators=FOUR,
        last_active=dict(zip(FOUR.addresses, active, strict=True)),
        last_proposer=last,
        height=100,
        epoch_start=0,
        rule=QuorumRule.AUTHORITY,
    )
    assert found == order, desc


@given(
    st.integers(1, 12),
    st.lists(st.integers(0, 40), min_size=12, max_size=12),
    st.integers(0, 12),
    st.sampled_from(QuorumRule),
)
def test_n_consecutive_rounds_visit_everybody(
    count: int, active: list[int], last: int, rule: QuorumRule
) -> None:
    validators = ValidatorSet.of(
        Validator(address=Address(bytes([n + 1]) * 20), power=n % 5 + 1) for n in range(count)
    )
    order = proposer_order(
        validators=validators,
        last_active=dict(zip(validators.addresses, active, strict=False)),
        last_proposer=Address(bytes([last]) * 20),
        height=40,
        epoch_start=30,
        rule=rule,
    )
    assert sorted(order) == list(validators.addresses)


def play(chain: Any, dead: set[Address], heights: int, *, droppers: set[Address] | None = None) -> list[int]:
    """Let a network decide; a dead proposer costs its propose timeout of 1 s. Returns the timestamps.

    `droppers` leave the seals of the first honest validator out of the certificates that they include.
    """
    alive = [address for address in chain.validators if address not in dead]
    victim = next(address for address in alive if address not in (droppers or ()))
    period, genesis = chain.rules.parameters.period_s, chain.rules.parameters.genesis_time
    timeouts = chain.rules.parameters.forks[0].timeouts
    times = [chain.parent.timestamp]
    for _ in range(heights):
        parent = chain.parent.timestamp
        now_ms = calculate_due(parent_timestamp=parent, genesis_time=genesis, period_s=period) * 1000
        round_ = 0
        while chain.proposer(round_) in dead:
            now_ms += timeouts.propose_ms(Round(round_))
            round_ += 1
        stamp = calculate_timestamp(
            parent_timestamp=parent, genesis_time=genesis, period_s=period, round=round_, now_ms=now_ms
        )
        if chain.proposer(round_) in (droppers or ()) and chain.certificate is not None:
            chain.certificate = without(chain.certificate, victim, chain.state.last_validators)
        chain.decide(chain.propose(round=round_, timestamp=stamp), signers=alive)
        times.append(stamp)
    return times


def without(certificate: Certificate, victim: Address, validators: ValidatorSet) -> Certificate:
    seals = dict(zip(certificate.addresses(validators), certificate.seals, strict=True))
    seals.pop(victim, None)
    at = {"height": certificate.height, "round": certificate.round, "block_hash": certificate.block_hash}
    return Certificate.of(**at, seals=seals, validators=validators)


def test_no_faults_make_a_block_every_period(new_chain: Callable[..., Any]) -> None:
    times = play(new_chain(), set(), 30)
    assert {b - a for a, b in itertools.pairwise(times)} == {2}


def test_one_dead_of_four_and_the_mean_stays_2_seconds(new_chain: Callable[..., Any]) -> None:
    chain = new_chain()
    dead = chain.validators[1]
    times = play(chain, {dead}, 60)
    assert (times[-1] - times[0]) / 60 == 2.000
    # Its turns cost a second each until it has been silent for 2N heights, then nothing at all.
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert 3 in gaps[:12]
    assert set(gaps[12:]) == {2}
    assert find_skipped(
        chain.state.validators, {a: chain.state.standing(a).last_active for a in chain.validators}, 61
    ) == {dead}


def test_a_validator_that_seals_again_is_back_two_heights_later(new_chain: Callable[..., Any]) -> None:
    chain = new_chain()
    dead = chain.validators[2]
    play(chain, {dead}, 20)
    assert chain.state.proposer_order(QuorumRule.AUTHORITY)[-1] == dead
    # It seals height 21; the certificate of 21 is in the body of 22; at 23 it has its place again.
    chain.decide(chain.propose())
    assert chain.state.proposer_order(QuorumRule.AUTHORITY)[-1] == dead
    chain.decide(chain.propose())
    assert dead in chain.state.proposer_order(QuorumRule.AUTHORITY)[:3] or chain.state.last_proposer == dead
    assert chain.state.standing(dead).last_active == 22


@pytest.mark.parametrize("size", [4, 7, 10])
def test_f_proposers_who_drop_a_victims_seals_never_get_it_skipped(
    new_chain: Callable[..., Any], size: int
) -> None:
    chain = new_chain((1,) * size)
    droppers = set(chain.validators[-QuorumRule.AUTHORITY.faulty_max(size) :])
    victim = chain.validators[0]
    for _ in range(5 * size):
        play(chain, set(), 1, droppers=droppers)
        active = {address: chain.state.standing(address).last_active for address in chain.validators}
        assert victim not in find_skipped(chain.state.validators, active, chain.state.height + 1)


@pytest.mark.parametrize(("size", "dead"), [(4, 1), (7, 1), (7, 2), (10, 3)])
def test_f_dead_and_the_mean_stays_2_seconds(new_chain: Callable[..., Any], size: int, dead: int) -> None:
    chain = new_chain((1,) * size)
    times = play(chain, set(chain.validators[1 : 1 + dead]), 12 * size)
    settled = times[4 * size :]
    assert {b - a for a, b in itertools.pairwise(settled)} == {2}


# Vectors of the schedule, for other implementations: (powers in address order, first steps).
@pytest.mark.parametrize(
    ("powers", "steps"),
    [
        ([1], [0, 0, 0]),
        ([1, 1, 1], [0, 1, 2, 0, 1, 2]),
        ([3, 2, 1], [0, 1, 0, 2, 1, 0, 0, 1, 0, 2, 1, 0]),
        ([1, 1, 1, 97], [3] * 24 + [0] + [3] * 24 + [1]),
        ([1, 3], [1, 0, 1, 1, 1, 0, 1, 1]),
    ],
)
def test_schedule_vectors(powers: list[int], steps: list[int]) -> None:
    validators = ValidatorSet.of(
        Validator(address=Address(bytes([n + 1]) * 20), power=p) for n, p in enumerate(powers)
    )
    assert [validators.position(scheduled_proposer(validators, step)) for step in range(len(steps))] == steps


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8))
def test_everyone_proposes_in_proportion_to_power(powers: list[int]) -> None:
    validators = ValidatorSet.of(
        Validator(address=Address(bytes([n + 1]) * 20), power=p) for n, p in enumerate(powers)
    )
    total = sum(powers)
    for start in (0, total):
        found = Counter(scheduled_proposer(validators, start + step) for step in range(total))
        assert [found[validator.address] for validator in validators] == powers


def test_a_steps_answer_does_not_depend_on_what_was_asked_before() -> None:
    validators = ValidatorSet.of(
        Validator(address=Address(bytes([n + 1]) * 20), power=7 * n + 1) for n in range(5)
    )
    forwards = [scheduled_proposer(validators, step) for step in range(50)]
    again = ValidatorSet.of(
        Validator(address=Address(bytes([n + 1]) * 20), power=7 * n + 1) for n in range(5)
    )
    assert [scheduled_proposer(again, step) for step in reversed(range(50))] == forwards[::-1]


def test_stakes_rotate_by_first_appearance_in_the_schedule(new_chain: Callable[..., Any]) -> None:
    chain = new_chain((3, 2, 1), quorum_rule=QuorumRule.STAKE, epoch_length=100)
    proposed = []
    for _ in range(12):
        proposed.append(chain.proposer())
        chain.decide(chain.propose())
    first = [scheduled_proposer(chain.state.validators, step) for step in range(1, 13)]
    assert proposed == first
