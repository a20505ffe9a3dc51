"""Alerts about services: the faucet, the index and certificates, on pages of services that are made up; and that the monitor tells them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from tests.unit.monitoring.networks import network, observed, page

from metanode.errors import InvalidInput
from sdk.testnet.monitoring import TestnetMonitor
from sdk.testnet.monitoring.alerts.service_conditions import service_conditions
from sdk.testnet.monitoring.public import public_alert
from sdk.testnet.monitoring.services import SERVICES_MAX, USUAL_EVERY_S, ServicePages

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_800_000_000.0
DAY_S = 86_400
BALANCE, BUDGET = "metanode_faucet_balance_ether", "metanode_faucet_daily_budget_ether 100.0\n"
WAITING, LAG = "metanode_faucet_oldest_queued_age_seconds", "metanode_explorer_lag_blocks"
CONFLICTS, REFUSED = (
    "metanode_faucet_nonce_conflicts_total",
    'metanode_faucet_rejections_total{reason="ip_limit"}',
)
SEALS = "metanode_explorer_invalid_seals_total"
PAID = "metanode_faucet_paid_ether_total"
ERRORS = 'metanode_explorer_errors_total{{stage="{}"}} '
ENDS = 'metanode_certificate_expiry_timestamp_seconds{site="explorer"} '


def found(pages: ServicePages) -> set[tuple[str, str, str]]:
    told = service_conditions(pages, network="net", now=NOW)
    return {(one.name, one.subject, one.severity.value) for one in told}


def looked(*texts: str, every_s: float = 10.0) -> ServicePages:
    """Pages of one service, look by look."""
    pages = ServicePages()
    for number, text in enumerate(texts):
        pages.take(1000.0 + every_s * number, {"faucet": page(text)})
    return pages


@pytest.mark.parametrize(
    ("desc", "text", "expected"),
    [
        ("plenty", f"{BUDGET}{BALANCE} 301", set()),
        ("two days", f"{BUDGET}{BALANCE} 200", {("FaucetLow", "net", "warning")}),
        ("hours", f"{BUDGET}{BALANCE} 24", {("FaucetLow", "net", "critical")}),
        ("nobody knows the balance", BUDGET, set()),
        ("a queue that moves", f"{WAITING} 60", set()),
        ("a payout that waits", f"{WAITING} 61", {("FaucetQueueOld", "net", "warning")}),
        ("one that waits for long", f"{WAITING} 601", {("FaucetQueueOld", "net", "critical")}),
        ("an index at the head", f"{LAG} 5", set()),
        ("an index behind", f"{LAG} 6", {("ExplorerLag", "net", "warning")}),
        ("an index far behind", f"{LAG} 301", {("ExplorerLag", "net", "critical")}),
        ("a certificate for months", f"{ENDS}{NOW + 60 * DAY_S}", set()),
        ("a certificate for a week", f"{ENDS}{NOW + 7 * DAY_S}", {("CertExpiry", "explorer", "warning")}),
        ("one that has ended", f"{ENDS}{NOW - 7 * DAY_S}", {("CertExpiry", "explorer", "warning")}),
    ],
)
def test_what_a_page_says_now_is_told(desc: str, text: str, expected: set[Any]) -> None:
    assert found(looked(text)) == expected, desc


@pytest.mark.parametrize(
    ("desc", "texts", "expected"),
    [
        ("conflicts of before", (f"{CONFLICTS} 3", f"{CONFLICTS} 3"), set()),
        ("somebody has the key", (f"{CONFLICTS} 3", f"{CONFLICTS} 4"), {("FaucetNonceConflict", "net", "critical")}),
        ("two failures", (ERRORS.format("block") + "0", ERRORS.format("block") + "2"), set()),
        ("blocks that can't be indexed", (ERRORS.format("block") + "0", ERRORS.format("block") + "3"), {("ExplorerErrors", "net", "warning")}),
        ("a node that the index can't ask", (ERRORS.format("node") + "0", ERRORS.format("node") + "9"), set()),
        ("wrong seals of before", (f"{SEALS} 2", f"{SEALS} 2"), set()),
        ("a wrong seal", (f"{SEALS} 0", f"{SEALS} 1"), {("InvalidSeal", "net", "critical")}),
        ("some refusals", (f"{REFUSED} 0", f"{REFUSED} 100"), set()),
        ("many refusals", (f"{REFUSED} 0", f"{REFUSED} 101"), {("FaucetAbuse", "net", "info")}),
        ("a day's even share", (f"{BUDGET}{PAID} 0", f"{BUDGET}{PAID} 16"), set()),
        ("a budget spent in hours", (f"{BUDGET}{PAID} 0", f"{BUDGET}{PAID} 17"), {("FaucetAbuse", "net", "info")}),
    ],
)  # fmt: skip
def test_what_pages_have_counted_is_told(desc: str, texts: tuple[str, ...], expected: set[Any]) -> None:
    assert found(looked(*texts)) == expected, desc


def test_a_faucet_that_always_refuses_as_much_is_not_beset() -> None:
    """The usual is the median of a day: an hour that is like the others is none, ten times as much is."""
    steps = [f"{REFUSED} {150 * number}" for number in range(13)]
    pages = looked(*steps, every_s=USUAL_EVERY_S)

    assert found(pages) == set()
    pages.take(1000.0 + 13 * USUAL_EVERY_S, {"faucet": page(f"{REFUSED} {150 * 12 + 5_000}")})
    assert found(pages) == {("FaucetAbuse", "net", "info")}


def test_of_two_services_of_a_kind_the_gravest_is_told() -> None:
    pages = ServicePages()
    pages.take(1000.0, {"a": page(f"{LAG} 400"), "b": page(f"{LAG} 9")})

    assert found(pages) == {("ExplorerLag", "net", "critical")}


def test_the_monitor_tells_of_services_too() -> None:
    at_s = [1000.0]

    def monitor(source: str | Callable[[], bytes]) -> TestnetMonitor:
        return TestnetMonitor(
            ["http://127.0.0.1:9"], services={"faucet": source}, monotonic_s=lambda: at_s[0], now_s=lambda: NOW
        )  # fmt: skip

    watch = monitor(f"{WAITING} 90.0\n".encode)
    asyncio.run(watch._services.look())
    watch._take_in(observed(*network()))
    assert [(one.name, one.subject) for one in watch.alerts] == [("FaucetQueueOld", "net")]
    # A look at which no node answers says nothing of the faucet.
    watch._take_in(observed(*network(down=(0, 1, 2, 3)), at_s=1002.0))
    assert ("FaucetQueueOld", "net") in [(one.name, one.subject) for one in watch.alerts]

    gone = monitor("http://127.0.0.1:9/metrics")
    asyncio.run(gone._services.look())
    gone._take_in(observed(*network()))
    assert gone.alerts == []


def test_a_service_that_gives_no_page_for_three_looks_is_told() -> None:
    """The same half minute as Prometheus' rule waits; a service that is started again within is none."""
    at_s, text = [1000.0], [b"x 1"]

    def page_of() -> bytes:
        if not text:
            raise RuntimeError("on purpose")
        return text[0]

    watch = TestnetMonitor(
        ["http://127.0.0.1:9"], services={"http://me:SECRET@faucet:9101/metrics": "http://127.0.0.1:9/metrics", "own": page_of},
        monotonic_s=lambda: at_s[0], now_s=lambda: NOW,
    )  # fmt: skip

    def told_at(moment_s: float) -> list[tuple[str, str, str]]:
        at_s[0] = moment_s
        with capture_logs():
            asyncio.run(watch._services.look())
        watch._take_in(observed(*network(), at_s=moment_s))
        # The head, which stands here, is told of as well.
        alerts = [one for one in watch.alerts if not one.name.startswith("Chain")]
        return [(one.name, one.subject, one.severity.value) for one in alerts]

    gone = ("ServiceDown", "faucet:9101", "warning")
    assert told_at(1000.0) == told_at(1010.0) == told_at(1020.0) == []
    assert told_at(1030.0) == [gone]
    text.clear()
    assert told_at(1040.0) == told_at(1050.0) == [gone]
    text.append(b"x 1")
    assert told_at(1060.0) == told_at(1070.0) == told_at(1080.0) == [gone]
    assert "SECRET" not in str(watch.get_dashboard_data())


