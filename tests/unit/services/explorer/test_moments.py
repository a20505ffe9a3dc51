"""The numbers of the dashboard's charts, from what the monitor remembers."""

from __future__ import annotations

import json

import pytest

from sdk.testnet.monitoring.history import NAMES, History
from sdk.testnet.monitoring.line_columns import OTHERS
from sdk.testnet.services.explorer.views.moments import LINES_MAX, Column, KeptMoments, read_moments


def test_a_counter_that_begins_anew_is_no_negative_rate() -> None:
    columns: dict[str, Column] = {name: [None] * 4 for name in NAMES}
    columns |= {"at": [0.0, 2.0, 4.0, 6.0], "rpc_calls": [100.0, 104.0, 3.0, None]}

    assert [item.rpc_calls_per_s for item in read_moments(columns, 900, {}).items] == [None, 2.0, None, None]
    assert read_moments({name: [] for name in ("at", *NAMES)}, 900, {}).items == ()


@pytest.mark.parametrize(
    ("chart", "drawn", "others"),
    [
        ("cpu_percent", ["n-3", "n-4", "n-5", "n-8", "n-9", "n-10"], [4.0, 2.0, None]),
        ("disk_free_gb", ["n-1", "n-2", "n-3", "n-4", "n-5", "n-8"], [7.0, 9.0, None]),
    ],
)
def test_the_six_that_fare_worst_have_lines_in_the_order_of_names(
    chart: str, drawn: list[str], others: list[float | None]
) -> None:
    found: dict[str, Column] = {
        "n-10": [10.0, None, None], "n-9": [9.0, 9.0, None], "n-8": [8.0, 8.0, None], "n-5": [5.0, 5.0, 5.0],
        "n-4": [4.0, 4.0, None], "n-3": [3.0, 3.0, None], "n-2": [2.0, 2.0, None], "n-1": [1.0, 1.0, None],
        OTHERS: [4.0, None, None] if chart == "cpu_percent" else [7.0, None, None],
    }  # fmt: skip
    columns: dict[str, Column] = {name: [None] * 3 for name in NAMES} | {"at": [0.0, 2.0, 4.0]}
    lines = read_moments(columns, 900, {chart: found}).lines

    assert len(drawn) == LINES_MAX
    assert [line.name for line in lines] == [*drawn, OTHERS]
    assert lines[0].values == found[drawn[0]]
    assert lines[-1].values == others, "at each moment the worst of those without a line"


def test_six_names_need_no_line_of_others() -> None:
    columns: dict[str, Column] = {name: [None] for name in NAMES} | {"at": [0.0]}
    found: dict[str, Column] = {f"n-{number}": [1.23456] for number in range(6)}

    lines = read_moments(columns, 900, {"cpu_percent": found}).lines
    assert [line.name for line in lines] == list(found)
    assert lines[0].values == [1.235]


class Monitor:
    """Counts how often its history is read."""

    def __init__(self) -> None:
        self.history, self.looks, self.reads = History(), 0, 0

    def look(self) -> None:
        self.looks += 1
        self.history.append(2.0 * self.looks, {}, {"rpc_p95_ms": {"eth_call": 1}, "cpu_percent": {"n": 2}})

    def get_history(self, window_s: float, *, until_s: float, points_max: int) -> dict[str, Column]:
        self.reads += 1
        return self.history.read(since=until_s - window_s, until=until_s, points_max=points_max)

    def get_history_lines(
        self, window_s: float, *, until_s: float, points_max: int
    ) -> dict[str, dict[str, Column]]:
        return self.history.read_lines(since=until_s - window_s, until=until_s, points_max=points_max)


def test_many_readers_cost_one_reading_a_look() -> None:
    monitor = Monitor()
    kept = KeptMoments(monitor, now_s=lambda: 2.0 * monitor.looks)
    for _ in range(3):
        monitor.look()
        documents = {kept.read(900, None, is_operator=False) for _ in range(1_000)}
        assert len(documents) == 1
    assert monitor.reads == 3
    (document,) = documents
    assert len(json.loads(document)["items"]) == 3

    inside = json.loads(kept.read(900, None, is_operator=True))
    assert {line["chart"] for line in inside["lines"]} == {"rpc_p95_ms", "cpu_percent"}
    assert len(json.loads(kept.read(900, 4, is_operator=False))["items"]) == 2
    assert kept.read(900, None, is_operator=False) == document
