"""Grafana's dashboards without Grafana: every expression of the deployment's own files is asked of its own Prometheus."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
from typing import TYPE_CHECKING, Any

from seeing import CheckFailedError, Report, call, fetch

if TYPE_CHECKING:
    from pathlib import Path

INTERVAL = "1m"
ANSWERS_TIMEOUT_S = 60.0
"""A rate is there after two scrapes."""
EXPRESSIONS_MIN = 60
"""A folder that was read wrongly has none."""


def check_dashboards(
    report: Report, case: str, folder: Path, url: str, *, network: str, rpc_url: str
) -> None:
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
        # What counts errors has nothing to say of a node that had none.
        call(rpc_url, "eth_invented")
        for where, expression in list(unanswered.items()):
            if _has_answer(url, expression):
                del unanswered[where]
        time.sleep(1)
    report.claim(
        case,
        "Prometheus understands every expression of the five dashboards, and answers each with series",
        f"{len(wanted)} expressions" if not unanswered else f"nothing for {list(unanswered)}",
        holds=len(wanted) > EXPRESSIONS_MIN and not unanswered,
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