def test_strangers_do_not_read_where_a_service_is() -> None:
    alert = {"name": "ServiceDown", "subject": "10.0.0.9:9101", "text": "the page of 10.0.0.9:9101 is gone"}

    assert public_alert(alert) == {"name": "ServiceDown", "subject": "a service", "text": ""}
    assert public_alert(alert | {"name": "NodeDown"})["subject"] == "10.0.0.9:9101"


def test_a_page_that_fails_ends_no_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdk.testnet.monitoring.services.LOOK_EVERY_S", 0.01)

    async def check() -> None:
        asked: asyncio.Queue[int] = asyncio.Queue()

        def page_of() -> bytes:
            loop.call_soon_threadsafe(asked.put_nowait, 1)
            raise RuntimeError("on purpose")

        loop = asyncio.get_running_loop()
        watch = TestnetMonitor(["http://127.0.0.1:9"], services={"x": page_of}, poll_interval_s=0.1)
        async with asyncio.timeout(20), watch:
            for _ in range(3):
                await asked.get()
            assert watch.running

    with capture_logs() as logged:
        asyncio.run(check())
    assert [one["event"] for one in logged if one["log_level"] == "error"][:2] == [
        "monitor_service_failed"
    ] * 2


def test_wrong_sources_are_named() -> None:
    with pytest.raises(InvalidInput, match="ftp://x"):
        TestnetMonitor(services={"x": "ftp://x"})
    with pytest.raises(InvalidInput, match="services: found 21"):
        TestnetMonitor(services={str(number): bytes for number in range(SERVICES_MAX + 1)})
