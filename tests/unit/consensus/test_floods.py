"""Floods by one validator: 10^5 messages leave as many objects in memory as 10^3, and the last cost as much work as the first.

Signatures are not looked at here: `wire.decode` has done so, at a constant cost, before the core sees a message. That the chain loses under a
tenth of its throughput is a scenario of the simulator ("far-votes").
"""

import gc
import itertools
import sys
import types
from collections.abc import Callable, Iterator

import pytest

from metanode.chain.certificate import Certificate
from metanode.consensus.inputs import BlockTimeout
from metanode.consensus.messages import Commit, Decision, Message, Prepare, Proposal, RoundChange
from metanode.primitives.types import Hash32, Height, Round

MESSAGES = 10_000
MESSAGES_MANY = 100_000
WARM = 1_000
"""Enough to fill every buffer."""
OBJECTS_MORE_MAX = 200
"""Numbers and hashes of other sizes than before, not messages: those would be tens of thousands."""
CALLS_A_MESSAGE_MAX = 600
SEAL = b"\x01" * 65


def hash_of(number: int) -> Hash32:
    return Hash32(number.to_bytes(32, "big"))


class Flood:
    """What one validator, number 1 of the bench, sends."""

    def __init__(self, bench) -> None:
        self.bench = bench
        self.author = bench.keys[1].address
        self.block = bench.block()

    def vote(self, kind: type, number: int, *, height: int = 1, round_: int = 0) -> Message:
        return kind(
            height=Height(height),
            round=Round(round_),
            block_hash=hash_of(number),
            author=self.author,
            signature=SEAL,
        )

    def change(self, round_: int, *, height: int = 1) -> Message:
        return RoundChange(
            height=Height(height), round=Round(round_), prepared=None, author=self.author, signature=SEAL
        )

    def proposal(self, number: int) -> Message:
        """A body for each of the next ten heights, another one each time."""
        signature = number.to_bytes(65, "big")
        return Proposal(
            height=Height(2 + number % 10),
            round=Round(number % 3),
            header=self.block.header,
            block=self.block,
            justification=None,
            author=self.author,
            signature=signature,
        )

    def decision(self, number: int) -> Message:
        seals = {key.address: SEAL for key in self.bench.keys}
        return Decision(
            certificate=Certificate.of(
                height=Height(1 + number % 1_000),
                round=Round(number),
                block_hash=hash_of(number),
                seals=seals,
                validators=self.bench.state.validators,
            )
        )


FLOODS: dict[str, Callable[[Flood, int], Message]] = {
    "round changes to higher and higher rounds": lambda flood, i: flood.change(1 + i),
    "round changes to lower and lower rounds": lambda flood, i: flood.change(10**7 - i),
    "round changes of heights to come": lambda flood, i: flood.change(1, height=2 + i),
    "prepares of rounds to come": lambda flood, i: flood.vote(Prepare, i, round_=1 + i),
    "commits of rounds to come": lambda flood, i: flood.vote(Commit, i, round_=1 + i),
    "commits of lower and lower rounds": lambda flood, i: flood.vote(Commit, i, round_=10**7 - i),
    "votes of heights to come": lambda flood, i: flood.vote(Commit, i, height=2 + i),
    "votes of the next ten heights": lambda flood, i: flood.vote(Prepare, i, height=2 + i % 10, round_=i),
    "prepares for other and other blocks": lambda flood, i: flood.vote(Prepare, i),
    "commits for other and other blocks": lambda flood, i: flood.vote(Commit, i),
    "one message again and again": lambda flood, _: flood.vote(Commit, 1),
    "proposals of the next ten heights": lambda flood, i: flood.proposal(i),
    "certificates that prove nothing": lambda flood, i: flood.decision(i),
}
MANY = {
    "round changes to higher and higher rounds",
    "votes of heights to come",
    "one message again and again",
}
"""Rounds, heights, duplicates: the whole number. The others tell the same with fewer."""


def reachable(root: object) -> int:
    """Return how many objects hang on one, without classes, functions and modules."""
    shared = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)
    seen: dict[int, object] = {id(root): root}
    waiting = [root]
    while waiting:
        for child in gc.get_referents(waiting.pop()):
            if id(child) not in seen and not isinstance(child, shared):
                seen[id(child)] = child
                waiting.append(child)
    return len(seen)


def calls_of(work: Callable[[], None]) -> int:
    """Return how many function calls something takes: its work, without a clock."""
    count = 0

    def profile(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_leaves_no_more_behind_and_costs_no_more_than_its_beginning(bench, name):
    flood, make = Flood(bench), FLOODS[name]
    node = bench.core(3)
    node.give(BlockTimeout(height=Height(1)))
    node.hear(bench.proposal(flood.block))
    numbers: Iterator[int] = itertools.count()
    total = MESSAGES_MANY if name in MANY else MESSAGES

    def hear(count: int) -> None:
        for number in itertools.islice(numbers, count):
            node.hear(make(flood, number))

    hear(WARM)
    objects, calls = reachable(node.core), calls_of(lambda: hear(100))
    hear(total - WARM - 200)
    calls_after = calls_of(lambda: hear(100))
    assert reachable(node.core) <= objects + OBJECTS_MORE_MAX
    assert calls_after <= 1.2 * calls + 200, (calls, calls_after)
    assert calls_after <= 100 * CALLS_A_MESSAGE_MAX
    assert node.core.round == 0, "one liar moves nobody"
    assert node.core.height == 1
    assert node.core.kept <= 100
