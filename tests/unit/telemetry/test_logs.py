from __future__ import annotations

import json

import pytest
import structlog

from metanode.telemetry.logs import TEXT_CHARACTERS_MAX, configure_logs


@pytest.fixture(autouse=True)
def restored():
    yield
    structlog.reset_defaults()


def test_a_json_line_has_the_event_its_level_and_its_facts(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="info", output_format="json")

    structlog.get_logger().info("block_finalized", height=812, round=0)

    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["level"], line["height"]) == ("block_finalized", "info", 812)


def test_less_urgent_events_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="warning", output_format="json")

    structlog.get_logger().info("block_finalized")

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("output_format", ["json", "console"])
def test_values_of_fields_named_like_secrets_are_hidden(
    capsys: pytest.CaptureFixture[str], output_format: str
) -> None:
    configure_logs(level="info", output_format=output_format)

    structlog.get_logger().info("loaded", password="hunter2", private_key="ac09", token="t0k3n")

    written = capsys.readouterr().out
    assert not any(secret in written for secret in ("hunter2", "ac09", "t0k3n"))


@pytest.mark.parametrize("output_format", ["json", "console"])
def test_what_a_peer_said_can_neither_forge_a_line_nor_fill_the_log(
    capsys: pytest.CaptureFixture[str], output_format: str
) -> None:
    configure_logs(level="info", output_format=output_format)

    structlog.get_logger().info("peer_hello", client="evil\n\x1b[31mblock_finalized" + "x" * 10_000)

    written = capsys.readouterr().out
    assert written.count("\n") == 1
    assert "\x1b" not in written
    assert len(written) < TEXT_CHARACTERS_MAX + 300


@pytest.mark.parametrize("output_format", ["json", "console"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_no_end_of_a_line_in_a_value_begins_a_line(
    capsys: pytest.CaptureFixture[str], output_format: str, end: str
) -> None:
    """A path, a header or what else a stranger may write."""
    configure_logs(level="info", output_format=output_format)
    forged = f"/blocks{end}2026-01-01 [info] block_finalized{end}{end}height=1"

    structlog.get_logger().info("request_refused", path=forged)

    written = capsys.readouterr().out
    assert written.endswith("\n")
    assert len(written.splitlines()) == 1, "as readers split lines, Unicode's ends among them"


@pytest.mark.parametrize("output_format", ["json", "console"])
def test_nor_does_one_within_a_list_or_a_name(capsys: pytest.CaptureFixture[str], output_format: str) -> None:
    configure_logs(level="info", output_format=output_format)
    forged = "validator-1\r\n2026-01-01 [info] block_finalized\rheight=1\n"

    structlog.get_logger().info("request_refused", others=[forged], by_name={forged: forged})

    written = capsys.readouterr().out
    assert written.count("\n") == 1
    assert "\r" not in written
    if output_format == "json":
        assert json.loads(written)["others"] == [forged], "nothing is lost"


@pytest.mark.parametrize("output_format", ["console", "json"])
def test_a_traceback_does_not_show_the_values_of_variables(
    capsys: pytest.CaptureFixture[str], output_format
) -> None:
    configure_logs(level="info", output_format=output_format)
    password = "hunter" + str(2)
    try:
        int(password[:6])
    except ValueError:
        structlog.get_logger().exception("failed")

    written = capsys.readouterr().out
    assert "ValueError" in written
    assert "hunter2" not in written
