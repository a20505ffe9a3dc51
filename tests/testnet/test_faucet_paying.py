"""Exactly one payout for each promise: the process dies at any step, nodes forget, refuse and disappear, and the key is used elsewhere."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.testnet.faucet_chain import CHAIN_ID, PAYER, FakeChain

from metanode.errors import Unavailable
from metanode.primitives.types import Address
from sdk.testnet.faucet import FaucetConfig
from sdk.testnet.faucet.client_address import origin_of
from sdk.testnet.faucet.clock import FaucetClock
from sdk.testnet.faucet.counts import Incident
from sdk.testnet.faucet.database import Database
from sdk.testnet.faucet.ledger import Ledger
from sdk.testnet.faucet.paying import BATCH_MIN, FEE_WEI_MAX, LOST_MAX, Payer, Payouts
from sdk.testnet.faucet.payout import Payout, PayoutState
from sdk.testnet.faucet.policy import DAY_MS, limits_of
from sdk.testnet.faucet.quotas import Asker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW_MS = 20_000 * DAY_MS
LIMITS = limits_of(
    FaucetConfig(max_requests_per_address=100, max_requests_per_ip=1000, max_requests_per_network=1000)
)


def address_of(number: int) -> Address:
    return Address(number.to_bytes(20, "big"))


class Death(BaseException):
    """The process ends here."""


class Mortal:
    """Stands before an object, and dies at a chosen call, before it or after it."""

    def __init__(self, target: Any, life: Life) -> None:
        self._target = target
        self._life = life

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if asyncio.iscoroutinefunction(found):

            async def call_async(*args: Any, **kwargs: Any) -> Any:
                self._life.step()
                answer = await found(*args, **kwargs)
                self._life.step()
                return answer

            return call_async

        def call(*args: Any, **kwargs: Any) -> Any:
            self._life.step()
            answer = found(*args, **kwargs)
            self._life.step()
            return answer

        return call


class Life:
    """How many steps are left."""

    def __init__(self, steps: int | None) -> None:
        self._steps = steps

    def step(self) -> None:
        if self._steps is not None:
            self._steps -= 1
            if self._steps < 0:
                raise Death


class World:
    """One ledger, one chain, and process after process that works on them."""

    def __init__(self, *, in_flight_max: int = 16, batching: bool = True) -> None:
        self._batching = batching
        self.chain = FakeChain()
        self.ledger = Ledger(Database("sqlite://"))
        self.promised: list[int] = []
        self._in_flight_max = in_flight_max

    def payouts(self, life: Life | None = None) -> Payouts:
        ledger: Any = Mortal(self.ledger, life) if life else self.ledger
        clock = FaucetClock(0, wall_ms=lambda: NOW_MS, monotonic_ms=lambda: 0)
        payer = Payer(key=PAYER, chain_id=CHAIN_ID)
        return Payouts(
            ledger,
            payer,
            clock,
            in_flight_max=self._in_flight_max,
            batching=self._batching,
            counts=self.ledger.counts,
        )

    def promise(self, number: int = 1, amount_gwei: int = 100) -> int:
        asker = Asker(address=address_of(number), origin=origin_of(ipaddress.IPv4Address(number)))
        payout = self.ledger.promise(LIMITS, asker, amount_gwei, NOW_MS)
        assert isinstance(payout, Payout)
        self.promised.append(number)
        return payout.id

    def live(self, work: Callable[[Payouts, Any], Any], *, steps: int | None = None) -> bool:
        """One process: work until done or dead; False when it died."""
        life = Life(steps)
        try:
            asyncio.run(work(self.payouts(life), Mortal(self.chain, life)))
        except Death:
            return False
        except Unavailable:
            pass
        return True

    def advance(self, *, steps: int | None = None) -> bool:
        return self.live(lambda payouts, node: payouts.advance(node), steps=steps)

    def finish(self) -> None:
        """A process that lives, and a node that answers."""
        self.chain.down = False
        for _ in range(80):
            if not self.ledger.in_flight() and not self.ledger.queued(1):
                return
            self.advance()
            self.chain.mine()
        raise AssertionError(self.ledger.history(None, 100))

    def incidents(self) -> dict[str, int]:
        """What was counted on the way, without what never happened."""
        return {kind: number for kind, number in self.ledger.counts.read()[2].items() if number}

    def states(self) -> list[PayoutState]:
        return [payout.state for payout in reversed(self.ledger.history(None, 1000))]


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.ledger.close()


@pytest.mark.parametrize("steps", range(40))
def test_a_process_that_dies_at_any_step_pays_once(world: World, steps: int) -> None:
    payout_id = world.promise()

    world.live(lambda payouts, node: payouts.pay(node, payout_id), steps=steps)
    world.finish()

    assert world.chain.paid == {(1).to_bytes(20, "big"): 1}
    assert world.states() == [PayoutState.SETTLED]


def test_forty_steps_are_more_than_a_payout_takes(world: World) -> None:
    payout_id = world.promise()

    assert world.live(lambda payouts, node: payouts.pay(node, payout_id), steps=39)


STEPS = st.one_of(
    st.tuples(st.just("promise"), st.integers(1, 5)),
    st.tuples(st.just("promise many"), st.integers(BATCH_MIN, 12)),
    st.tuples(st.just("advance"), st.one_of(st.none(), st.integers(0, 60))),
    st.tuples(
        st.sampled_from(["mine", "empty block", "forget", "down", "up", "many empty blocks"]), st.none()
    ),
)


@settings(max_examples=60, deadline=None)
@given(script=st.lists(STEPS, max_size=25), in_flight_max=st.integers(1, 4), is_deployed=st.booleans())
def test_whatever_happens_every_promise_is_paid_exactly_once(
    script: list[tuple[str, int | None]], in_flight_max: int, is_deployed: bool
) -> None:
    world = World(in_flight_max=in_flight_max)
    world.chain.is_deployed = is_deployed
    for what, number in script:
        match what:
            case "promise":
                assert number is not None
                world.promise(number)
            case "promise many":
                assert number is not None
                for one in range(number):
                    world.promise(100 + one)
            case "advance":
                world.advance(steps=number)
            case "mine":
                world.chain.mine()
            case "empty block":
                world.chain.mine(take=False)
            case "many empty blocks":
                world.chain.mine(blocks=11, take=False)
            case "forget":
                world.chain.forget_pool()
            case "down":
                world.chain.down = True
            case _:
                world.chain.down = False
        assert len(world.ledger.in_flight()) <= in_flight_max
    world.finish()

    assert world.chain.paid == Counter(address_of(number) for number in world.promised)
    assert set(world.states()) <= {PayoutState.SETTLED}
    world.ledger.close()


def test_a_transaction_that_a_node_forgot_is_sent_again_after_three_blocks(world: World) -> None:
    payout_id = world.promise()
    world.live(lambda payouts, node: payouts.pay(node, payout_id))
    first = dict(world.chain.pool)
    world.chain.forget_pool()

    world.chain.mine(blocks=2)
    world.advance()
    assert world.chain.pool == {}
    assert world.incidents() == {}
    world.chain.mine()
    world.advance()

    assert world.chain.pool == first
    assert world.incidents() == {Incident.SENT_AGAIN: 1}


def test_a_transaction_that_no_block_takes_gets_a_higher_fee_with_the_same_nonce(world: World) -> None:
    payout_id = world.promise()
    world.live(lambda payouts, node: payouts.pay(node, payout_id))
    before = world.chain.pool[0]

    for _ in range(10):
        world.chain.mine(take=False)
        world.advance()

    after = world.chain.pool[0]
    assert after.tip_wei * 10 >= before.tip_wei * 11
    assert after.max_fee_wei * 10 >= before.max_fee_wei * 11
    assert after.hash != before.hash
    assert len(world.ledger.signatures(payout_id)) == 2
    assert world.incidents()[Incident.FEE_RAISED] == 1
    world.finish()
    assert world.chain.paid.total() == 1


def test_a_nonce_that_somebody_else_used_is_replaced_once_and_then_it_is_an_operators(world: World) -> None:
    payout_id = world.promise()
    world.live(lambda payouts, node: payouts.pay(node, payout_id))

    world.chain.use_nonce_elsewhere()
    world.advance()
    assert world.ledger.payout(payout_id).nonce == 1
    for _ in range(LOST_MAX):
        world.chain.use_nonce_elsewhere()
        world.advance()

    payout = world.ledger.payout(payout_id)
    assert payout.state is PayoutState.FAILED
    assert payout.error is not None
    assert "something else has its key" in payout.error
    assert world.chain.paid.total() == 0
    assert world.incidents() == {Incident.NONCE_CONFLICT: 1 + LOST_MAX}


def test_what_an_empty_faucet_has_promised_waits_and_is_paid_when_it_is_filled(world: World) -> None:
    world.chain.set_balance(100 * 10**9)
    first, second = world.promise(1), world.promise(2)
    for _ in range(3):
        world.advance()
    waiting = world.ledger.payout(first)
    assert waiting.state is PayoutState.QUEUED
    assert waiting.error == "the faucet is empty: it waits for its operator to fill it"

    world.chain.set_balance(10**18)
    world.advance()
    assert [world.ledger.payout(one).nonce for one in (first, second)] == [0, 1]


def test_what_is_signed_is_counted_before_more_is_signed(world: World) -> None:
    world.chain.set_balance(25 * 10**17)

    for number in (1, 2, 3):
        payout_id = world.promise(number, amount_gwei=10**9)
        world.live(lambda payouts, node, one=payout_id: payouts.pay(node, one))

    assert world.states() == [PayoutState.BROADCAST, PayoutState.BROADCAST, PayoutState.QUEUED]


def test_a_fee_is_raised_to_a_bound_and_no_further(world: World) -> None:
    payout_id = world.promise()
    world.live(lambda payouts, node: payouts.pay(node, payout_id))
    for _ in range(300):
        world.chain.mine(blocks=10 * len(world.ledger.signatures(payout_id)), take=False)
        before = len(world.ledger.signatures(payout_id))
        world.advance()
        if len(world.ledger.signatures(payout_id)) == before:
            break

    last = world.ledger.signatures(payout_id)[-1]
    assert last.gas * last.max_fee_wei <= FEE_WEI_MAX < last.gas * last.max_fee_wei * 9 // 8 + 10**6
    world.finish()
    assert world.chain.paid.total() == 1


def test_of_two_that_raise_the_same_fee_one_is_taken(world: World) -> None:
    payout_id = world.promise()
    world.live(lambda payouts, node: payouts.pay(node, payout_id))
    (first,) = world.ledger.signatures(payout_id)
    higher = [
        replace(first, hash=bytes([number]) * 32, max_fee_wei=first.max_fee_wei * 2) for number in (1, 2)
    ]

    assert [world.ledger.replace(payout_id, one, instead_of=first.hash) for one in higher] == [True, False]
    assert len(world.ledger.signatures(payout_id)) == 2


def test_a_recipient_that_takes_no_coins_is_told_so(world: World) -> None:
    world.chain.refusing.add((1).to_bytes(20, "big"))
    payout_id = world.promise()
    world.live(lambda payouts, node: payouts.pay(node, payout_id))

    assert world.ledger.payout(payout_id).error == "the recipient does not take coins: execution reverted"


@pytest.mark.parametrize("jump_ms", [3_600_000, -3_600_000, 10**12, -(10**12)])
def test_nobody_opens_a_window_by_turning_the_machines_clock(jump_ms: int) -> None:
    wall, monotonic = [NOW_MS], [5]
    clock = FaucetClock(0, wall_ms=lambda: wall[0], monotonic_ms=lambda: monotonic[0])

    wall[0] += jump_ms
    monotonic[0] += 1_000

    assert clock.now_ms() == NOW_MS + 1_000


def test_a_clock_set_back_before_a_start_begins_where_the_ledger_ends() -> None:
    assert FaucetClock(NOW_MS, wall_ms=lambda: NOW_MS - DAY_MS, monotonic_ms=lambda: 5).now_ms() == NOW_MS


def test_five_that_wait_share_a_transaction_once_the_contract_is_there(world: World) -> None:
    for number in range(1, 31):
        world.promise(number)

    world.advance()
    # The contract first, and then each alone, for it is not there yet.
    assert [len(world.ledger.unit(one.id)) for one in world.ledger.in_flight()] == [1] * 16
    world.chain.mine()
    assert world.chain.is_deployed
    world.advance()
    assert [len(world.ledger.unit(one.id)) for one in world.ledger.in_flight()] == [15]
    world.finish()

    assert world.chain.paid == Counter(address_of(number) for number in range(1, 31))
    assert set(world.states()) == {PayoutState.SETTLED}


def deployed(in_flight_max: int = 16) -> World:
    world = World(in_flight_max=in_flight_max)
    world.chain.is_deployed = True
    return world


def test_two_hundred_payouts_are_two_transactions() -> None:
    world = deployed()
    for number in range(1, 201):
        world.promise(number)

    world.advance()

    assert [len(world.ledger.unit(one.id)) for one in world.ledger.in_flight()] == [100, 100]
    assert len(world.chain.pool) == 2
    world.chain.mine()
    world.advance()
    assert set(world.states()) == {PayoutState.SETTLED}
    assert world.chain.paid == Counter(address_of(number) for number in range(1, 201))
    world.ledger.close()


@pytest.mark.parametrize("steps", range(50))
def test_a_process_that_dies_in_a_batch_pays_each_once(steps: int) -> None:
    world = deployed()
    for number in range(1, 8):
        world.promise(number)

    world.advance(steps=steps)
    world.finish()

    assert world.chain.paid == Counter(address_of(number) for number in range(1, 8))
    assert set(world.states()) == {PayoutState.SETTLED}
    world.ledger.close()


def test_fifty_steps_are_more_than_a_batch_takes() -> None:
    world = deployed()
    for number in range(1, 8):
        world.promise(number)

    assert world.advance(steps=49)
    world.ledger.close()


@pytest.mark.parametrize("refusing", [{1}, {7}, {1, 2, 3, 4, 5, 6, 7}, {3, 5}])
def test_who_refuses_coins_in_a_batch_is_asked_alone_and_the_others_are_paid(refusing: set[int]) -> None:
    world = deployed()
    ids = [world.promise(number) for number in range(1, 8)]
    world.chain.refusing = {address_of(number) for number in refusing}

    world.advance()
    world.chain.mine()
    world.advance()

    for number, payout_id in enumerate(ids, start=1):
        payout = world.ledger.payout(payout_id)
        if number in refusing:
            # Alone it is asked before it is paid, and says no again: there is no third time.
            assert payout.state is PayoutState.CANCELLED
            assert payout.lost == 1
            assert payout.error == "the recipient does not take coins: execution reverted"
        else:
            assert payout.state is PayoutState.SETTLED
    assert world.chain.paid == Counter(address_of(number) for number in range(1, 8) if number not in refusing)
    assert not world.ledger.in_flight()
    # What was sent and refused has cost the faucet: the limits keep it.
    assert world.ledger.totals(NOW_MS).paid_today == 7
    world.ledger.close()


def test_one_that_refused_in_a_batch_and_takes_coins_alone_is_paid() -> None:
    world = deployed()
    ids = [world.promise(number) for number in range(1, 6)]
    world.chain.refusing = {address_of(1)}
    world.advance()
    world.chain.mine()
    world.chain.refusing = set()
    seen = []
    for _ in range(6):
        world.advance()
        seen.append(world.ledger.payout(ids[0]).state)
        world.chain.mine()

    assert PayoutState.SETTLED in seen
    assert world.chain.paid == Counter(address_of(number) for number in range(1, 6))
    world.ledger.close()


def test_recipients_with_code_are_not_in_a_batch() -> None:
    world = deployed()
    for number in range(1, 8):
        world.promise(number)
    world.chain.contracts = {address_of(3)}

    world.advance()

    assert [len(world.ledger.unit(one.id)) for one in world.ledger.in_flight()] == [6, 1]
    world.finish()
    assert world.chain.paid.total() == 7
    world.ledger.close()


def test_a_batch_that_no_block_takes_gets_a_higher_fee_and_pays_the_same_recipients() -> None:
    world = deployed()
    for number in range(1, 8):
        world.promise(number)
    world.advance()
    before = world.chain.pool[0]

    for _ in range(10):
        world.chain.mine(take=False)
        world.advance()

    after = world.chain.pool[0]
    assert after.data == before.data
    assert after.tip_wei * 10 >= before.tip_wei * 11
    world.finish()
    assert world.chain.paid.total() == 7
    world.ledger.close()


def test_a_batch_whose_nonce_somebody_else_used_is_paid_one_by_one() -> None:
    world = deployed()
    for number in range(1, 8):
        world.promise(number)
    world.advance()

    world.chain.use_nonce_elsewhere()
    world.advance()

    assert all(len(world.ledger.unit(one.id)) == 1 for one in world.ledger.in_flight())
    world.finish()
    assert world.chain.paid == Counter(address_of(number) for number in range(1, 8))
    world.ledger.close()


def test_a_balance_that_is_too_small_for_all_pays_those_that_it_is_enough_for() -> None:
    world = deployed()
    for number in range(1, 8):
        world.promise(number, amount_gwei=10**9)
    world.chain.set_balance(35 * 10**17)

    for _ in range(3):
        world.advance()
        world.chain.mine()

    assert Counter(world.states()) == {PayoutState.SETTLED: 3, PayoutState.QUEUED: 4}
    world.chain.set_balance(10**19)
    world.finish()
    assert Counter(world.states()) == {PayoutState.SETTLED: 7}
    world.ledger.close()


@pytest.mark.parametrize("lacking", ["factory", "luck"])
def test_where_the_contract_cannot_be_each_is_paid_alone(lacking: str) -> None:
    world = World()
    world.chain.has_factory = lacking != "factory"
    world.chain.failing_deployments = lacking == "luck"
    for number in range(1, 40):
        world.promise(number)

    world.finish()

    assert world.chain.paid == Counter(address_of(number) for number in range(1, 40))
    assert not world.chain.is_deployed
    world.ledger.close()
