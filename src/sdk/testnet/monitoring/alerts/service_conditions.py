"""What holds of services that somebody should be told: of services that are gone, of the faucet, the index and certificates. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from sdk.testnet.diagnosis.findings import lasting
from sdk.testnet.monitoring import thresholds
from sdk.testnet.monitoring.alerts.catalogue import CRITICAL, INFO, WARNING, AlertSeverity
from sdk.testnet.monitoring.alerts.conditions import Condition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdk.testnet.monitoring.page import MetricsPage
    from sdk.testnet.monitoring.services import ServicePages

_GRAVITY: Final = (CRITICAL, WARNING, INFO)
_OURS: Final = ("block", "database")
"""Stages of the index whose failures are its own; a node that is away has alerts of its own."""


def service_conditions(found: ServicePages, *, network: str, now: float) -> list[Condition]:
    """Everything that holds; of several services of one kind the gravest is told."""
    told: dict[tuple[str, str], Condition] = {(one.name, one.subject): one for one in _unread(found)}
    for name, page in sorted(found.pages.items()):
        for one in (
            *_faucet(found, name, page, network),
            *_index(found, name, page, network),
            *_certificates(page, now),
        ):
            before = told.get((one.name, one.subject))
            if before is None or _GRAVITY.index(one.severity) < _GRAVITY.index(before.severity):
                told[one.name, one.subject] = one
    return list(told.values())


def _unread(found: ServicePages) -> Iterator[Condition]:
    """The services whose page the newest look did not get."""
    for name in sorted(found.unread_since_s):
        # A page may be named by its address, which may hold a password.
        shown = urlsplit(name).netloc.rpartition("@")[2] or name
        yield Condition(
            name="ServiceDown",
            subject=shown,
            severity=WARNING,
            text=f"the metrics page of {shown} does not answer",
        )


def _faucet(found: ServicePages, name: str, page: MetricsPage, network: str) -> Iterator[Condition]:
    def condition(alert: str, severity: AlertSeverity, text: str) -> Condition:
        return Condition(name=alert, subject=network, severity=severity, text=text)

    balance, daily = (
        page.value("metanode_faucet_balance_ether"),
        page.value("metanode_faucet_daily_budget_ether"),
    )
    if balance is not None and daily is not None and balance < thresholds.FAUCET_LOW_DAYS * daily:
        yield condition(
            "FaucetLow",
            CRITICAL if balance < thresholds.FAUCET_VERY_LOW_DAYS * daily else WARNING,
            f"the faucet has {balance:,.0f} tokens left, and may pay {daily:,.0f} a day",
        )
    waited_s = page.value("metanode_faucet_oldest_queued_age_seconds") or 0.0
    if waited_s > thresholds.QUEUE_OLD_WARNING_S:
        yield condition(
            "FaucetQueueOld",
            CRITICAL if waited_s > thresholds.QUEUE_OLD_CRITICAL_S else WARNING,
            f"a payout has waited for {lasting(waited_s)}",
        )
    if found.conflicts.total.get((name, ""), 0.0) > 0:
        yield condition(
            "FaucetNonceConflict",
            CRITICAL,
            "the faucet's account has sent transactions that the faucet did not sign",
        )
    refused, paid = found.refused.total.get((name, ""), 0.0), found.paid.total.get((name, ""), 0.0)
    if refused > thresholds.REFUSALS_MIN and refused > thresholds.REFUSALS_TIMES * found.usually_refused(
        name
    ):
        yield condition("FaucetAbuse", INFO, f"the faucet has refused {refused:,.0f} requests in ten minutes")
    elif daily and paid > thresholds.BURN_TIMES * daily / 24:
        yield condition(
            "FaucetAbuse",
            INFO,
            f"the faucet has paid {paid:,.0f} tokens in an hour, of {daily:,.0f} for a day",
        )


def _index(found: ServicePages, name: str, page: MetricsPage, network: str) -> Iterator[Condition]:
    lag = page.value("metanode_explorer_lag_blocks") or 0.0
    if lag > thresholds.LAG_WARNING:
        yield Condition(
            name="ExplorerLag",
            subject=network,
            severity=CRITICAL if lag > thresholds.LAG_CRITICAL else WARNING,
            text=f"the index is {lag:,.0f} blocks behind",
        )
    invalid = found.seals.total.get((name, ""), 0.0)
    if invalid > 0:
        yield Condition(
            name="InvalidSeal",
            subject=network,
            severity=CRITICAL,
            text=f"the index has found {invalid:.0f} wrong seals in certificates of the chain",
        )
    for stage in _OURS:
        failures = found.failures.total.get((name, stage), 0.0)
        if failures >= thresholds.INDEX_ERRORS:
            yield Condition(
                name="ExplorerErrors",
                subject=network,
                severity=WARNING,
                text=f"indexing has failed {failures:.0f} times in ten minutes ({stage})",
            )


def _certificates(page: MetricsPage, now: float) -> Iterator[Condition]:
    for site, end_s in sorted(page.by("metanode_certificate_expiry_timestamp_seconds", "site").items()):
        left_s = end_s - now
        if left_s < thresholds.CERTIFICATE_S:
            yield Condition(
                name="CertExpiry",
                subject=site,
                severity=WARNING,
                text=f"the certificate of {site} "
                + (f"ends in {lasting(left_s)}" if left_s > 0 else f"has ended {lasting(-left_s)} ago"),
            )
