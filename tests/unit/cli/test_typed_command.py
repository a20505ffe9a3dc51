"""Commands that are printed to be typed."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from tests.acceptance.processes import free_offset
from typer.testing import CliRunner

from metanode.cli.network import typed_command
from metanode.cli.program import app
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.apply.local import create_network
from sdk.testnet.deployment.plan import PRESETS


def test_a_command_names_its_directory_whatever_that_is_called(tmp_path: Path) -> None:
    where = NetworkDirectory(tmp_path / "{net} of {} mine")

    words = shlex.split(typed_command(where).format("up"))

    assert words[1:] == ["up", "--directory", str(where.path)]


@pytest.mark.parametrize("is_clone", [True, False])
def test_status_and_doctor_start_a_stopped_network_with_the_same_words(
    is_clone: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("METANODE_DIRECTORY", raising=False)
    if is_clone:
        Path("Makefile").touch()
        Path("rust").mkdir()
    spec = replace(PRESETS["metanode-local"], validator_count=1, port_offset=free_offset())
    create_network(NetworkDirectory(Path(".metanode").resolve()), spec)

    status, doctor = (CliRunner().invoke(app, [name]) for name in ("status", "doctor"))

    command = "make up" if is_clone else "metanode up"
    assert f"start it with `{command}`" in status.output
    assert f"to do: {command}\n" in doctor.output
