"""Grafana's dashboards put together from panels: what is the same in all of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
GRID_WIDTH: Final = 24
"""Columns of Grafana's grid."""
LEGEND: Final = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
SCHEMA_VERSION: Final = 39
"""Of Grafana 10 and 11, which read older ones too."""

Kind = Literal["stat", "timeseries", "bars", "heatmap", "table", "state-timeline"]


NETWORK: Final = 'network="$network"'
"""Of the network that somebody has chosen at the top of a dashboard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One expression of a panel."""

    expression: str
    legend: str = ""
    """How a series is called, with Grafana's {{label}}."""


def ask(expression: str, legend: str = "") -> Query:
    """Return a query; most of a panel's text is these."""
    return Query(expression=expression, legend=legend)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel: a question and the expressions that answer it."""

    title: str
    description: str
    kind: Kind = "timeseries"
    queries: tuple[Query, ...]
    unit: str = "short"
    """Of Grafana: s, bytes, percentunit, reqps, short."""
    width: int = 8
    height: int = 7
    steps: tuple[tuple[float, str], ...] = ()
    """From which value on which colour; below the first it is green."""
    words: dict[float, tuple[str, str]] = field(default_factory=dict)
    """Values that stand for a word, with its colour."""
    stacked: bool = False
    matrix: tuple[str, str] | None = None
    """Of a table with one query: the label whose values are rows, and the label whose values are columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One dashboard."""

    uid: str
    """Fixed, so that links and updates find it."""
    title: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]
    """Headings with their panels."""

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All of them."""
        return tuple(panel for _, panels in self.rows for panel in panels)


ANNOTATIONS: Final = (
    ("Restarts", 'changes(process_start_time_seconds{network="$network"}[1m]) > 0', "orange", "{{node}} was started again"),
    (
        "Deploys",
        (
            'count by (version, commit) (metanode_build_info{network="$network"}) unless '
            'count by (version, commit) (metanode_build_info{network="$network"} offset 5m)'
        ),
        "blue",
        "{{version}} {{commit}}",
    ),
    (
        "Set changes",
        'max by (action) (increase(metanode_consensus_validator_set_changes_total{network="$network"}[1m])) > 0',
        "purple",
        "validator set: {{action}}",
    ),
)  # fmt: skip
"""Name, expression, colour, text."""


