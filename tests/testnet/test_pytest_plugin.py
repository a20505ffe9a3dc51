"""The pytest plugin as a project has it: runs of pytest of their own, alone and spread by xdist."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.acceptance.processes import wait_until

from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.ephemeral import Testnet, sharing
from sdk.testnet.ephemeral.sharing import Run

pytestmark = pytest.mark.timeout(300)

SRC = Path(__file__).parents[2] / "src"
IS_INSTALLED = any(
    point.value == "sdk.testnet.pytest_plugin" for point in importlib.metadata.entry_points(group="pytest11")
)
"""Whether this Python's metadata already names the plugin; a tree that is only on the path has none."""
OWN = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {
    "PYTHONPATH": str(SRC)
}
"""The environment of a run that is nobody's worker."""


def run_pytest(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a project's tests in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", *([] if IS_INSTALLED else ["-p", "sdk.testnet.pytest_plugin"]), "-p", "no:cacheprovider", "-p", "no:randomly", *options],
        cwd=project, env=OWN, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


SHARED = """
import json, os
from pathlib import Path
import pytest
from metanode.errors import InvalidInput

@pytest.mark.parametrize("number", range(4))
def test_uses(testnet, testnet_account, number):
    balance = int(testnet.call("eth_getBalance", testnet_account.address, "latest"), 16)
    with pytest.raises(InvalidInput, match="shared"):
        testnet.node(0).kill()
    with pytest.raises(InvalidInput, match="shared"):
        testnet.partition([0], [1])
    seen = {
        "worker": os.environ.get("PYTEST_XDIST_WORKER", ""), "directory": str(testnet.directory.path), "address": testnet_account.address,
        "balance": balance, "validators": len(testnet.nodes), "chain_id": int(testnet.call("eth_chainId"), 16),
    }
    Path(f"seen-{number}.json").write_text(json.dumps(seen))
"""


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_all_tests_of_a_run_share_one_network_and_no_account(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestnet_validators = 2\ntestnet_chain_id = 31337\n")
    (tmp_path / "test_shared.py").write_text(SHARED)

    done = run_pytest(tmp_path, *options)

    assert done.returncode == 0, done.stdout + done.stderr
    seen = [json.loads((tmp_path / f"seen-{number}.json").read_text()) for number in range(4)]
    assert len({one["directory"] for one in seen}) == 1
    assert len({one["address"] for one in seen}) == 4
    assert {one["worker"] for one in seen} == ({"gw0", "gw1"} if options else {""})
    assert {(one["balance"], one["validators"], one["chain_id"]) for one in seen} == {
        (10_000 * 10**18, 2, 31337)
    }
    assert not Path(seen[0]["directory"]).parent.exists()


def test_a_test_may_hurt_a_network_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(
        "def test_own(own_testnet, testnet_factory):\n"
        "    own_testnet.partition([0, 1, 2], [3])\n"
        "    own_testnet.node(3).kill()\n"
        "    assert len(own_testnet.nodes) == 4\n"
        "    single = testnet_factory(validators=1, chain_id=5)\n"
        "    assert single.call('eth_chainId') == '0x5'\n"
    )

    done = run_pytest(tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_run_without_a_network_starts_none_and_imports_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_nothing.py").write_text(
        "import sys\ndef test_nothing():\n    assert not {'sdk.testnet.ephemeral', 'metanode', 'httpx'} & set(sys.modules)\n"
    )

    done = run_pytest(tmp_path, "-n", "1")

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_setting_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestnet_validators = four\n")
    (tmp_path / "test_shared.py").write_text(SHARED)

    done = run_pytest(tmp_path)

    assert done.returncode != 0
    assert "testnet_validators: found 'four'; expected a whole number" in done.stdout + done.stderr


def test_the_project_names_the_plugin() -> None:
    import tomllib  # noqa: PLC0415 - for this test only

    project = tomllib.loads((SRC.parent / "pyproject.toml").read_text())["project"]

    assert project["entry-points"]["pytest11"] == {"metanode": "sdk.testnet.pytest_plugin"}


def make_run(folder: Path, **changes: int) -> Run:
    described = {"owner_pid": os.getpid(), "validators": 1, "block_time_s": 1, "chain_id": 7, **changes}
    return Run.from_dict({"folder": str(folder), **described})


def test_a_network_that_does_not_start_is_tried_once(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", validators=0)

    with pytest.raises(InvalidInput, match="validators: found 0"):
        run.join()
    with pytest.raises(Unavailable, match="validators: found 0"):
        run.join()
    run.end()
    assert not (tmp_path / "run").exists()


def test_accounts_are_given_out_once_and_have_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "ACCOUNTS", 3)
    run = make_run(tmp_path / "run")

    taken = {run.take_account().address for _ in range(3)}

    assert len(taken) == 3
    with pytest.raises(InvalidInput, match="all 3 accounts of the shared network are taken"):
        run.take_account()


def test_a_network_that_was_half_made_by_who_was_killed_is_made_again_and_left_folders_go(
    tmp_path: Path,
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = tmp_path / f"metanode-testnet-run-{ended.pid}-0a"
    left.mkdir()
    other = tmp_path / f"metanode-testnet-run-{os.getpid()}-0b"
    other.mkdir()
    run = make_run(tmp_path / f"metanode-testnet-run-{os.getpid()}-0c")
    (run.folder / "net" / "nodes").mkdir(parents=True)
    (run.folder / "net" / "network.json").write_text("{")
    try:
        net = run.join()

        assert net.call("eth_chainId") == "0x7"
        assert net.node(0).is_running
        assert not left.exists()
        assert other.exists()
        again = run.join()
        assert again.directory == net.directory
    finally:
        run.end()
    assert not run.folder.exists()


def test_the_shared_network_ends_with_the_process_of_the_run_not_with_the_worker_that_started_it(
    tmp_path: Path,
) -> None:
    owner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    run = make_run(tmp_path / "run", owner_pid=owner.pid)
    code = f"""
from sdk.testnet.ephemeral.sharing import Run
run = Run.from_dict({{"folder": {str(run.folder)!r}, "owner_pid": {owner.pid}, "validators": 1, "block_time_s": 1, "chain_id": 7}})
run.join()
"""
    try:
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(SRC)}, check=True, timeout=120
        )
        net: Testnet = run.join()
        assert net.node(0).is_running
    finally:
        owner.kill()
        owner.wait()
    wait_until(lambda: not net.node(0).is_running, within_s=30.0, what="the network has ended with its run")
    run.end()
