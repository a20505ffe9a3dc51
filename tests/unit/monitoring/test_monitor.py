"""The monitor as the document shows it, fed by hand; and what it refuses."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from metanode.errors import InvalidInput
from sdk.testnet import NetworkMetrics as Exported
from sdk.testnet.deployment.plan import NetworkSpec, plan_network
from sdk.testnet.monitoring import Endpoint, NetworkMetrics, NodeHealth, TestnetMonitor, Totals, Verdict
from sdk.testnet.monitoring.endpoints import ENDPOINTS_MAX
from sdk.testnet.monitoring.monitor import NODES_MAX

NOW = 1_800_000_000.0


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.s = 0.0

    def monotonic_s(self) -> float:
        return self.s

    def now_s(self) -> float:
        return NOW + self.s


def monitor(clock: Clock | None = None, **options: Any) -> TestnetMonitor:
    clock = clock or Clock()
    return TestnetMonitor(monotonic_s=clock.monotonic_s, now_s=clock.now_s, **options)


def health(index: int = 1, **changes: Any) -> NodeHealth:
    fields: dict[str, Any] = {
        "node_id": f"validator-{index}", "status": "healthy", "last_block_height": 1000, "last_block_time": NOW,
        "peer_count": 3, "sync_status": "synced", "cpu_usage": 45.2, "memory_usage": 62.5,
    }  # fmt: skip
    return NodeHealth(**{**fields, **changes})


def test_a_node_that_is_fed_in_is_known() -> None:
    watch = monitor()
    watch.update_node_health(health())

    assert watch.nodes == {"validator-1": health()}
    assert watch.get_node_health("validator-1") == health()
    assert watch.get_node_health("validator-2") is None
    assert watch.calculate_network_metrics() == NetworkMetrics(
        total_nodes=1, healthy_nodes=1, total_validators=1, active_validators=1, current_height=1000, avg_block_time=0.0,
        total_transactions=0, tps=0.0,
    )  # fmt: skip
    assert Exported is NetworkMetrics


def test_metrics_are_of_the_last_that_was_told() -> None:
    watch = monitor()
    for step in range(5):
        for index in range(1, 5):
            watch.update_node_health(
                health(index, last_block_height=1000 + step, last_block_time=NOW + 2.5 * step)
            )
    watch.update_node_health(health(4, status="unhealthy", last_block_height=1004))
    watch.update_node_health(health(1, node_id="rpc-1"))

    found = watch.calculate_network_metrics()

    assert (found.total_nodes, found.healthy_nodes, found.total_validators, found.active_validators) == (
        5,
        4,
        4,
        3,
    )
    assert (found.current_height, found.avg_block_time) == (1004, 2.5)
    assert found.to_dict()["healthy_nodes"] == 4


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["healthy"] * 4, Verdict.HEALTHY),
        (["healthy"] * 3 + ["offline"], Verdict.DEGRADED),
        (["healthy"] * 2 + ["offline"] * 2, Verdict.NO_QUORUM),
        (["healthy"] * 6 + ["offline"], Verdict.HEALTHY),
    ],
)
def test_the_verdict_of_healths(statuses: list[str], expected: Verdict) -> None:
    watch = monitor()
    for index, status in enumerate(statuses):
        watch.update_node_health(health(index, status=status))

    assert watch.verdict.verdict is expected


def test_time_makes_a_verdict_halted_and_then_unknown() -> None:
    clock = Clock()
    watch = monitor(clock)
    assert watch.verdict.verdict is Verdict.UNKNOWN
    watch.update_node_health(health())
    seen = []
    for seconds in (0.0, 29.0, 31.0, 59.0, 61.0):
        clock.s = seconds
        seen.append(watch.verdict.verdict)

    assert seen == [Verdict.HEALTHY, Verdict.HEALTHY, Verdict.HALTED, Verdict.HALTED, Verdict.UNKNOWN]


def test_alerts_of_healths_come_and_go_at_once() -> None:
    clock = Clock()
    watch = monitor(clock, runbook="https://docs/alerts/")
    for index in range(1, 5):
        watch.update_node_health(health(index))
    assert watch.alerts == []

    watch.update_node_health(health(2, status="offline"))
    watch.update_node_health(health(3, last_block_height=900))
    watch.update_node_health(health(4, peer_count=0, cpu_usage=97.0))
    assert {(alert.name, alert.subject, alert.severity.value) for alert in watch.alerts} == {
        ("NodeDown", "validator-2", "critical"),
        ("QuorumMarginZero", "network", "warning"),
        ("NodeBehind", "validator-3", "critical"),
        ("NoPeers", "validator-4", "critical"),
        ("NodeOverloaded", "validator-4 processor", "warning"),
    }
    assert all(alert.runbook_url.startswith("https://docs/alerts/#") for alert in watch.alerts)

    for index in range(1, 5):
        watch.update_node_health(health(index))
    assert watch.alerts == []
    assert len(watch.events) == 10

    clock.s = 40.0
    assert [alert.name for alert in watch.alerts] == ["ChainHalted"]


def test_the_dashboard_is_json_and_says_how_old_it_is() -> None:
    clock = Clock()
    watch = monitor(clock)
    watch.update_node_health(health())
    clock.s = 5.0
    data = json.loads(json.dumps(watch.get_dashboard_data()))

    assert data["verdict"]["state"] == "HEALTHY"
    assert data["data_age_s"] == 5.0
    assert data["metrics"]["total_nodes"] == 1
    assert [one["node_id"] for one in data["nodes"]] == ["validator-1"]
    assert data["alerts"] == data["events"] == data["validators"] == data["blocks"] == []
    assert data["incident_summary"].startswith(
        "**HEALTHY** at 2027-01-15 08:00:05 UTC: block 1000 came 5.0 s ago"
    )
    assert monitor().get_dashboard_data()["verdict"]["state"] == "UNKNOWN"


def test_it_starts_and_stops_and_starts_again_with_nothing_to_ask() -> None:
    async def use() -> list[bool]:
        watch = TestnetMonitor()
        seen = [watch.running]
        await watch.start()
        await watch.start()
        seen.append(watch.running)
        await watch.stop()
        await watch.stop()
        seen.append(watch.running)
        async with watch:
            seen.append(watch.running)
        return seen

    assert asyncio.run(use()) == [False, True, False, True]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"node_id": ""}, "node_id"),
        ({"node_id": "x" * 201}, "node_id"),
        ({"status": None}, "status"),
        ({"last_block_height": -1}, "last_block_height"),
        ({"last_block_height": True}, "last_block_height"),
        ({"last_block_height": 1.5}, "last_block_height"),
        ({"last_block_time": float("nan")}, "last_block_time"),
        ({"last_block_time": None}, "last_block_time"),
        ({"peer_count": "3"}, "peer_count"),
        ({"cpu_usage": float("inf")}, "cpu_usage"),
        ({"memory_usage": -1}, "memory_usage"),
    ],
)
def test_a_health_that_can_t_be_is_refused_with_its_field(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{words}: found"):
        health(**changes)


def test_usage_may_be_left_out() -> None:
    found = NodeHealth("validator-1", "healthy", 1, NOW, 2, "synced")

    assert (found.cpu_usage, found.memory_usage) == (None, None)
    assert found.to_dict()["node_id"] == "validator-1"


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InvalidInput, match="expected the URL of a node's RPC"):
        TestnetMonitor(["ftp://x"])
    with pytest.raises(InvalidInput, match="expected each node once"):
        TestnetMonitor(["http://127.0.0.1:1", "http://127.0.0.1:1"])
    with pytest.raises(InvalidInput, match="endpoints: found 201"):
        TestnetMonitor([f"http://127.0.0.1:{port}" for port in range(1, ENDPOINTS_MAX + 2)])
    with pytest.raises(InvalidInput, match="poll_interval_s"):
        TestnetMonitor(poll_interval_s=0)
    with pytest.raises(InvalidInput, match="health: found dict"):
        TestnetMonitor().update_node_health({})  # type: ignore[arg-type]


def test_nodes_that_are_fed_in_are_bounded() -> None:
    watch = monitor()
    for index in range(NODES_MAX):
        watch.nodes[f"n{index}"] = health(node_id=f"n{index}")

    watch.update_node_health(health(node_id="n0"))
    with pytest.raises(InvalidInput, match="at most 1000"):
        watch.update_node_health(health(node_id="one more"))


def test_a_plan_gives_its_endpoints() -> None:
    plan = plan_network(NetworkSpec(validator_count=2, block_time_s=5))
    watch = TestnetMonitor.of_plan(plan)

    assert watch.endpoints == (
        Endpoint(rpc_url="http://127.0.0.1:8545", metrics_url="http://127.0.0.1:9100/metrics", name="validator-1", role="validator"),
        Endpoint(rpc_url="http://127.0.0.1:8546", metrics_url="http://127.0.0.1:9101/metrics", name="validator-2", role="validator"),
    )  # fmt: skip
    assert watch.limits.block_time_s == 5
    assert Endpoint(rpc_url="https://user:secret@node.example/key").name == "node.example"


def test_a_slow_index_makes_no_verdict_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of the whole chain are asked for beside the looks, which go on without them."""
    looks = 0

    async def check() -> None:
        asked, enough = asyncio.Event(), asyncio.Event()

        async def never() -> Totals:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

        async def look() -> None:
            nonlocal looks
            looks += 1
            await asyncio.sleep(0)
            if looks == 3:
                enough.set()

        watch = TestnetMonitor(["http://127.0.0.1:9"], totals=never, poll_interval_s=0.1)
        monkeypatch.setattr(watch, "look", look)
        async with asyncio.timeout(20), watch:
            await asked.wait()
            await enough.wait()

    asyncio.run(check())
    assert looks >= 3


