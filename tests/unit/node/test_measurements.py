"""Each metric that a healthy network does not move by itself, and its cause: a driver in the simulator, an engine, a server, and the page.

`tests/integration/test_metrics.py` has the others. Together they are all: see `test_every_metric_is_seen_to_move`.
"""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import structlog
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.node.test_halt import second_certificate

from metanode.consensus import wire
from metanode.consensus.messages import Commit, Prepare, RoundChange
from metanode.crypto.addresses import format_address
from metanode.execution.client import Invalid
from metanode.node.measurements import Measurements
from metanode.p2p.statistics import NetworkStatistics
from metanode.primitives.types import Address, Hash32, Height, Round
from metanode.rpc.server import Listener, RPCServerConfig
from metanode.simulation.cluster import Cluster
from metanode.simulation.virtual_time import VirtualTimeLoop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

OTHER, ANOTHER = Hash32(b"\x01" * 32), Hash32(b"\x02" * 32)
BOUNDS_S = [0.001, 1.0]
QUIET_ENGINE: dict[str, Any] = {
    **dict.fromkeys(
        (
            "pool_pending", "pool_queued", "pool_pending_local", "pool_queued_local", "pool_bytes", "pool_senders", "pool_added_local",
            "pool_added_remote", "gas_per_second", "disk_bytes", "log_bytes",
        ),
        0,
    ),
    "pool_oldest_pending_s": None, "pool_refused": {}, "pool_removed": {}, "transactions": [], "phases": {},
    "pool_inclusion": (BOUNDS_S, [0, 0, 0], 0.0), "store_commit": (BOUNDS_S, [0, 0, 0], 0.0),
}  # fmt: skip
QUIET_NETWORK = NetworkStatistics(
    peers_inbound=0, peers_outbound=0, peers_validators=0, pending=0, queued_messages=0, queued_bytes=0, assembling_bytes=0,
    known_nodes=0, bytes_in=0, bytes_out=0, messages_in={}, messages_out=0, dropped_out=0, connections={}, datagrams_in=0,
    datagrams_out=0, datagram_bytes_in=0, datagram_bytes_out=0, disconnects={}, offences={}, transactions_dropped=0,
)  # fmt: skip


class Page:
    """The metrics of one simulated node, as Prometheus reads them. What is not of the driver is told by a test."""

    def __init__(self, cluster: Cluster, index: int = 0) -> None:
        self.cluster = cluster
        self.node = cluster.nodes[index]
        self.engine = dict(QUIET_ENGINE)
        self.network: dict[str, Any] = {}
        self.peers: list[Any] = []
        self.measurements = Measurements(
            name="node",
            role="validator",
            network_kind="local",
            genesis=SimpleNamespace(chain_id=1337, hash=OTHER),
            driver=self.node.driver,
            network=SimpleNamespace(
                peers=lambda: self.peers,
                highest_claim=lambda: Height(0),
                statistics=lambda: NetworkStatistics(
                    **{name: getattr(QUIET_NETWORK, name) for name in NetworkStatistics.__slots__}
                    | self.network
                ),
            ),
            execution=SimpleNamespace(engine=SimpleNamespace(statistics=lambda: self.engine)),
            data=Path(__file__).parent,
            own=self.node.address,
            peer_limit=25,
        )
        self.node.driver.subscribe(self.measurements.upon_decided)
        self.node.driver.subscribe_evidence(self.measurements.upon_evidence)

    def __getitem__(self, wanted: str) -> float:
        """The sum of a series' samples whose labels contain those given: `name` or `name{label=value,...}`."""
        name, _, labels = wanted.rstrip("}").partition("{")
        asked = dict(label.split("=") for label in labels.split(",") if label)
        self.measurements.refresh()
        found = [
            sample.value
            for family in text_string_to_metric_families(generate_latest(self.measurements.registry).decode())
            for sample in family.samples
            if sample.name == f"metanode_{name}" and asked.items() <= sample.labels.items()
        ]
        return sum(found)

    async def until(self, wanted: str, more_than: float = 0, *, within_s: float = 300) -> None:
        """Let virtual time pass until a metric is greater."""
        end_s = self.cluster.now_s + within_s
        while self[wanted] <= more_than:
            assert self.cluster.now_s < end_s, f"{wanted} is {self[wanted]}"
            await self.cluster.wait_s(0.2)


