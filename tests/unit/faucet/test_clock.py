"""The faucet's clock: a machine whose clock is set forward before a start opens no window, and no chain that stands still makes anybody wait for ever."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.testnet.faucet_chain import FakeChain

from sdk.testnet.faucet import Faucet, FaucetConfig, till
from sdk.testnet.faucet.clock import AHEAD_MS, FaucetClock
from sdk.testnet.faucet.configuration import PRIVATE_KEY_VARIABLE
from sdk.testnet.faucet.policy import DAY_MS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from metanode.primitives.types import Address
    from sdk.testnet.faucet.node import Standing

HOUR_MS = 3_600_000
NOW_MS = 20_000 * DAY_MS
ALICE, BOB = "0x" + "ab" * 20, "0x" + "cd" * 20
UNCERTAIN = "older than this machine's time"


class TimedChain(FakeChain):
    """A chain with a clock."""

    def __init__(self) -> None:
        super().__init__()
        self.time_ms = NOW_MS
        self.of_validators = True

    async def standing(self, payer: Address) -> Standing:
        return replace(await super().standing(payer), timestamp_ms=self.time_ms)

    async def validators(self) -> frozenset[bytes]:
        return frozenset({b"\x01" * 20}) if self.of_validators else frozenset()


class Machine:
    """Where faucets run on one ledger, one after the other; its clocks are ours."""

    def __init__(self, directory: Path) -> None:
        self.chain = TimedChain()
        self.wall_ms, self.up_ms = NOW_MS, 5
        self._url = f"sqlite:///{directory / 'faucet.db'}"
        self._faucet: Faucet | None = None

    def start(self) -> Faucet:
        """Begin a process."""
        self.end()
        config = FaucetConfig(rpc_url="http://127.0.0.1:9", database_url=self._url, batching=False,
                              cooldown_period=86_400, max_requests_per_address=1, max_requests_per_ip=100)  # fmt: skip
        self._faucet = Faucet(config)
        return self._faucet

    def end(self) -> None:
        """End it, if one runs."""
        if self._faucet is not None:
            asyncio.run(self._faucet.close())
            self._faucet = None

    def pass_time(self, duration_ms: int, *, blocks: bool = True) -> None:
        """Let everything go on; without blocks the chain stands still."""
        self.wall_ms += duration_ms
        self.up_ms += duration_ms
        if blocks:
            self.chain.time_ms += duration_ms
            self.chain.mine()

    def ask(self, address: str = ALICE) -> tuple[bool, str]:
        """Ask for coins, more than a second after the last look at the chain."""
        assert self._faucet is not None
        if self._faucet._till.chain is not None:
            self._faucet._till.chain.standing = None
        answer = asyncio.run(self._faucet.request_tokens(address, "198.51.100.7"))
        return answer["success"], answer["error"] or ""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    machine = Machine(tmp_path)

    @contextlib.asynccontextmanager
    async def open_node(*_: Any, **__: Any) -> AsyncIterator[TimedChain]:
        machine.chain._check_up()
        yield machine.chain

    clock = functools.partial(
        FaucetClock, wall_ms=lambda: machine.wall_ms, monotonic_ms=lambda: machine.up_ms
    )
    monkeypatch.setattr(till, "FaucetClock", clock)
    monkeypatch.setattr(till, "open_node", open_node)
    monkeypatch.setenv(PRIVATE_KEY_VARIABLE, "21" * 32)
    yield machine
    machine.end()


def test_a_clock_set_forward_before_a_start_opens_no_window(machine: Machine) -> None:
    machine.start()
    assert machine.ask() == (True, "")
    machine.end()
    machine.pass_time(HOUR_MS)
    machine.wall_ms += 30 * DAY_MS

    faucet = machine.start()
    ok, why = machine.ask()
    assert not ok
    assert UNCERTAIN in why
    machine.pass_time(2_000)
    ok, why = machine.ask()
    assert not ok
    assert UNCERTAIN not in why
    assert machine.ask(BOB) == (True, ""), "whose windows are open is paid"
    assert faucet.cleanup() == 0, "what counts is not forgotten"

    machine.pass_time(23 * HOUR_MS)
    assert machine.ask() == (True, "")


def test_nothing_is_forgotten_by_a_clock_that_nobody_has_checked(machine: Machine) -> None:
    """`testnet faucet cleanup` asks no node."""
    machine.start()
    assert machine.ask()[0]
    machine.wall_ms += 400 * DAY_MS

    assert machine.start().cleanup() == 0


@pytest.mark.parametrize("days", [1, 40])
def test_a_start_beside_a_chain_that_stood_still_for_days_pays_from_its_next_block_on(
    machine: Machine, days: int
) -> None:
    machine.start()
    assert machine.ask()[0]
    machine.pass_time(days * DAY_MS, blocks=False)

    machine.start()
    machine.ask(BOB)
    assert [UNCERTAIN in machine.ask(BOB)[1] for _ in range(3)] == [True] * 3, "nobody is promised a window"
    machine.chain.time_ms = machine.wall_ms
    machine.chain.mine()

    assert machine.ask() == (True, ""), "a day and more has passed"
    assert machine.ask(BOB) == (True, "")
    assert not machine.ask()[0]


def test_a_chain_that_stops_under_a_faucet_stops_no_clock(machine: Machine) -> None:
    machine.start()
    assert machine.ask()[0]
    machine.pass_time(23 * HOUR_MS, blocks=False)
    assert not machine.ask()[0]
    machine.pass_time(HOUR_MS, blocks=False)
    assert machine.ask() == (True, ""), "a day is over, whatever the newest block says"


def test_a_chain_that_makes_blocks_for_transactions_alone_is_no_clock(machine: Machine) -> None:
    """As anvil does: who comes back a day later would wait for a block that only its own request makes."""
    machine.chain.of_validators = False
    machine.start()
    assert machine.ask()[0]
    machine.pass_time(HOUR_MS, blocks=False)
    machine.start()
    assert not machine.ask()[0]
    machine.chain.mine()
    machine.pass_time(DAY_MS, blocks=False)

    faucet = machine.start()
    assert machine.ask() == (True, "")
    machine.pass_time(40 * DAY_MS, blocks=False)
    assert faucet.cleanup() == 2, "all windows are over for both"


def test_a_faucet_starts_while_no_node_can_be_reached(machine: Machine) -> None:
    machine.start()
    machine.chain.down = True
    assert "can't pay now" in machine.ask()[1]
    machine.chain.down = False
    assert machine.ask() == (True, "")


def at(monotonic_ms: list[int], wall_ms: int) -> FaucetClock:
    return FaucetClock(0, wall_ms=lambda: wall_ms, monotonic_ms=lambda: monotonic_ms[0])


def test_a_node_that_catches_up_says_nothing_of_the_time() -> None:
    """Its blocks come, but faster than time: what is promised now would be long ago when it has caught up."""
    now = [0]
    clock = at(now, NOW_MS)
    for hours in range(-50, 0, 10):
        clock.saw_block(NOW_MS + hours * HOUR_MS)
        now[0] += 1_000
        assert not clock.is_certain
    clock.saw_block(NOW_MS + now[0] - 2_000)
    assert clock.is_certain
    assert clock.now_ms() == NOW_MS + now[0]


def test_a_wall_a_little_ahead_or_behind_is_believed() -> None:
    for wall_ms in (NOW_MS - HOUR_MS, NOW_MS, NOW_MS + AHEAD_MS):
        clock = at([7], wall_ms)
        clock.saw_block(NOW_MS)
        assert clock.is_certain
        assert clock.now_ms() == clock.passed_ms() == wall_ms


def test_no_block_ever_turns_it_back() -> None:
    now = [0]
    clock = at(now, NOW_MS + DAY_MS)
    clock.saw_block(NOW_MS)
    before_ms = clock.now_ms()
    for timestamp_ms in (NOW_MS - DAY_MS, NOW_MS, NOW_MS + 5, NOW_MS + 10 * DAY_MS, NOW_MS + 6):
        now[0] += 1
        clock.saw_block(timestamp_ms)
        assert clock.now_ms() > before_ms
        before_ms = clock.now_ms()
