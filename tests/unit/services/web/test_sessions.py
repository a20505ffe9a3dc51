"""An operator's login: guesses slow down whoever makes them, and lock nobody out who was here before."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING

import pytest

from metanode.errors import InvalidInput
from sdk.testnet.services.web import sessions as sessions_module
from sdk.testnet.services.web.problems import TooManyRequests
from sdk.testnet.services.web.sessions import ALL_LOGINS_MAX, LOGINS_MAX, LoginRefused, Sessions

if TYPE_CHECKING:
    from pathlib import Path

HERE = ipaddress.ip_address("198.51.100.7")
STRANGERS = [ipaddress.ip_address(f"203.{number}.113.5") for number in range(60)]


class Clock:
    """Seconds that go on when they are told to."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def open_sessions(folder: Path) -> tuple[Sessions, str, Clock, list[str]]:
    clock, told = Clock(), []
    path = folder / "operator.password"
    found = Sessions(path, cookie="operator", now_s=clock, on_refused=told.append)
    return found, path.read_text().strip(), clock, told


async def guess(sessions: Sessions, client: ipaddress.IPv4Address, *, device: str = "") -> None:
    with pytest.raises(LoginRefused):
        await sessions.login("a guess", client, device=device)


async def test_guesses_of_one_network_end_after_five_and_the_password_waits_too(tmp_path: Path) -> None:
    sessions, password, clock, _ = open_sessions(tmp_path)
    for _ in range(LOGINS_MAX):
        await guess(sessions, HERE)
    with pytest.raises(TooManyRequests):
        await sessions.login(password, HERE)
    await sessions.login(password, STRANGERS[0])
    clock.now_s += 15 * 60
    await sessions.login(password, HERE)


async def test_a_browser_that_was_logged_in_is_not_locked_out_by_guesses_from_its_own_network(
    tmp_path: Path,
) -> None:
    sessions, password, _, _ = open_sessions(tmp_path)
    device = (await sessions.login(password, HERE)).device
    for _ in range(LOGINS_MAX):
        await guess(sessions, HERE)

    again = await sessions.login(password, HERE, device=device)
    assert again.device == device, "the same browser"
    with pytest.raises(TooManyRequests):
        await sessions.login(password, HERE, device=f"{device.partition('.')[0]}.forged")
    for _ in range(LOGINS_MAX):
        await guess(sessions, HERE, device=device)
    with pytest.raises(TooManyRequests):
        await sessions.login(password, HERE, device=device)


async def test_guesses_from_everywhere_make_strangers_wait_their_turn_and_no_known_browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[float] = []
    goes = asyncio.Event()

    async def turn(seconds: float) -> None:
        turns.append(seconds)
        await goes.wait()

    sessions, password, _, _ = open_sessions(tmp_path)
    device = (await sessions.login(password, HERE)).device
    for client in STRANGERS[:ALL_LOGINS_MAX]:
        await guess(sessions, client)
    assert not turns
    monkeypatch.setattr(sessions_module.asyncio, "sleep", turn)
    async with asyncio.TaskGroup() as tasks:
        waiting = [
            tasks.create_task(sessions.login(password, client), name=str(client))
            for client in STRANGERS[ALL_LOGINS_MAX : ALL_LOGINS_MAX + sessions_module.TURNS_MAX]
        ]
        while not turns:
            await asyncio.to_thread(lambda: None)
        await sessions.login(password, HERE, device=device)
        with pytest.raises(TooManyRequests):
            await sessions.login(password, STRANGERS[-1])
        assert turns == [sessions_module.TURN_S], "one at a time"
        goes.set()
    assert all(task.result().token for task in waiting), "the password is right all the same"


async def test_refused_logins_are_told_once_a_minute_with_their_network(tmp_path: Path) -> None:
    sessions, _, clock, told = open_sessions(tmp_path)
    for client in STRANGERS[:3]:
        await guess(sessions, client)
    assert told == [f"wrong password from {STRANGERS[0]}/32"]
    clock.now_s += 61
    await guess(sessions, STRANGERS[3])
    assert len(told) == 2


def test_a_short_password_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "operator.password"
    path.write_text("short")
    path.chmod(0o600)
    with pytest.raises(InvalidInput, match="12 characters or more"):
        Sessions(path, cookie="operator")