def vote(page: Page, kind: type, author: int, block_hash: Hash32, height: int) -> bytes:
    node = page.cluster.nodes[author]
    digest_of = {Prepare: node.rules.domain.prepare, Commit: node.rules.domain.commit}[kind]
    place = {"height": Height(height), "round": Round(0), "block_hash": block_hash}
    return wire.encode(kind(**place, author=node.key.address, signature=node.key.sign(digest_of(**place))))


def round_change(page: Page, author: int, round_: int) -> bytes:
    node, height = page.cluster.nodes[author], page.node.driver.snapshot.height
    digest = node.rules.domain.round_change(height=height, round=Round(round_), prepared=None)
    return wire.encode(
        RoundChange(
            height=height,
            round=Round(round_),
            prepared=None,
            author=node.key.address,
            signature=node.key.sign(digest),
        )
    )


def play(scenario: Callable[[Page], Awaitable[None]], **options: Any) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))

    async def run() -> None:
        cluster = Cluster(**{"seed": 1, **options})
        async with cluster.running():
            while not all(node.is_running for node in cluster.nodes):
                await cluster.wait_s(0.01)
            await scenario(Page(cluster))

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(run())


# --- consensus -------------------------------------------------------------------------------------------------------------------------


async def a_proposer_is_down(page: Page) -> None:
    """Rounds end by time, at his cost, and the others are seen in the next one."""
    away = page.cluster.nodes[2]
    page.cluster.crash(2)
    await page.until("consensus_round")
    await page.until("consensus_validator_round")
    assert page["consensus_phase{phase=round_change}"] + page["consensus_phase{phase=awaiting}"] <= 1
    await page.until("consensus_round_changes_total{reason=timeout}")
    await page.until("consensus_proposals_missed_total")
    assert page[f"consensus_proposals_missed_total{{validator={format_address(away.key.address)}}}"] > 0
    await page.until("consensus_phase_duration_seconds_count{phase=round_change}")
    assert page["consensus_rounds_started_total"] > page["chain_blocks_imported_total"]


async def a_proposers_clock_is_ahead(page: Page) -> None:
    """Whose proposals are far from our clock is told by name, also when they come before their time."""
    name, other = "p2p_block_propagation_seconds", page.cluster.nodes[1]
    ahead = page.cluster.nodes[2]
    ahead.clock.offset_ms = 900
    for node in (other, ahead):
        await page.until(f"{name}_count{{proposer={format_address(node.key.address)}}}", 3)

    def mean_s(node: Any) -> float:
        labels = f"{{proposer={format_address(node.key.address)}}}"
        return page[f"{name}_sum{labels}"] / page[f"{name}_count{labels}"]

    assert mean_s(other) != mean_s(ahead)
    assert mean_s(ahead) > 0.3, "half a second too early is as far away as half a second too late"


async def the_client_refuses_a_block(page: Page) -> None:
    """The round whose block was refused ends for that reason."""

    async def refuse(_: object) -> Invalid:
        return Invalid("not this")

    page.cluster.checker.check_all = lambda: None
    proposer = page.cluster.proposer(page.cluster.height + 1)
    others = [index for index in range(4) if index != proposer]
    for index in others:
        page.cluster.nodes[index].driver._worker._client.validate = refuse
    other = Page(page.cluster, others[0])
    await other.until("consensus_round_changes_total{reason=invalid_proposal}", within_s=30)


async def the_others_are_in_a_later_round(page: Page) -> None:
    """One more than the faulty ones, so somebody honest."""
    for author in (1, 2):
        page.node.driver.receive(round_change(page, author, 5), "peer")
    await page.until("consensus_round_changes_total{reason=quorum_rc}", within_s=1)
    assert page["consensus_round"] == 5
    assert page["consensus_validator_round"] >= 10
    assert page["consensus_round_timeout_seconds"] > 8


