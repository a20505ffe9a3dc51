"""The table of `make up` and `status` has each page that people look for by its name, where it is served."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sdk.testnet.command.output import print_services
from sdk.testnet.deployment.apply import services
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import PRESETS, SERVICE_PORTS, plan_network

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("told", "is_shown"),
    [
        ('[explorer]\ndocs_directory = "pages"\n', True),
        ('[explorer]\ndocs_directory = "gone"\n', False),
        ('[explorer]\ndocs_directory = ""\n', False),
        ("explorer = 1\n", False),
        ("[explorer", False),
    ],
)
def test_the_documents_are_named_where_the_explorer_has_them(
    told: str, is_shown: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, spec = NetworkDirectory(tmp_path), PRESETS["metanode-local"]
    config = services.config_file(directory)
    pages = config.parent / "pages"
    pages.mkdir(parents=True)
    (pages / "index.html").write_text("")
    config.write_text(told)
    plan = replace(plan_network(spec), programs=(services.program_plan(directory, spec),))

    print_services(services.statuses(plan, is_running=False))

    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    explorer = f"http://127.0.0.1:{SERVICE_PORTS['explorer']}"
    assert ["dashboard", f"{explorer}/dashboard", "stopped"] in rows
    assert (["docs", f"{explorer}/docs", "stopped"] in rows) == is_shown


def test_a_network_without_services_prints_none(capsys: pytest.CaptureFixture[str]) -> None:
    print_services(services.statuses(plan_network(PRESETS["metanode-local"]), is_running=False))

    assert capsys.readouterr().out == ""
