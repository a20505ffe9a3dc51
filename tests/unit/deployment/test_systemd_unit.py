"""The units that the guide of validators gives for systemd: systemd takes them, and what a node logs has a size and a rate."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guide" / "run-a-validator.md"
FILES = dict(
    re.findall(r"^```ini\n# /etc/systemd/(\S+)\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
)
UNIT = "system/metanode.service"


def read(name: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser()
    found.optionxform = str  # type: ignore[assignment,method-assign]  # as configparser's documentation has it
    found.read_string(FILES[name])
    return found


def test_what_a_node_logs_has_a_rate_and_a_journal_of_its_own_with_a_size() -> None:
    service = read(UNIT)["Service"]

    assert 0 < int(service["LogRateLimitBurst"]) / int(service["LogRateLimitIntervalSec"]) <= 1_000
    journal = read(f"journald@{service['LogNamespace']}.conf")["Journal"]
    assert re.fullmatch(r"[1-9]\d*M", journal["SystemMaxUse"])


def test_systemd_says_when_it_is_ready_and_gives_it_time_to_end() -> None:
    service = read(UNIT)["Service"]

    assert service["Type"] == "notify"
    assert int(service["TimeoutStopSec"]) >= 120
    assert service["ExecStart"].split()[1:] == ["node", "run", service["ReadWritePaths"]]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_knows_every_line_of_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "metanode.service"
    # The program is not on this machine, and whether it is there is not the question.
    unit.write_text(FILES[UNIT].replace("/opt/metanode/bin/metanode", shutil.which("true") or "/bin/true"))

    checked = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )

    # It ends with 0 when it does not know a key, and says so.
    assert [line for line in checked.stderr.splitlines() if unit.name in line] == []
