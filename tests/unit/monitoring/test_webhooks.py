"""Webhooks against a receiver that listens, refuses, fails, redirects or is not there."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from tests.unit.monitoring.listener import SECRET, Listener

from metanode.errors import InvalidInput
from sdk.testnet.monitoring.alerts.board import Alert
from sdk.testnet.monitoring.alerts.catalogue import CRITICAL, INFO, WARNING
from sdk.testnet.monitoring.alerts.webhooks import QUEUE_MAX, TRIES, Receiver, Webhook
from sdk.testnet.monitoring.monitor import TestnetMonitor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ALERT = Alert(
    name="ChainHalted", subject="net", severity=CRITICAL, text="no block for 31 s & <b>more</b>", impact="Nobody.",
    runbook_url="https://docs/#chainhalted", since=1_800_000_000.0,
)  # fmt: skip


def delivered(
    statuses: list[int], act: Callable[[Receiver, Listener], Awaitable[None]], **options: Any
) -> tuple[Receiver, Listener, list[Any]]:
    """Run a receiver against a listener, and return both and what was logged."""

    async def use() -> tuple[Receiver, Listener]:
        listener = Listener(list(statuses))
        server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
        listener.port = server.sockets[0].getsockname()[1]
        receiver = Receiver(Webhook(url=listener.url, **options), network="net", first_pause_s=0.001)
        async with server, asyncio.TaskGroup() as tasks:
            running = tasks.create_task(receiver.run())
            async with asyncio.timeout(20):
                await act(receiver, listener)
            running.cancel()
        return receiver, listener

    with structlog.testing.capture_logs() as logs:
        receiver, listener = asyncio.run(use())
    return receiver, listener, logs


async def one(receiver: Receiver, _: Listener) -> None:
    receiver.tell([ALERT])
    while not receiver.delivered + receiver.dropped:
        await asyncio.sleep(0.001)


def test_an_alert_arrives_as_alertmanager_sends_it() -> None:
    _, listener, logs = delivered([], one, headers={"Authorization": f"Bearer {SECRET}"})

    ((line, headers, body),) = listener.requests
    assert line == f"POST /hook/{SECRET} HTTP/1.1"
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert (body["version"], body["status"], body["commonLabels"]) == ("4", "firing", {"network": "net"})
    (alert,) = body["alerts"]
    assert alert["labels"] == {
        "alertname": "ChainHalted",
        "severity": "critical",
        "network": "net",
        "subject": "net",
    }
    assert (alert["startsAt"], alert["endsAt"]) == ("2027-01-15T08:00:00.000Z", "0001-01-01T00:00:00Z")
    assert alert["annotations"]["runbook_url"] == "https://docs/#chainhalted"
    assert [entry["event"] for entry in logs] == ["webhook_delivered"]


def test_a_resolved_alert_says_when() -> None:
    async def act(receiver: Receiver, listener: Listener) -> None:
        receiver.tell([replace(ALERT, resolved_at=1_800_000_060.0)])
        while not listener.requests:
            await asyncio.sleep(0.001)

    _, listener, _ = delivered([], act)

    body = listener.requests[0][2]
    assert (body["status"], body["alerts"][0]["endsAt"]) == ("resolved", "2027-01-15T08:01:00.000Z")


def test_slack_gets_a_text_without_markup_of_strangers() -> None:
    _, listener, _ = delivered([], one, form="slack")

    assert listener.requests[0][2] == {
        "text": "[critical] ChainHalted: no block for 31 s &amp; &lt;b&gt;more&lt;/b&gt; <https://docs/#chainhalted|what to do>"
    }


@pytest.mark.parametrize(
    ("statuses", "tries", "is_delivered"),
    [
        ([500, 503], 3, True),
        ([429, 408], 3, True),
        ([500] * TRIES, TRIES, False),
        ([404], 1, False),
        ([403], 1, False),
        ([302], 1, False),
    ],
)
def test_what_may_pass_is_tried_again_and_a_redirect_is_not_followed(
    statuses: list[int], tries: int, is_delivered: bool
) -> None:
    receiver, listener, logs = delivered(statuses, one)

    assert len(listener.requests) == tries
    assert (receiver.delivered, receiver.dropped) == ((1, 0) if is_delivered else (0, 1))
    assert SECRET not in repr(logs)


def test_a_receiver_that_is_not_there_loses_the_alert_and_no_secret_is_logged() -> None:
    async def use() -> Receiver:
        probe = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = probe.sockets[0].getsockname()[1]
        probe.close()
        await probe.wait_closed()
        webhook = Webhook(url=f"http://user:{SECRET}@127.0.0.1:{port}/{SECRET}", headers={"x": SECRET})
        receiver = Receiver(webhook, first_pause_s=0.001)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(receiver.run())
            receiver.tell([ALERT])
            async with asyncio.timeout(20):
                while not receiver.dropped:
                    await asyncio.sleep(0.001)
            running.cancel()
        assert SECRET not in repr(webhook)
        assert SECRET not in repr(receiver)
        return receiver

    with structlog.testing.capture_logs() as logs:
        receiver = asyncio.run(use())

    assert receiver.dropped == 1
    assert [(entry["event"], entry["reason"]) for entry in logs] == [("webhook_failed", "ConnectError")]
    assert SECRET not in repr(logs)


def test_only_what_was_asked_for_is_told() -> None:
    receiver = Receiver(Webhook(url="http://127.0.0.1:1/"))
    receiver.tell([replace(ALERT, severity=INFO), replace(ALERT, severity=WARNING), ALERT])

    assert receiver.waiting == 2


def test_the_queue_is_bounded_and_the_oldest_are_dropped() -> None:
    receiver = Receiver(Webhook(url="http://127.0.0.1:1/"))
    receiver.tell([ALERT] * (QUEUE_MAX + 7))

    assert (receiver.waiting, receiver.dropped) == (QUEUE_MAX, 7)


@pytest.mark.parametrize("url", ["", "ftp://x/", f"javascript:{SECRET}", f"http:///{SECRET}"])
def test_an_address_that_is_none_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Webhook(url=url)

    assert SECRET not in str(caught.value)
    with pytest.raises(InvalidInput, match="form"):
        Webhook(url="http://x/", form="mail")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "headers",
    [{"X-Ünit": "1"}, {"X y": "1"}, {"": "1"}, {"X": "schön"}, {"X": "a\r\nY: b"}, {"X": ""}],
)
def test_a_header_that_no_request_can_have_is_refused_when_it_is_said(headers: Any) -> None:
    """Found when an alert is sent, it would cost the alert."""
    with pytest.raises(InvalidInput, match=r"^headers: expected"):
        Webhook(url="https://alerts.example.org", headers=headers)


def test_a_fault_with_one_alert_ends_no_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    body, failed = Receiver._body, []

    def fail_once(receiver: Receiver, batch: Any) -> Any:
        if not failed:
            failed.append(batch)
            raise UnicodeEncodeError("ascii", SECRET, 0, 1, "ordinal not in range")
        return body(receiver, batch)

    async def two(receiver: Receiver, listener: Listener) -> None:
        await one(receiver, listener)
        receiver.tell([ALERT])
        while not receiver.delivered:
            await asyncio.sleep(0.001)

    monkeypatch.setattr(Receiver, "_body", fail_once)
    receiver, listener, logs = delivered([], two)

    assert (receiver.delivered, receiver.dropped, len(listener.requests)) == (1, 1, 1)
    assert [line["reason"] for line in logs if line["event"] == "webhook_failed"] == ["UnicodeEncodeError"]
    assert SECRET not in str(logs)


def test_a_monitor_takes_addresses_as_a_file_of_receivers_has_them() -> None:
    monitor = TestnetMonitor(
        ["http://127.0.0.1:9"],
        webhooks=[
            "https://a.example.org/",
            "slack info https://b.example.org/",
            Webhook(url="https://c.example.org/"),
        ],
    )

    assert [
        (one.webhook.host, one.webhook.form, INFO in one.webhook.severities) for one in monitor.receivers
    ] == [
        ("a.example.org", "alertmanager", False),
        ("b.example.org", "slack", True),
        ("c.example.org", "alertmanager", False),
    ]
    with pytest.raises(InvalidInput, match=r"webhooks\[1\]: webhook: expected an http or https URL"):
        TestnetMonitor(webhooks=["https://a.example.org/", "nonsense"])
