"""What commands print is what they were given, whatever rich makes of brackets and a terminal of escapes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sdk.testnet.command.output import print_services, print_table, progress
from sdk.testnet.deployment.apply import services
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import PRESETS, plan_network

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("cell", ["[maintenance] back at 14:00", "[/red] is no tag", "http://[fd00::1]:8545"])
def test_brackets_are_no_markup(cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "value"), [("reason", cell)])
    with progress("waiting ...") as say:
        say(cell)

    shown = capsys.readouterr()
    assert shown.out.splitlines()[1] == f"reason  {cell}".ljust(len(shown.out.splitlines()[1]))
    assert cell in shown.err.splitlines()


def test_a_strangers_text_does_nothing_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("", ""), [("transactions", "0x12\n0x34"), ("hash", "\x1b[2J\x1b]0;mine\a")])

    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\a" not in out
    assert [line.split()[-1] for line in out.splitlines()[1:3]] == ["0x12", "0x34"]


def test_services_on_an_ipv6_address_are_shown_where_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, spec = NetworkDirectory(tmp_path), replace(PRESETS["metanode-local"], bind_address="fd00::1")
    plan = replace(plan_network(spec), programs=(services.program_plan(directory, spec),))

    print_services(services.statuses(plan, is_running=False))

    assert "http://[fd00::1]:3000/dashboard" in capsys.readouterr().out