async def a_node_comes_back_into_a_later_round(page: Page) -> None:
    """The restart is not taken for a round that went wrong."""
    page.cluster.crash(2)
    page.cluster.crash(3)
    while page.node.driver.snapshot.round < 1:
        await page.cluster.wait_s(0.5)
    await page.cluster.restart(0)
    while not page.node.is_running:
        await page.cluster.wait_s(0.01)
    again = Page(page.cluster)
    await again.until("consensus_round_changes_total{reason=restart}", within_s=5)


async def a_validator_votes_twice(page: Page) -> None:
    """The liar and what he lied with are named."""
    page.cluster.checker.checks_keys = False  # An honest key is used behind its node's back.
    height = page.node.driver.snapshot.height
    for block_hash in (OTHER, ANOTHER):
        page.node.driver.receive(vote(page, Commit, 1, block_hash, height), "peer")
    liar = format_address(page.cluster.nodes[1].key.address)
    await page.until(f"consensus_equivocations_total{{validator={liar},type=commit}}", within_s=1)


async def messages_are_wrong(page: Page) -> None:
    """Each kind of refusal has its own count."""
    await page.cluster.wait_height(3)
    await page.cluster.wait_s(0.5)
    driver, height = page.node.driver, page.node.driver.snapshot.height
    good = vote(page, Prepare, 1, OTHER, height)
    driver.receive(good, "peer")
    for raw, kind, reason in (
        (good, "prepare", "duplicate"),
        (good[:-1], "prepare", "malformed"),
        (b"\x09", "unknown", "malformed"),
        (good[:-1] + b"\x09", "prepare", "bad_signature"),
        (vote(page, Commit, 4, OTHER, height), "commit", "not_validator"),
        (vote(page, Prepare, 1, OTHER, height - 1), "prepare", "old"),
        (vote(page, Commit, 1, OTHER, height + 20), "commit", "future"),
    ):
        series = f"consensus_messages_rejected_total{{type={kind},reason={reason}}}"
        before = page[series]
        driver.receive(raw, "peer")
        assert page[series] == before + 1, (kind, reason)
    driver._inputs.extend([None] * 20_000)
    driver.receive(vote(page, Commit, 1, OTHER, height), "peer")
    driver._inputs.clear()
    assert page["consensus_messages_rejected_total{type=commit,reason=overload}"] == 1


async def a_member_is_voted_in(page: Page) -> None:
    """The wishes show before, the change after."""
    new = page.cluster.nodes[4].key.address
    for node in page.cluster.nodes[:4]:
        node.driver.set_wishes({new: True})
    assert page["consensus_pending_votes{action=add}"] == 1
    await page.until("consensus_validator_set_changes_total{action=add}")
    await page.until("consensus_validators", 4)
    assert page.node.driver.wishes == {new: True}
    assert page["consensus_pending_votes{action=add}"] == 0


async def a_block_comes_by_sync(page: Page) -> None:
    """It is counted as such, once."""
    await page.cluster.wait_height(2)
    page.cluster.network.partition([0], [1, 2, 3])
    reached = page.node.driver.final_height
    await page.cluster.wait_height(reached + 6, nodes=[1, 2, 3])
    page.cluster.network.heal()
    await page.until("chain_blocks_imported_total{source=sync}", 3)
    total = sum(
        page[f"chain_blocks_imported_total{{source={one}}}"] for one in ("sync", "gossip", "proposed")
    )
    assert total == page.node.driver.tip.header.height


async def a_commit_comes_late(page: Page) -> None:
    """Its author is counted, and the height is then complete."""
    await page.until("consensus_late_commits_total")
    await page.until("consensus_full_commit_delay_seconds_count")
    assert page["consensus_quorum_prepare_delay_seconds_sum"] > 0
    commit, full = (
        page[f"consensus_{which}_commit_delay_seconds_sum"]
        / page[f"consensus_{which}_commit_delay_seconds_count"]
        for which in ("quorum", "full")
    )
    assert (
        page["consensus_quorum_prepare_delay_seconds_sum"] < page["consensus_quorum_commit_delay_seconds_sum"]
    )
    assert 0 < commit <= full + 0.1


