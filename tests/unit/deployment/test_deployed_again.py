"""`deploy_testnet(apply="local")` called again: after a killed supervisor, with nodes that were added, with files that a person edited."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.unit.deployment.test_deployer import deploy

from metanode.errors import InvalidInput
from sdk.testnet.deployment import DeploymentChange
from sdk.testnet.deployment.apply import deployed, local
from sdk.testnet.deployment.apply.layout import write_atomic
from sdk.testnet.deployment.keys import take_follower
from sdk.testnet.deployment.plan import NetworkSpec, plan_network
from sdk.testnet.ephemeral.ports import NODES_APART, OFFSETS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The directories of networks that would have been started; nothing is, and no port is looked at."""
    found: list[Path] = []
    monkeypatch.setattr(local, "start_network", lambda directory: found.append(directory.path))
    monkeypatch.setattr(local, "wait_network_ready", lambda _: None)
    monkeypatch.setattr(deployed, "_wait_services", lambda *_: None)
    monkeypatch.setattr(local, "listeners", dict)
    return found


@contextmanager
def process_of(folder: Path, name: str) -> Iterator[int]:
    """A process that has the folder of a node on its command line, as a node has, and that its state file names."""
    directory = deployed.directory_of(folder)
    home = str(directory.node(name))
    code = "print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, home], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        write_atomic(directory.state_file(name), json.dumps({"pid": process.pid, "restarts": 0}))
        try:
            yield process.pid
        finally:
            process.kill()


def test_a_taken_port_is_told_with_what_a_deployment_can_do_about_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "listeners", lambda: {8545: os.getpid()})

    with pytest.raises(InvalidInput, match=r"port 8545 .* is in use by process") as refused:
        deploy(tmp_path / "net", apply="local")

    # It has none of the options of `metanode up`.
    assert "deploy with port_offset=200" in str(refused.value)
    assert "--no-services" not in str(refused.value)
    assert not (tmp_path / "net" / "data").exists(), "nothing was written"


@pytest.mark.usefixtures("starts")
def test_nodes_that_a_killed_supervisor_left_hold_their_ports_against_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`start_network` ends them; until then they are no foreign processes."""
    deploy(tmp_path, apply="local")
    plan = deployed.directory_of(tmp_path).load_plan()
    with process_of(tmp_path, "validator-1") as pid:
        monkeypatch.setattr(local, "listeners", lambda: {plan.nodes[0].rpc_port: pid})
        deploy(tmp_path, apply="local")

        monkeypatch.setattr(local, "listeners", lambda: {plan.nodes[1].rpc_port: os.getpid()})
        with pytest.raises(
            InvalidInput, match=rf"port {plan.nodes[1].rpc_port} \(rpc_port of validator-2\) is in use"
        ):
            deploy(tmp_path, apply="local")


def test_a_node_that_was_added_stays_in_the_network(tmp_path: Path, starts: list[Path]) -> None:
    deploy(tmp_path, apply="local")
    directory = deployed.directory_of(tmp_path)
    take_follower(tmp_path / "data" / "follower-1")
    directory.save_plan(directory.load_plan().with_node("follower"))
    mine = tmp_path / "data" / "follower-1" / "config.toml"
    mine.write_text("# its own\n")
    told = tmp_path / "data" / "services" / "services.toml"
    assert '"follower-1"' not in told.read_text()

    deploy(tmp_path, apply="local")

    assert '"follower-1"' in told.read_text()
    assert [node.name for node in directory.load_plan().nodes] == ["validator-1", "validator-2", "follower-1"]
    assert mine.read_text() == "# its own\n"
    assert len(starts) == 2


@pytest.mark.usefixtures("starts")
def test_services_of_a_deployment_are_told_of_nodes_that_are_added(tmp_path: Path) -> None:
    """What `metanode node add` writes is what the next deployment would, and nobody's edit."""
    deploy(tmp_path, apply="local")
    directory = deployed.directory_of(tmp_path)
    file = directory.node("services") / "services.toml"
    before = file.read_text()

    assert local.add_node(directory, "candidate").is_served
    added = file.read_text()
    deploy(tmp_path, apply="local")

    assert file.read_text() == added
    assert (before.count('"candidate-1"'), added.count('"candidate-1"')) == (0, 2)


@pytest.mark.usefixtures("starts")
def test_a_network_with_an_added_node_that_runs_is_the_same_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(tmp_path, apply="local")
    directory = deployed.directory_of(tmp_path)
    directory.save_plan(directory.load_plan().with_node("candidate"))
    monkeypatch.setattr(local, "is_running", lambda _: True)

    deploy(tmp_path, apply="local")
    with pytest.raises(InvalidInput, match="a network of other parameters runs"):
        deploy(tmp_path, apply="local", port_offset=3, confirm_changes=True)


@pytest.mark.parametrize("name", ["validator-2/config.toml", "services/services.toml"])
def test_a_configuration_that_a_person_edited_is_said_and_kept(
    tmp_path: Path, starts: list[Path], name: str
) -> None:
    deploy(tmp_path, apply="local")
    file = tmp_path / "data" / name
    written = file.read_text()
    assert "written by" in written
    assert "metanode up" not in written

    for number, mine in enumerate(("# mine\n", "# mine too\n"), start=1):
        file.write_text(written + mine)
        with pytest.raises(DeploymentChange, match="is not as it was written"):
            deploy(tmp_path, apply="local")
        assert file.read_text() == written + mine
        assert len(starts) == number
        deploy(tmp_path, apply="local", confirm_changes=True)
        assert file.read_text() == written

    kept = [
        path.read_text()
        for path in (file.with_name(f"{file.name}.before"), file.with_name(f"{file.name}.before.2"))
    ]
    assert kept == [written + "# mine\n", written + "# mine too\n"]


@pytest.mark.usefixtures("starts")
def test_a_reset_deletes_what_services_keep_of_the_chain_and_no_key(tmp_path: Path) -> None:
    deploy(tmp_path, apply="local")
    data = tmp_path / "data"
    of_the_chain = [
        "explorer/index.db",
        "explorer/index.db-wal",
        "faucet/faucet.db",
        "bootstrap/peers.json",
        "validator-1/data/node.db",
    ]
    for name in of_the_chain:
        (data / name).parent.mkdir(exist_ok=True)
        (data / name).write_bytes(b"x")

    local.reset_network(deployed.directory_of(tmp_path))

    assert not [name for name in of_the_chain if (data / name).exists()]
    for name in ("faucet/faucet.json", "validator-1/validator.json", "bootstrap/nodekey"):
        assert (data / name).exists()


def test_what_runs_an_event_loop_of_its_own_may_be_called_inside_of_one() -> None:
    """A notebook has one always, and so does the document's own `await`."""

    async def answer() -> int:
        await asyncio.sleep(0)
        return 7

    async def check() -> int:
        await asyncio.sleep(0)
        return local.apart(lambda: asyncio.run(answer()))

    assert local.apart(lambda: asyncio.run(answer())) == 7
    assert asyncio.run(check()) == 7


def test_networks_of_tests_beside_each_other_have_no_port_in_common() -> None:
    """For every two offsets and every node up to the number that is promised."""

    def ports(offset: int) -> set[int]:
        spec = NetworkSpec(validator_count=NODES_APART, port_offset=offset)
        return {port for node in plan_network(spec).nodes for port in node.ports.values()}

    taken: dict[int, int] = {}
    for offset in OFFSETS:
        for port in ports(offset):
            assert taken.setdefault(port, offset) == offset
