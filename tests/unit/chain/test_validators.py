"""A set is ordered, distinct and bounded, or it is not a set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.chain.quorum import QuorumRule
from metanode.chain.validators import TOTAL_POWER_BOUND, VALIDATORS_MAX, Validator, ValidatorSet
from metanode.errors import InvalidInput
from metanode.primitives import rlp
from metanode.primitives.types import ZERO_ADDRESS, Address


def of(number: int) -> Address:
    return Address(number.to_bytes(20, "big"))


sets = st.dictionaries(st.integers(1, 2**160 - 1), st.integers(1, 1000), min_size=1, max_size=20).map(
    lambda powers: ValidatorSet.of(Validator(address=of(n), power=p) for n, p in powers.items())
)


@given(sets)
def test_a_set_decodes_to_itself(validators: ValidatorSet) -> None:
    assert ValidatorSet.from_item(rlp.decode(rlp.encode(validators.to_item()))) == validators


@given(sets)
def test_order_of_entry_does_not_matter(validators: ValidatorSet) -> None:
    again = ValidatorSet.of(reversed(validators.validators))
    assert (again, again.hash, hash(again)) == (validators, validators.hash, hash(validators))
    assert list(again.addresses) == sorted(again.addresses)


def test_the_hash_covers_addresses_and_powers() -> None:
    one = ValidatorSet.of([Validator(address=of(1)), Validator(address=of(2))])
    assert one.hash != ValidatorSet.of([Validator(address=of(1)), Validator(address=of(3))]).hash
    assert one.hash != ValidatorSet.of([Validator(address=of(1)), Validator(address=of(2), power=2)]).hash


@pytest.mark.parametrize(
    ("validators", "message"),
    [
        ([], "expected 1 to 1000, found 0"),
        ([Validator(address=of(n)) for n in range(1, VALIDATORS_MAX + 2)], "found 1001"),
        ([Validator(address=of(1)), Validator(address=of(1))], "twice"),
        ([Validator(address=of(1), power=0)], "power: expected at least 1"),
        ([Validator(address=of(1), power=-5)], "power: expected at least 1"),
        ([Validator(address=ZERO_ADDRESS)], "other than zero"),
        ([Validator(address=Address(b"short"))], "expected 20 bytes"),
        ([Validator(address=of(1), power=TOTAL_POWER_BOUND - 1), Validator(address=of(2))], "below 2\\^60"),
    ],
)
def test_impossible_sets_are_refused(validators: list[Validator], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        ValidatorSet.of(validators)


def test_the_greatest_total_power_is_allowed() -> None:
    assert ValidatorSet.of([Validator(address=of(1), power=TOTAL_POWER_BOUND - 1)]).total_power == 2**60 - 1


def test_an_unordered_encoding_is_refused() -> None:
    with pytest.raises(InvalidInput, match="ascending"):
        ValidatorSet.from_item([[of(2), b"\1"], [of(1), b"\1"]])


def test_weight_counts_distinct_members_only() -> None:
    validators = ValidatorSet.of([Validator(address=of(1), power=3), Validator(address=of(2), power=4)])
    assert validators.weight([of(1), of(1), of(9)]) == 3
    assert validators.power(of(9)) == 0
    assert not validators.is_quorum([of(2)] * 5, QuorumRule.STAKE)
    assert validators.is_quorum([of(1), of(2)], QuorumRule.STAKE)
    assert validators.has_honest([of(1)], QuorumRule.STAKE)


def test_adding_and_dropping_keep_the_order() -> None:
    validators = ValidatorSet.of_addresses([of(1), of(5)])
    assert validators.adding(of(3)).addresses == (of(1), of(3), of(5))
    assert validators.adding(of(3)).dropping(of(1)).addresses == (of(3), of(5))
    with pytest.raises(InvalidInput, match="found 0"):
        validators.dropping(of(1)).dropping(of(5))