def document(dashboard: Dashboard) -> dict[str, Any]:
    """A dashboard as Grafana reads it from a file."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["metanode"],
        "editable": True,
        "graphTooltip": 1,
        "refresh": "5s",
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "utc",
        "links": [
            {
                "type": "dashboards", "tags": ["metanode"], "title": "Metanode", "asDropdown": False, "includeVars": True, "keepTime": True,
                "icon": "external link", "targetBlank": False, "tooltip": "", "url": "",
            }
        ],
        "templating": {"list": _variables()},
        "annotations": {"list": [_annotation(*annotation) for annotation in ANNOTATIONS]},
        "panels": _placed(dashboard),
    }  # fmt: skip


def _variables() -> list[dict[str, Any]]:
    def query(name: str, expression: str, *, several: bool) -> dict[str, Any]:
        return {
            "name": name, "label": name, "type": "query", "datasource": DATASOURCE,
            "query": {"query": expression, "refId": name}, "definition": expression,
            "refresh": 2, "sort": 7, "multi": several, "includeAll": several,
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]} if several else {},
        } | ({"allValue": ".*"} if several else {})  # fmt: skip

    steps = "1m,5m,15m,1h"
    return [
        {"name": "datasource", "label": "data source", "type": "datasource", "query": "prometheus", "current": {}},
        query("network", "label_values(metanode_build_info, network)", several=False),
        query("node", 'label_values(metanode_build_info{network="$network"}, node)', several=True),
        {
            "name": "interval", "label": "interval", "type": "interval", "query": steps, "auto": False,
            "current": {"selected": True, "text": "1m", "value": "1m"},
            "options": [{"text": step, "value": step, "selected": step == "1m"} for step in steps.split(",")],
        },
    ]  # fmt: skip


def _annotation(name: str, expression: str, colour: str, text: str) -> dict[str, Any]:
    return {
        "name": name, "enable": True, "datasource": DATASOURCE, "expr": expression, "iconColor": colour,
        "titleFormat": name, "textFormat": text, "step": "15s",
    }  # fmt: skip


def _placed(dashboard: Dashboard) -> list[dict[str, Any]]:
    """Panels in reading order, broken into lines where the grid ends."""
    placed: list[dict[str, Any]] = []
    top = 0
    for heading, panels in dashboard.rows:
        placed.append(
            {
                "id": len(placed) + 1,
                "type": "row",
                "title": heading,
                "collapsed": False,
                "panels": [],
                "gridPos": {"x": 0, "y": top, "w": GRID_WIDTH, "h": 1},
            }
        )
        top, left, tallest = top + 1, 0, 0
        for panel in panels:
            if left + panel.width > GRID_WIDTH:
                top, left, tallest = top + tallest, 0, 0
            where = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            placed.append(_panel(panel, len(placed) + 1, where))
            left, tallest = left + panel.width, max(tallest, panel.height)
        top += tallest
    return placed


def _panel(panel: Panel, number: int, where: dict[str, int]) -> dict[str, Any]:
    now_only = panel.kind in {"stat", "table"}
    formats = {"heatmap": "heatmap", "table": "table"}
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": DATASOURCE,
            "expr": query.expression,
            "legendFormat": query.legend or "__auto",
            "format": formats.get(panel.kind, "time_series"),
            "instant": now_only,
            "range": not now_only,
        }
        for index, query in enumerate(panel.queries)
    ]
    found: dict[str, Any] = {
        "id": number,
        "type": "timeseries" if panel.kind == "bars" else panel.kind,
        "title": panel.title,
        "description": panel.description,
        "gridPos": where,
        "datasource": DATASOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
    }
    if panel.matrix is not None:
        rows, columns = panel.matrix
        matrix = {"rowField": rows, "columnField": columns, "valueField": "Value", "emptyValue": "null"}
        found["transformations"] = [{"id": "groupingToMatrix", "options": matrix}]
    elif panel.kind == "table":
        found["transformations"] = [
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": {"Time": True, "__name__": True, "job": True, "instance": True}}},
        ]  # fmt: skip
    return found


def _defaults(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "color": {"mode": "thresholds" if panel.steps or panel.words else "palette-classic"},
        "thresholds": {
            "mode": "absolute",
            "steps": [{"value": None, "color": "green"}]
            + [{"value": value, "color": colour} for value, colour in panel.steps],
        },
    }
    if panel.words:
        words = {
            f"{value:g}": {"text": text, "color": colour, "index": index}
            for index, (value, (text, colour)) in enumerate(panel.words.items())
        }
        nothing = {"match": "null+nan", "result": {"text": "UNKNOWN", "color": "gray"}}
        defaults["mappings"] = [{"type": "value", "options": words}, {"type": "special", "options": nothing}]
    if panel.matrix is not None and panel.steps:
        defaults["custom"] = {"cellOptions": {"type": "color-background", "mode": "basic"}}
    if panel.kind in {"timeseries", "bars"}:
        defaults["custom"] = {
            "drawStyle": "bars" if panel.kind == "bars" else "line",
            "fillOpacity": 60 if panel.kind == "bars" else 10,
            "lineWidth": 1,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        }
        defaults["color"] = {"mode": "palette-classic"}
    return defaults


def _options(panel: Panel) -> dict[str, Any]:
    match panel.kind:
        case "stat":
            return {
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
                "colorMode": "background" if panel.words or panel.steps else "value",
                "graphMode": "none",
                "textMode": "auto",
            }
        case "heatmap":
            return {
                "calculate": False,
                "yAxis": {"unit": panel.unit},
                "color": {
                    "scheme": "Oranges",
                    "mode": "scheme",
                    "exponent": 0.5,
                    "fill": "dark-orange",
                    "reverse": False,
                    "steps": 64,
                },
                "cellGap": 1,
            }
        case "state-timeline":
            return {
                "showValue": "never",
                "mergeValues": True,
                "legend": LEGEND,
            }
        case "table":
            return {"showHeader": True, "cellHeight": "sm"}
        case _:
            return {
                "legend": LEGEND,
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
