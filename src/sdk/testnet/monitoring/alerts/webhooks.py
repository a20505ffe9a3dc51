"""Tells others of alerts over HTTP: each webhook has its own bounded queue and its own patience. Addresses hold secrets, and are never logged.

The body is what Prometheus' Alertmanager sends (its webhook version 4), so that every receiver for that takes ours; or Slack's.
"""

from __future__ import annotations

import asyncio
import html
import re
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, assert_never
from urllib.parse import urlsplit

import httpx
import structlog

from metanode.errors import InvalidInput
from sdk.testnet.diagnosis.collect import check_url
from sdk.testnet.monitoring.alerts.catalogue import AlertSeverity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdk.testnet.monitoring.alerts.board import Alert

log = structlog.get_logger(__name__)

QUEUE_MAX: Final = 1_000
"""Alerts that wait for one receiver; of more the oldest are dropped, and counted."""
BATCH_MAX: Final = 50
"""Alerts of one request."""
TRIES: Final = 6
FIRST_PAUSE_S: Final = 1.0
"""Doubles each time: a receiver that is started again within half a minute misses nothing."""
TIMEOUT_S: Final = 10.0
WEBHOOKS_MAX: Final = 20
NEVER: Final = "0001-01-01T00:00:00Z"
"""Alertmanager's time of what has not ended."""

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,8190}[\x21-\x7e])?")
Form = Literal["alertmanager", "slack"]
USUAL: Final = frozenset({AlertSeverity.CRITICAL, AlertSeverity.WARNING})
"""What somebody is told who has not asked for more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Who is told of what.

    Raises:
        InvalidInput: when the address is no http URL, or the form is not known.
    """

    url: str = field(repr=False)
    """Where alerts are posted to. It may hold a secret, and is shown nowhere."""
    severities: frozenset[AlertSeverity] = USUAL
    form: Form = "alertmanager"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Such as `Authorization`; shown nowhere."""

    def __post_init__(self) -> None:
        try:
            check_url(self.url)
        except InvalidInput:
            raise InvalidInput("webhook: expected an http or https URL (it is not repeated here)") from None
        if self.form not in ("alertmanager", "slack"):
            raise InvalidInput(f"form: found {self.form!r:.40}; expected 'alertmanager' or 'slack'")
        for name, value in self.headers.items():
            if not _HEADER_NAME.fullmatch(str(name)):
                raise InvalidInput(
                    f"headers: expected names of letters, digits and dashes, found {name!r:.60}"
                )
            if not _HEADER_VALUE.fullmatch(str(value)):
                raise InvalidInput(
                    f"headers: expected printable ASCII as the value of {name} (it is not repeated here)"
                )

    @property
    def host(self) -> str:
        """Host and port: what may be logged of the address."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


@dataclass(slots=True)
class Receiver:
    """A webhook with what waits for it. One task runs it."""

    webhook: Webhook
    network: str = ""
    first_pause_s: float = FIRST_PAUSE_S
    delivered: int = 0
    dropped: int = 0
    """Alerts that were never delivered: the queue was full, or the receiver refused."""
    _waiting: deque[Alert] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, alerts: Sequence[Alert]) -> None:
        """Queue what this receiver wants to know."""
        for alert in alerts:
            if alert.severity not in self.webhook.severities:
                continue
            if len(self._waiting) >= QUEUE_MAX:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(alert)
        if self._waiting:
            self._wake.set()

    @property
    def waiting(self) -> int:
        """How many alerts are not delivered yet."""
        return len(self._waiting)

    async def run(self) -> None:
        """Deliver until cancelled."""
        # A redirect would carry the body, and the headers, to somebody else.
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, follow_redirects=False) as http:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    batch = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
                    try:
                        is_delivered = await self._deliver(http, batch)
                    except Exception as error:  # noqa: BLE001 - a fault with one receiver must end neither it nor the watch
                        # Its text may repeat the address.
                        log.warning(
                            "webhook_failed",
                            host=self.webhook.host,
                            alerts=len(batch),
                            reason=type(error).__name__,
                        )
                        is_delivered = False
                    if is_delivered:
                        self.delivered += len(batch)
                    else:
                        self.dropped += len(batch)

    async def _deliver(self, http: httpx.AsyncClient, batch: Sequence[Alert]) -> bool:
        """Whether the receiver has taken it."""
        body = self._body(batch)
        reason = ""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(self.first_pause_s * 2 ** (attempt - 1))
            started_s = time.monotonic()
            try:
                async with (
                    asyncio.timeout(TIMEOUT_S),
                    http.stream(
                        "POST", self.webhook.url, json=body, headers=dict(self.webhook.headers)
                    ) as answer,
                ):
                    status = answer.status_code
            except (TimeoutError, httpx.HTTPError, httpx.InvalidURL) as error:
                reason = type(error).__name__
                continue
            if 200 <= status < 300:
                log.info(
                    "webhook_delivered", host=self.webhook.host, alerts=len(batch), attempt=attempt + 1,
                    ms=round((time.monotonic() - started_s) * 1000),
                )  # fmt: skip
                return True
            reason = f"status {status}"
            if status < 500 and status not in (408, 425, 429):
                break
        log.warning("webhook_failed", host=self.webhook.host, alerts=len(batch), reason=reason)
        return False

    def _body(self, batch: Sequence[Alert]) -> dict[str, Any]:
        match self.webhook.form:
            case "alertmanager":
                return alertmanager_body(batch, self.network)
            case "slack":
                return {"text": "\n".join(_line(alert) for alert in batch)}
            case _:
                assert_never(self.webhook.form)


def alertmanager_body(batch: Sequence[Alert], network: str) -> dict[str, Any]:
    """What Alertmanager would send of these alerts."""
    is_firing = any(alert.resolved_at is None for alert in batch)
    return {
        "version": "4",
        "groupKey": f"metanode:{network}",
        "truncatedAlerts": 0,
        "status": "firing" if is_firing else "resolved",
        "receiver": "metanode",
        "groupLabels": {},
        "commonLabels": {"network": network},
        "commonAnnotations": {},
        "externalURL": "",
        "alerts": [
            {
                "status": "firing" if alert.resolved_at is None else "resolved",
                "labels": {
                    "alertname": alert.name,
                    "severity": alert.severity.value,
                    "network": network,
                    "subject": alert.subject,
                },
                "annotations": {
                    "summary": alert.text,
                    "impact": alert.impact,
                    "runbook_url": alert.runbook_url,
                },
                "startsAt": _time(alert.since),
                "endsAt": NEVER if alert.resolved_at is None else _time(alert.resolved_at),
                "generatorURL": "",
                "fingerprint": f"{alert.name}/{alert.subject}",
            }
            for alert in batch
        ],
    }


def _line(alert: Alert) -> str:
    state = "resolved" if alert.resolved_at is not None else alert.severity.value
    return f"[{state}] {alert.name}: {html.escape(alert.text, quote=False)} <{alert.runbook_url}|what to do>"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