async def two_blocks_are_decided(page: Page) -> None:
    """The node that meets the second one halts."""
    page.cluster.checker.expects_halts = True
    page.cluster.checker.checks_keys = False  # Honest keys are used behind their nodes' backs.
    await page.cluster.wait_height(3)
    page.cluster.network.partition([1, 2, 3], [0])
    assert page["chain_conflicting_heads"] == 0
    page.node.driver.upon_certificate(second_certificate(page.cluster, 2), "1")
    await page.until("chain_conflicting_heads", within_s=1)


CONSENSUS: list[tuple[Callable[[Page], Awaitable[None]], Mapping[str, Any]]] = [
    (a_proposer_is_down, {}),
    (a_proposers_clock_is_ahead, {}),
    (the_client_refuses_a_block, {}),
    (the_others_are_in_a_later_round, {}),
    (a_node_comes_back_into_a_later_round, {}),
    (a_validator_votes_twice, {}),
    (messages_are_wrong, {"candidates": 1}),
    (a_member_is_voted_in, {"candidates": 1}),
    (a_block_comes_by_sync, {}),
    (a_commit_comes_late, {}),
    (two_blocks_are_decided, {}),
]


@pytest.mark.parametrize(("cause", "options"), CONSENSUS, ids=lambda value: getattr(value, "__name__", ""))
def test_what_happens_in_consensus_is_measured(
    cause: Callable[[Page], Awaitable[None]], options: Mapping[str, Any]
) -> None:
    play(cause, **options)


# --- what other parts count ------------------------------------------------------------------------------------------------------------

