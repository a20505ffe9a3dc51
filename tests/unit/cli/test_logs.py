"""`metanode logs`, of a network that is made and not started."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from metanode.cli.program import app
from sdk.testnet.deployment.apply import local
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import PRESETS

if TYPE_CHECKING:
    from pathlib import Path


def test_a_program_gets_each_line_with_the_name_of_its_node(tmp_path: Path) -> None:
    where = NetworkDirectory(tmp_path)
    local.create_network(where, replace(PRESETS["metanode-local"], validator_count=2))
    times = ("2026-11-21T08:00:01.000000Z", "2026-11-21T08:00:02.000000Z")
    for name, time in zip(("validator-2", "validator-1"), times, strict=True):
        where.log_file(name).parent.mkdir(exist_ok=True)
        where.log_file(name).write_text(f'{time} [info] "quoted" | text\n')

    shown = CliRunner().invoke(app, ["logs", "--json", "--directory", str(tmp_path)])

    assert shown.exit_code == 0, shown.output
    assert [json.loads(line) for line in shown.stdout.splitlines()] == [
        {"node": "validator-2", "text": f'{times[0]} [info] "quoted" | text'},
        {"node": "validator-1", "text": f'{times[1]} [info] "quoted" | text'},
    ]
