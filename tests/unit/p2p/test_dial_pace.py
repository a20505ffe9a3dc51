"""How soon a dial loop calls again, on virtual time."""

import asyncio
from itertools import pairwise
from random import Random

import pytest

from metanode.p2p import dialer
from metanode.p2p.dialer import Target
from metanode.p2p.enode import Enode, NodeId
from metanode.p2p.errors import PeerUnavailable
from metanode.p2p.pins import MemoryPeerStore
from metanode.simulation.virtual_time import VirtualTimeLoop


class NobodyThere:
    own_id = NodeId(bytes(64))

    def __init__(self, *, is_validator: bool) -> None:
        self.is_validator = is_validator
        self.called_at: list[float] = []

    def may_dial(self, _: NodeId) -> bool:
        return True

    def is_member(self, _: NodeId) -> bool:
        return self.is_validator

    async def wait_disconnected(self, _: NodeId) -> bool:
        return False

    async def connect(self, _: NodeId, ip: str, port: int, *, is_static: bool) -> bool:  # noqa: ARG002 - the port's
        self.called_at.append(asyncio.get_running_loop().time())
        raise PeerUnavailable("nobody is there")

    async def identify(self, ip: str, port: int) -> NodeId:
        raise AssertionError((ip, port))

    def upon_resolved(self, enode: Enode, ip: str) -> None:
        pass


def pauses_s(*, is_validator: bool, for_s: float) -> list[float]:
    owner = NobodyThere(is_validator=is_validator)
    enode = Enode(node_id=NodeId(b"\x01" * 64), host="127.0.0.1", tcp_port=30303, udp_port=30303)

    async def main() -> None:
        target = Target(enode, owner, MemoryPeerStore(), Random(1), is_static=True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(for_s):
                await target.run()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())
    return [later - earlier for earlier, later in pairwise(owner.called_at)]


def test_a_validator_is_called_again_within_a_second_however_long_it_is_away() -> None:
    pauses = pauses_s(is_validator=True, for_s=3_600)
    assert len(pauses) >= 3_600
    assert max(pauses) <= 1.0
    assert pauses[0] <= dialer.RETRY_S_MIN


def test_another_peer_is_called_like_a_validator_for_a_minute_and_then_less_often() -> None:
    pauses = pauses_s(is_validator=False, for_s=3_600)
    early = [pause for index, pause in enumerate(pauses) if sum(pauses[: index + 1]) < dialer.EAGER_S]
    assert max(early) <= 1.0
    assert 1.0 < max(pauses) <= dialer.RETRY_S_MAX
    assert len(pauses) < 600