TOLD: list[tuple[str, dict[str, Any], dict[str, float]]] = [
    ("engine", {"pool_oldest_pending_s": 61.5}, {"txpool_oldest_pending_age_seconds": 61.5}),
    (
        "engine",
        {"pool_pending": 5, "pool_pending_local": 2, "pool_queued": 3, "pool_queued_local": 3},
        {
            "txpool_transactions{state=pending,origin=local}": 2,
            "txpool_transactions{state=pending,origin=remote}": 3,
            "txpool_transactions{state=queued,origin=local}": 3,
            "txpool_transactions{state=queued,origin=remote}": 0,
        },
    ),
    (
        "engine",
        {"transactions": [(2, True, 7), (4, False, 1), (3, True, 0)]},
        {
            "chain_transactions_total{type=2,status=ok}": 7,
            "chain_transactions_total{type=4,status=reverted}": 1,
            "chain_transactions_total": 8,
        },
    ),
    (
        "engine",
        {"phases": {"execute": (BOUNDS_S, [1, 2, 3], 9.5)}},
        {
            "block_processing_duration_seconds_bucket{phase=execute,le=1.0}": 3,
            "block_processing_duration_seconds_bucket{phase=execute,le=+Inf}": 6,
            "block_processing_duration_seconds_sum{phase=execute}": 9.5,
        },
    ),
    ("network", {"dropped_out": 4}, {"p2p_dropped_messages_total": 4}),
    ("network", {"queued_messages": 4, "queued_bytes": 900}, {"p2p_send_queue_messages": 4, "p2p_send_queue_bytes": 900}),
    ("network", {"known_nodes": 9}, {"p2p_known_nodes": 9}),
    (
        "network",
        {"disconnects": {("too_many_peers", "peer"): 2}},
        {"p2p_disconnects_total{reason=too_many_peers,initiator=peer}": 2},
    ),
    (
        "network",
        {"connections": {("inbound", "refused"): 3}},
        {"p2p_connections_total{direction=inbound,result=refused}": 3},
    ),
    (
        "network",
        {"datagrams_in": 2, "datagram_bytes_out": 250, "messages_in": {"Status": 1, "throttled": 5}},
        {
            "p2p_messages_total{direction=in,protocol=discv4}": 2,
            "p2p_bytes_total{direction=out,protocol=discv4}": 250,
            "p2p_messages_total{direction=in,protocol=mtn}": 1,
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("part", "told", "shown"), TOLD, ids=range(len(TOLD)))
def test_what_a_part_counts_is_shown(part: str, told: dict[str, Any], shown: dict[str, float]) -> None:
    async def scenario(page: Page) -> None:
        getattr(page, part).update(told)
        assert {name: page[name] for name in shown} == shown
        # Counters are brought up to a total, not added to.
        assert {name: page[name] for name in shown} == shown

    play(scenario, validators=1)


def test_the_round_trip_to_a_validator_that_is_gone_is_shown_no_more() -> None:
    async def scenario(page: Page) -> None:
        one, other = (
            SimpleNamespace(
                is_inbound=True,
                is_validator=True,
                proven=Address(bytes([number]) * 20),
                round_trip_ms=number,
                clock_skew_ms=0,
            )
            for number in (1, 2)
        )
        page.peers = [one, other]
        assert page["p2p_validator_rtt_seconds"] == 0.003
        page.peers = [other]
        assert page["p2p_validator_rtt_seconds"] == 0.002
        assert format_address(one.proven) not in generate_latest(page.measurements.registry).decode()

    play(scenario, validators=1)


def test_the_lateness_of_the_loop_is_shown() -> None:
    async def scenario(page: Page) -> None:
        page.measurements.observe_lag(0.3)
        assert page["event_loop_lag_seconds_sum"] == 0.3

    play(scenario, validators=1)


# --- the compiled server ---------------------------------------------------------------------------------------------------------------


def test_calls_under_way_are_shown() -> None:
    """A call that an operator's handler has and has not answered."""
    engine = pytest.importorskip("metanode._engine", reason="the engine is not built: run `make setup`")
    arrived, asked = threading.Event(), []

    def handler(request_id: int, *_: object) -> None:
        asked.append(request_id)
        arrived.set()

    config = RPCServerConfig(listeners=(Listener(port=0, private=True),), client_version="test", network_id=1)
    server = engine.RpcServer.start(
        config.encode(), None, [("admin_wait", "() -> NodeInfo", "Waits.")], handler
    )
    try:
        host, port = server.addresses()[0]

        def call() -> None:
            httpx.post(
                f"http://{host}:{port}", json={"jsonrpc": "2.0", "id": 1, "method": "admin_wait"}, timeout=30
            )

        thread = threading.Thread(target=call)
        thread.start()
        assert arrived.wait(20)

        async def scenario(page: Page) -> None:
            page.measurements.rpc = SimpleNamespace(statistics=lambda: json.loads(server.statistics()))
            assert page["rpc_in_flight"] == 1
            server.respond(asked[0], b"true")
            thread.join(20)
            assert page["rpc_in_flight"] == 0
            assert page["rpc_requests_total{method=admin_wait,transport=http,result=ok}"] == 1

        play(scenario, validators=1)
    finally:
        server.stop()


MOVED = {
    "metanode_chain_conflicting_heads",
    "metanode_consensus_round",
    "metanode_consensus_validator_round",
    "metanode_consensus_round_changes",
    "metanode_consensus_proposals_missed",
    "metanode_consensus_messages_rejected",
    "metanode_consensus_equivocations",
    "metanode_consensus_pending_votes",
    "metanode_consensus_validator_set_changes",
    "metanode_txpool_oldest_pending_age_seconds",
    "metanode_p2p_dropped_messages",
    "metanode_p2p_send_queue_messages",
    "metanode_p2p_send_queue_bytes",
    "metanode_p2p_known_nodes",
    "metanode_p2p_disconnects",
    "metanode_rpc_in_flight",
}
"""What the tests of this file see move; `tests/unit/telemetry/test_metrics.py` adds it up with the rest."""
