"""`testnet wheel`: what it prints is a file that pip takes, with the pytest plugin in it."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING

from typer.testing import CliRunner

import metanode
from sdk.testnet.command.program import app
from sdk.testnet.deployment.image.wheel import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_file_that_is_printed_is_this_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = make_wheel()
    monkeypatch.setattr("sdk.testnet.deployment.image.wheel.make_wheel", lambda: content)
    folder = tmp_path / "new" / "folder"

    said = CliRunner().invoke(app, ["wheel", "--output", str(folder)])
    told = CliRunner().invoke(app, ["wheel", "--output", str(folder), "--json"])

    (file,) = folder.iterdir()
    assert (said.exit_code, said.stdout.strip()) == (0, str(file))
    assert json.loads(told.stdout) == {"wheel": str(file), "size_bytes": len(content)}
    with zipfile.ZipFile(file) as archive:
        information = f"metanode-{metanode.__version__}.dist-info"
        assert "sdk.testnet.pytest_plugin" in archive.read(f"{information}/entry_points.txt").decode()
        assert {"sdk/testnet/pytest_plugin.py", "metanode/_engine.abi3.so"} <= {*archive.namelist()}
