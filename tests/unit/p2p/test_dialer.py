"""Whom a dial loop calls, on a network that only notes it."""

from __future__ import annotations

import asyncio
import socket
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from metanode.crypto.secp256k1 import PrivateKey
from metanode.p2p import dialer
from metanode.p2p.dialer import Target, resolve
from metanode.p2p.enode import Enode, NodeId
from metanode.p2p.errors import PeerUnavailable
from metanode.p2p.pins import MemoryPeerStore

if TYPE_CHECKING:
    from collections.abc import Callable

NODE = NodeId(PrivateKey(b"\x02" * 32).public_key)
SIX, FOUR = (socket.AF_INET6, ("::1", 0, 0, 0)), (socket.AF_INET, ("127.0.0.1", 0))


class Owner:
    """A network in which nobody listens but at one address."""

    own_id = NodeId(b"\x09" * 64)

    def __init__(self, listening: str, enough: int) -> None:
        self.called: list[str] = []
        self.done = asyncio.Event()
        self._listening = listening
        self._enough = enough

    def may_dial(self, _: NodeId) -> bool:
        return True

    def is_member(self, _: NodeId) -> bool:
        return True

    async def wait_disconnected(self, _: NodeId) -> bool:
        return False

    async def connect(self, _: NodeId, ip: str, port: int, *, is_static: bool) -> bool:
        self.called.append(ip)
        if len(self.called) >= self._enough:
            self.done.set()
        if ip != self._listening:
            raise PeerUnavailable(f"{ip}:{port}: refused")
        return is_static

    async def identify(self, ip: str, port: int) -> NodeId:
        raise AssertionError((ip, port))

    def upon_resolved(self, enode: Enode, ip: str) -> None:
        pass


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give the name server's answers."""

    def answer(*entries: Any) -> None:
        async def getaddrinfo(*_: object, **__: object) -> list[Any]:
            return [(family, socket.SOCK_STREAM, 6, "", address) for family, address in entries]

        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)

    return answer


def dial(owner: Owner) -> None:
    async def run() -> None:
        enode = Enode(node_id=NODE, host="node.example", tcp_port=30303, udp_port=30303)
        target = Target(enode, owner, MemoryPeerStore(), Random(7), is_static=True)
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            loop = tasks.create_task(target.run())
            await owner.done.wait()
            loop.cancel()

    asyncio.run(run())


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialer, "RETRY_S_MAX_NEEDED", 0.01)


def test_addresses_of_a_name_come_once_each_and_those_of_ipv4_first(resolves) -> None:
    resolves(SIX, FOUR, SIX, FOUR)

    assert asyncio.run(resolve("node.example")) == ("127.0.0.1", "::1")
    assert asyncio.run(resolve("::2")) == ("::2",)


def test_no_name_makes_us_call_any_number_of_addresses(resolves) -> None:
    resolves(*[(socket.AF_INET, (f"10.0.0.{number}", 0)) for number in range(100)])

    assert len(asyncio.run(resolve("node.example"))) == dialer.ADDRESSES_MAX


def test_each_address_of_a_name_gets_its_turn_and_the_good_one_is_kept(resolves) -> None:
    resolves(SIX, FOUR)
    owner = Owner("::1", enough=4)

    dial(owner)

    assert owner.called[:4] == ["127.0.0.1", "::1", "::1", "::1"]


def test_each_failure_is_logged_once_although_addresses_take_turns(resolves, monkeypatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr(dialer.log, "warning", lambda _event, *, error, **_: logged.append(error))
    resolves(SIX, FOUR)

    dial(Owner("nobody", enough=8))

    assert sorted(logged) == ["127.0.0.1:30303: refused", "::1:30303: refused"]
