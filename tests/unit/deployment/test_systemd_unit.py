"""The units that the guide of validators gives for systemd: systemd takes them, and what a node logs has a size and a rate."""

from __future__ import annotations

import configparser
import math
import os
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


def journal_bytes_max() -> int:
    """How much the node's journal may have."""
    text = read(f"journald@{read(UNIT)['Service']['LogNamespace']}.conf")["Journal"]["SystemMaxUse"]
    assert re.fullmatch(r"[1-9]\d*M", text)
    return int(text[:-1]) << 20


def test_what_a_node_logs_has_a_rate_and_a_journal_of_its_own_with_a_size() -> None:
    service = read(UNIT)["Service"]

    assert 0 < int(service["LogRateLimitBurst"]) / int(service["LogRateLimitIntervalSec"]) <= 1_000
    assert journal_bytes_max() > 0


def test_the_guide_says_which_rate_and_window_the_unit_has() -> None:
    """Journald multiplies the burst by the room that is free, as `burst_modulate` of systemd's src/journal/journald-rate-limit.c has it."""
    service = read(UNIT)["Service"]
    said = re.search(r"some (\d+) to (\d+) lines a second, in windows of (\d+) seconds", GUIDE.read_text())
    assert said is not None
    least, most, window_s = map(int, said.groups())

    assert window_s == int(service["LogRateLimitIntervalSec"])
    burst = int(service["LogRateLimitBurst"])
    assert least == burst // window_s
    assert most == burst * (int(math.log2(journal_bytes_max())) - 16) // 4 // window_s


def test_what_the_guide_says_of_logrotate_holds_for_files_that_are_appended_to(tmp_path: Path) -> None:
    """A file that is cut under a writer has its old length again, unless it was opened for appending."""
    lengths = {}
    for mode in ("ab", "wb"):
        log = tmp_path / mode
        with log.open(mode, buffering=0) as output:
            output.write(b"line\n" * 100)
            os.truncate(log, 0)
            output.write(b"line\n")
        lengths[mode] = log.stat().st_size

    assert lengths == {"ab": 5, "wb": 505}
    assert "`StandardOutput=append:PATH`" in GUIDE.read_text()


def test_systemd_says_when_it_is_ready_and_gives_it_time_to_end() -> None:
    service = read(UNIT)["Service"]

    assert service["Type"] == "notify"
    assert int(service["TimeoutStopSec"]) >= 120
    assert service["ExecStart"].split()[1:] == ["node", "run", service["ReadWritePaths"]]


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not installed: apt-get install systemd",
)
def test_systemd_knows_every_line_of_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "metanode.service"
    # The program is not on this machine, and whether it is there is not the question.
    unit.write_text(FILES[UNIT].replace("/opt/metanode/bin/metanode", shutil.which("true") or "/bin/true"))

    checked = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )

    # It ends with 0 when it does not know a key, and says so.
    assert [line for line in checked.stderr.splitlines() if unit.name in line] == []
