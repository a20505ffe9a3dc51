"""Bytes of strangers into a running node: what is no message of a validator changes nothing in it, and is charged to who sent it if nobody honest sends it."""

import asyncio
import functools
from typing import Final

import pytest
import structlog
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from metanode.consensus import wire
from metanode.consensus.messages import Commit, Decision, Message, Proposal
from metanode.errors import InvalidInput
from metanode.node.ports import Reception
from metanode.simulation.cluster import Cluster
from metanode.simulation.virtual_time import VirtualTimeLoop

SEED: Final = 5
HEIGHTS: Final = 3
SENDER: Final = 3
QUIET_S: Final = 0.4
"""After a slot: the proposal and its votes have come, and the round's first deadline has not."""


@pytest.fixture(autouse=True)
def _quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


def _prepare(cluster: Cluster) -> None:
    """Silence the proposer of height 2 for a round, so that there are round changes, and hold back the commits of the height after HEIGHTS."""

    def lets_pass(_sender: int, _receiver: int, message: Message) -> bool:
        if message.height == 2 and message.round == 0 and isinstance(message, Proposal):
            return False
        return not (isinstance(message, Commit) and message.height == HEIGHTS + 1)

    cluster.network.filters.append(lets_pass)


async def _reach(cluster: Cluster) -> None:
    """Wait until a block is prepared everywhere and nothing comes: until the round ends, nothing moves but by what is given."""
    await cluster.wait_height(HEIGHTS)
    await cluster.wait_s(cluster.period_s + QUIET_S)


@functools.cache
def _genuine() -> tuple[bytes, ...]:
    """Return what the cluster sends until then, each message once."""
    cluster = Cluster(seed=SEED)
    found: dict[bytes, None] = {}

    def hear(_sender: int, _receiver: int, message: Message) -> bool:
        found.setdefault(wire.encode(message))
        return True

    async def listen() -> None:
        cluster.network.filters.append(hear)
        _prepare(cluster)
        async with cluster.running():
            await _reach(cluster)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(listen())
    return tuple(found)


@st.composite
def _changed(draw: st.DrawFn) -> bytes:
    """Random bytes, or a message with bits turned, pieces cut out, doubled or taken from another, or another kind."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.binary(max_size=300))
    mixed = bytearray(draw(st.sampled_from(_genuine())))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(mixed)))
        match draw(st.integers(0, 4)):
            case 0 if place < len(mixed):
                mixed[place] ^= 1 << draw(st.integers(0, 7))
            case 1:
                del mixed[place : place + draw(st.integers(1, 70))]
            case 2:
                mixed[place:place] = draw(st.binary(min_size=1, max_size=8))
            case 3:
                other = draw(st.sampled_from(_genuine()))
                at = draw(st.integers(0, len(other)))
                mixed[place : place + 65] = other[at : at + 65]
            case _:
                mixed[:1] = bytes((draw(st.integers(0, 8)),))
    return bytes(mixed)


def _state(cluster: Cluster, node: int) -> tuple[object, ...]:
    driver, disk = cluster.nodes[node].driver, cluster.nodes[node].disk
    return driver.snapshot, driver.kept, len(driver._inputs), disk.tip, disk.record, disk.watermark


def _signatures(raw: bytes, cluster: Cluster) -> set[bytes]:
    message = wire.decode(raw, cluster.rules.domain, may_author=lambda *_: True)
    return set() if isinstance(message, Decision) else {message.signature}


async def _give(cluster: Cluster, raw: bytes, known: set[bytes]) -> str:
    """Give a node bytes, look at what has become of it, and return what they were taken for."""
    driver = cluster.nodes[0].driver
    before, sent = _state(cluster, 0), sum(cluster.checker.sent.values())
    rejected, charged = driver.statistics.rejected.total(), len(cluster.network.charged)
    has_been_seen = raw in driver._seen
    verdict = driver.receive(raw, str(SENDER))
    queued = len(driver._inputs) - before[2]
    await cluster.wait_s(0.001)
    is_unchanged = _state(cluster, 0) == before and sum(cluster.checker.sent.values()) == sent
    is_refused = queued == 0 and driver.statistics.rejected.total() == rejected + 1
    if has_been_seen:
        assert (verdict, is_unchanged, is_refused) == (Reception.DROP, True, True)
        return "duplicate"
    try:
        message = wire.decode(raw, cluster.rules.domain, may_author=driver._running().may_author)
    except wire.Unwelcome:
        # A changed field makes another author of it, who may be a validator to whoever sent it: nobody is charged.
        assert (verdict, is_unchanged, is_refused) == (Reception.DROP, True, True), raw.hex()
        return "stranger"
    except InvalidInput:
        assert (verdict, is_unchanged, is_refused) == (Reception.MALFORMED, True, True), raw.hex()
        return "malformed"
    if isinstance(message, Decision):
        # Its certificate is judged by the core. One for the open height that proves nothing is charged; others are of no interest.
        is_charged = len(cluster.network.charged) > charged
        assert is_unchanged, raw.hex()
        assert verdict is Reception.DROP
        assert is_charged or message.height != driver.snapshot.height, raw.hex()
        return "decision"
    assert message.signature in known, f"a signature of a validator was made up: {raw.hex()}"
    assert verdict is not Reception.MALFORMED
    return "signed"


def _play(given_bytes: list[bytes]) -> set[str]:
    cluster = Cluster(seed=SEED)
    known = {signature for raw in _genuine() for signature in _signatures(raw, cluster)}
    found: set[str] = set()

    async def scenario() -> None:
        _prepare(cluster)
        async with cluster.running():
            await _reach(cluster)
            for raw in given_bytes:
                found.add(await _give(cluster, raw, known))
            cluster.network.filters.clear()
            await cluster.wait_height(HEIGHTS + 2)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(scenario())
    return found


# Without shrinking: each example is a network, and the bytes that failed are in the message.
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(several=st.lists(_changed(), min_size=10, max_size=60))
def test_bad_bytes_change_no_state_and_are_charged_to_their_sender(several: list[bytes]) -> None:
    _play(several)


def test_every_way_to_be_refused_is_tried() -> None:
    """Of each genuine message: a bit more, its first byte gone, and one bit of its last bytes turned."""
    several = [
        changed
        for raw in _genuine()
        for changed in (raw + b"\0", raw[1:], raw[:-1] + bytes((raw[-1] ^ 1,)), raw + b"\0")
    ]
    assert {"malformed", "stranger", "decision"} <= _play(several)
