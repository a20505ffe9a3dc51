"""Several logs as one stream."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from metanode.cli.log_line import readable
from metanode.cli.log_stream import CUT, LINE_BYTES, Line, LogStream
from sdk.testnet.deployment.apply.supervisor import bound_log

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def logs(tmp_path: Path) -> dict[str, Path]:
    return {name: tmp_path / f"{name}.log" for name in ("validator-1", "validator-2")}


def _at(second: int, text: str) -> str:
    return f"2026-11-21T08:00:{second:02}.000000Z [info] {text}"


def test_what_is_there_comes_in_the_order_of_time(logs: dict[str, Path]) -> None:
    logs["validator-1"].write_text(f"{_at(1, 'a')}\n{_at(3, 'c')}\n")
    logs["validator-2"].write_text(f"{_at(2, 'b')}\n{_at(4, 'd')}\n")

    found = LogStream(logs).last(2)

    assert [(line.node[-1], line.text[-1]) for line in found] == [
        ("1", "a"),
        ("2", "b"),
        ("1", "c"),
        ("2", "d"),
    ]


def test_entries_of_services_stand_at_their_time_as_lines_of_nodes_do(logs: dict[str, Path]) -> None:
    entry = {"ip": "127.0.0.1", "blocks": 3, "event": "index_saved", "level": "info"}
    logs["validator-1"].write_text(f"{_at(1, 'a')}\n{_at(3, 'c')}\n")
    logs["validator-2"].write_text(
        "".join(
            json.dumps({**entry, "timestamp": f"2026-11-21T08:00:0{second}.5Z"}) + "\n" for second in (0, 2)
        )
    )

    found = LogStream(logs).last(2)

    event = "index_saved".ljust(28)
    assert [line.text for line in found] == [
        f"2026-11-21T08:00:00.5Z [info     ] {event} blocks=3 ip=127.0.0.1",
        _at(1, "a"),
        f"2026-11-21T08:00:02.5Z [info     ] {event} blocks=3 ip=127.0.0.1",
        _at(3, "c"),
    ]


def test_a_traceback_stays_behind_its_line(logs: dict[str, Path]) -> None:
    logs["validator-1"].write_text(f"{_at(1, 'a')}\nTraceback\n  File\n{_at(4, 'd')}\n")
    failed = {
        "timestamp": "2026-11-21T08:00:02Z",
        "level": "error",
        "event": "failed",
        "exception": "Tr\n  F\x1b[2J",
    }
    logs["validator-2"].write_text(f"{json.dumps(failed)}\n{_at(3, 'c')}\n")

    shown = [(line.node[-1], line.text.strip()[-5:]) for line in LogStream(logs).last(9)]

    assert shown == [
        ("1", "fo] a"), ("1", "eback"), ("1", "File"), ("2", "ailed"), ("2", "Tr"), ("2", "F [2J"), ("2", "fo] c"), ("1", "fo] d"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["", "{", "{}", '{"event": "x"}', '{"event": 1, "level": "info", "timestamp": "2026-11-21T08:00:00Z"}', "[1]", '{"a":' * 9_000,
     '{"event": "x", "level": "info", "timestamp": "2026-11-21T08:00:00Z", "stack": 1}'],
    ids=["nothing", "half", "an empty object", "no level", "a number", "a list", "a deep one", "a stack that is none"],
)  # fmt: skip
def test_what_is_no_entry_stays_as_it_is(text: str) -> None:
    assert readable(text) == [text]


def test_an_entry_of_any_level_and_with_any_facts_is_shown() -> None:
    entry = {
        "timestamp": "2026-11-21T08:00:00Z",
        "level": "odd",
        "event": "x",
        "exc_info": True,
        "exception": "",
        "nested": {"a": [1]},
    }
    (line,) = readable(json.dumps(entry))
    assert line.startswith("2026-11-21T08:00:00Z [odd      ] x ")


@pytest.mark.parametrize(("count", "texts"), [(0, ""), (1, "c"), (2, "bc"), (9, "abc")])
def test_the_last_lines_are_as_many_as_asked_for(logs: dict[str, Path], count: int, texts: str) -> None:
    logs["validator-1"].write_text("a\nb\nc\n")
    assert [line.text for line in LogStream(logs).last(count)] == list(texts)


def test_a_long_log_is_read_from_its_end_and_no_line_is_half(logs: dict[str, Path]) -> None:
    line = "x" * (LINE_BYTES // 2)
    logs["validator-1"].write_text(f"{line}\n" * 1_000)
    assert [found.text for found in LogStream(logs).last(3)] == [line] * 3


@pytest.mark.parametrize("count", [1, 3, 20])
def test_lines_that_are_longer_than_most_are_shown_too(logs: dict[str, Path], count: int) -> None:
    """As entries with a traceback are."""
    texts = [f"{number} " + "x" * (30 * LINE_BYTES) for number in range(50)]
    logs["validator-1"].write_text("".join(f"{text}\n" for text in texts))

    stream = LogStream(logs)

    assert [found.text for found in stream.last(count)] == texts[-count:]
    assert stream.new() == []


def test_new_lines_come_once_and_whole(logs: dict[str, Path]) -> None:
    logs["validator-1"].write_text("old\nhal")
    stream = LogStream(logs)
    assert stream.last(5) == [Line("validator-1", "old")]
    with logs["validator-1"].open("a") as file:
        file.write("f\n")
    logs["validator-2"].write_text("first\n")
    assert stream.new() == [Line("validator-1", "half"), Line("validator-2", "first")]
    assert stream.new() == []


def test_a_log_that_is_cut_is_read_from_its_start(logs: dict[str, Path]) -> None:
    logs["validator-1"].write_text("a long line\n")
    stream = LogStream(logs)
    stream.last(1)
    logs["validator-1"].write_text("new\n")
    assert stream.new() == [Line("validator-1", "new")]


def test_a_cut_is_told_though_the_log_has_grown_past_the_reader_s_place_again(logs: dict[str, Path]) -> None:
    """With a node that writes much, a log is cut each second."""
    log = logs["validator-1"]
    log.write_text("old\nhal")
    stream = LogStream(logs)
    assert stream.last(5) == [Line("validator-1", "old")]

    for cut in range(3):
        log.write_text(f"{log.read_text()}f\nnever read\n")
        bound_log(log, bytes_max=5)
        # Longer than what was there each time.
        log.write_text(f"first after cut {cut}\n" * (cut + 2) + "hal")

        assert stream.new() == [
            Line("validator-1", CUT),
            *[Line("validator-1", f"first after cut {cut}")] * (cut + 2),
        ]
        assert stream.new() == []


def test_a_cut_before_the_first_look_is_not_told(logs: dict[str, Path]) -> None:
    logs["validator-1"].write_text("old\n" * 10)
    stream = LogStream(logs)
    bound_log(logs["validator-1"], bytes_max=5)
    logs["validator-1"].write_text("new\n")

    assert stream.last(5) == [Line("validator-1", "new")]
    assert stream.new() == []


def test_names_stand_in_a_column() -> None:
    assert Line("validator-1", "text").aligned(13) == "validator-1   | text"


def test_a_line_without_an_end_takes_no_more_than_is_read_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metanode.cli.log_stream.READ_BYTES_MAX", 64)
    log = tmp_path / "node.log"
    log.write_bytes(b"a" * 1_000)
    stream = LogStream({"node": log})

    assert [line for _ in range(20) for line in stream.new()] == []

    log.write_bytes(b"a" * 1_000 + b"\n")
    (line,) = stream.new()
    assert line.text == "a" * 64
