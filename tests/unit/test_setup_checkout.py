"""`make setup` leaves in `.venv` what an installation has: both commands, the version, and the pytest plugin."""

from __future__ import annotations

import configparser
import importlib.metadata
import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from tools import setup

import metanode
from sdk.testnet.deployment.image.wheel import dependencies, entry_points


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `.venv` with the packages of these tests, and without Metanode."""
    made = tmp_path / ".venv"
    venv.create(made, symlinks=True)
    packages = sysconfig.get_path("purelib", vars={"base": str(made)})
    places = [path for path in sys.path if path.endswith("site-packages")]
    (Path(packages) / "packages-of-these-tests.pth").write_text("".join(f"{path}\n" for path in places))
    monkeypatch.setattr(setup, "VENV", made)
    monkeypatch.setattr(setup, "BIN", made / "bin")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return made


def installed(environment: Path) -> importlib.metadata.Distribution:
    (packages,) = environment.glob("lib/python*/site-packages")
    (found,) = importlib.metadata.distributions(name="metanode", path=[str(packages)])
    return found


def run(environment: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=environment.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_commands_of_an_installation_are_there_and_run(environment: Path) -> None:
    setup.install_checkout()

    for command in ("metanode", "testnet"):
        assert metanode.__version__ in run(environment, str(environment / "bin" / command), "--version")


def test_a_project_that_runs_pytest_there_has_the_plugin(environment: Path) -> None:
    (environment.parent / "test_it.py").write_text(
        "def test_it(pytestconfig):\n    assert pytestconfig.pluginmanager.get_plugin('metanode').testnet\n"
    )
    setup.install_checkout()

    said = run(environment, str(environment / "bin" / "python"), "-m", "pytest", "-p", "no:cacheprovider")

    assert "1 passed" in said


def test_the_metadata_is_what_a_wheel_would_have(environment: Path) -> None:
    setup.install_checkout()

    found = installed(environment)
    assert found.version == metanode.__version__
    assert found.requires == dependencies()
    wanted = configparser.ConfigParser()
    wanted.read_string(entry_points())
    groups = {group: dict(wanted[group]) for group in wanted.sections()}
    assert groups == {
        group: {each.name: each.value for each in found.entry_points.select(group=group)}
        for group in found.entry_points.groups
    }
    assert json.loads(found.read_text("direct_url.json") or "")["dir_info"] == {"editable": True}
    assert all(Path(str(file.locate())).exists() for file in found.files or ())
    assert {"metanode", "testnet", "metanode-checkout.pth"} <= {file.name for file in found.files or ()}


def test_a_second_time_writes_nothing_and_what_is_gone_or_old_is_made_anew(environment: Path) -> None:
    setup.install_checkout()
    files = [Path(str(file.locate())) for file in installed(environment).files or ()]
    written = {path: path.stat().st_mtime_ns for path in files}

    setup.install_checkout()
    assert {path: path.stat().st_mtime_ns for path in files} == written

    (environment / "bin" / "testnet").unlink()
    information = next(path for path in files if path.name == "METADATA").parent
    information.rename(information.with_name("metanode-0.0.1.dist-info"))
    setup.install_checkout()
    assert all(path.exists() for path in files)
    assert installed(environment).version == metanode.__version__, "no two of them"