def test_a_look_that_fails_while_the_watch_is_cancelled_does_not_keep_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def check() -> None:
        asked = asyncio.Event()

        async def fail_when_cancelled(_: object) -> None:
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                # As a connection does that can't be closed any more.
                raise OSError("Bad file descriptor")

        # One of two tasks of the look's group.
        monkeypatch.setattr("sdk.testnet.monitoring.watcher.ask_nodes", fail_when_cancelled)
        watch = TestnetMonitor(["http://127.0.0.1:9"])
        async with asyncio.timeout(20):
            task = asyncio.get_running_loop().create_task(watch.run())
            await asked.wait()
            task.cancel()
            ended, _ = await asyncio.wait([task], timeout=5)
            assert ended
            assert task.cancelled()

    asyncio.run(check())


def test_a_look_that_fails_is_followed_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        looks, enough = 0, asyncio.Event()

        async def fail(_: object) -> None:
            nonlocal looks
            looks += 1
            if looks == 3:
                enough.set()
            # After the group has begun to wait: what it then asks of its own task, it never takes back.
            await asyncio.sleep(0)
            raise OSError("Bad file descriptor")

        monkeypatch.setattr("sdk.testnet.monitoring.watcher.ask_nodes", fail)
        async with asyncio.timeout(20), TestnetMonitor(["http://127.0.0.1:9"], poll_interval_s=0.1) as watch:
            await enough.wait()
            assert watch.running

    asyncio.run(check())


def test_start_says_what_has_ended_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        watch = TestnetMonitor(["http://127.0.0.1:9"])

        async def fail() -> None:
            await asyncio.sleep(0)
            raise RuntimeError("no more file descriptors")

        monkeypatch.setattr(watch, "run", fail)
        async with asyncio.timeout(20):
            with pytest.raises(RuntimeError, match="no more file descriptors"):
                await watch.start()
        assert not watch.running

    asyncio.run(check())
