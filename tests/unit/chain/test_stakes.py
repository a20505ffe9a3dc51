"""The staking contract's list becomes a set, or nothing changes."""

import pytest

from metanode.chain.stakes import ANSWER_BYTES_MAX, set_of_answer, snapshot_height
from metanode.chain.validators import Validator, ValidatorSet
from metanode.primitives import rlp
from metanode.primitives.types import Address


def address(number: int) -> Address:
    return Address(bytes([number]) * 20)


KEPT = ValidatorSet.of([Validator(address=address(9), power=5)])


def answer(*entries: tuple[int, int]) -> bytes:
    return rlp.encode([[address(number), rlp.integer(power)] for number, power in entries])


def test_a_list_in_any_order_is_the_same_set() -> None:
    wanted = ValidatorSet.of([Validator(address=address(n), power=n) for n in (1, 2, 3)])
    assert set_of_answer(answer((3, 3), (1, 1), (2, 2)), KEPT) == wanted
    assert set_of_answer(answer((1, 1), (2, 2), (3, 3)), KEPT) == wanted


def test_who_has_no_power_is_left_out() -> None:
    assert set_of_answer(answer((1, 7), (2, 0)), KEPT).addresses == (address(1),)


def test_of_more_than_the_largest_set_the_largest_stakes_count() -> None:
    found = answer((1, 5), (2, 9), (3, 5), (4, 7), (5, 0))
    assert set_of_answer(found, KEPT, 2).addresses == (address(2), address(4))
    assert set_of_answer(found, KEPT, 3).addresses == (address(1), address(2), address(4))
    assert set_of_answer(found, KEPT, 4) == set_of_answer(found, KEPT)
    assert set_of_answer(answer((1, 9), (2, 1), (2, 1)), KEPT, 1) == KEPT


@pytest.mark.parametrize(
    "found",
    [
        None,
        b"",
        b"\xc0",
        b"\x80",
        answer((1, 0), (2, 0)),
        answer((1, 1), (1, 2)),
        answer((0, 1)),
        answer((1, 2**60)),
        answer((1, 1)) + b"\x00",
        rlp.encode([[address(1)]]),
        rlp.encode([[b"\x01" * 19, b"\x01"]]),
        answer(*((n % 250 + 1, 1) for n in range(4000))),
        b"\xff" * (ANSWER_BYTES_MAX + 1),
    ],
    ids=[
        "the call fails", "nothing", "an empty list", "a string", "no power at all", "an address twice", "the zero address",
        "too much power", "trailing bytes", "no power given", "a short address", "too long a list", "too many bytes",
    ],
)  # fmt: skip
def test_an_answer_that_is_no_set_keeps_the_one_there_is(found: bytes | None) -> None:
    assert set_of_answer(found, KEPT) == KEPT


@pytest.mark.parametrize(("start", "length", "height"), [(8, 8, 3), (1800, 1800, 1735), (2, 2, 0)])
def test_the_contract_is_read_some_heights_before_the_epoch(start: int, length: int, height: int) -> None:
    assert snapshot_height(start, length) == height
