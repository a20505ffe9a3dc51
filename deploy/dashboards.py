"""Grafana's dashboards without Grafana: every expression of the deployment's own files is asked of its own Prometheus."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
from typing import TYPE_CHECKING, Any

from seeing import CheckFailedError, Report, fetch

if TYPE_CHECKING:
    from pathlib import Path

INTERVAL = "1m"
ANSWERS_TIMEOUT_S = 60.0
"""A rate is there after two scrapes."""
UNANSWERED_MAX = 3
"""What counts faults (errors of RPC, refusals) has nothing to say of a network that had none."""


def check_dashboards(report: Report, case: str, folder: Path, url: str, network: str) -> None:
    """Ask Prometheus what Grafana would ask it, with the variables as a person has them at first."""
    wanted = {
        (panel["title"], target["expr"]): _asked(target["expr"], network)
        for file in sorted((folder / "grafana" / "dashboards").glob("*.json"))
        for panel in _panels(json.loads(file.read_text(encoding="utf-8")))
        for target in panel.get("targets", ())
    }
    unanswered = dict(wanted)
    deadline = time.monotonic() + ANSWERS_TIMEOUT_S
    while unanswered and time.monotonic() < deadline:
        for where, expression in list(unanswered.items()):
            if _has_answer(url, expression):
                del unanswered[where]
        time.sleep(1)
    without = "; ".join(f"none for {panel}: {expression}" for panel, expression in unanswered)
    report.claim(
        case,
        "Prometheus understands every expression of the five dashboards, and answers with series",
        f"{len(wanted) - len(unanswered)} of {len(wanted)}{f', {without}' if without else ''}".replace(
            "|", "\\|"
        ),
        holds=len(wanted) > 60 and len(unanswered) <= UNANSWERED_MAX,
    )


def _panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels of a dashboard, those in rows too."""
    return [inner for panel in dashboard["panels"] for inner in (panel, *panel.get("panels", ()))]


def _asked(expression: str, network: str) -> str:
    for name, value in (("$network", network), ("$node", ".*"), ("$interval", INTERVAL)):
        expression = expression.replace(name, value)
    return expression


def _has_answer(url: str, expression: str) -> bool:
    try:
        answer = fetch(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        raise CheckFailedError(f"Prometheus refuses {expression}: {said}") from None
    return len(json.loads(answer)["data"]["result"]) > 0
