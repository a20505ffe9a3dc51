"""Making and deleting a local network; nothing is started here."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
from pathlib import Path

import pytest

from metanode.crypto.keystore import load_key
from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.deployment.apply import local
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import NetworkSpec, NodePlan

TWO = NetworkSpec(validator_count=2)


def address(directory: NetworkDirectory, name: str) -> bytes:
    home = directory.node(name)
    return load_key(home / "validator.json", (home / "validator.password").read_text().strip()).address


def test_secrets_are_for_their_owner_only(tmp_path: Path) -> None:
    directory = NetworkDirectory(tmp_path)
    local.create_network(directory, TWO)

    for name in ("validator.json", "validator.password", "nodekey"):
        assert stat.S_IMODE((directory.node("validator-1") / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.node("validator-1").stat().st_mode) == 0o700


def test_keys_of_a_local_network_cost_little_to_open(tmp_path: Path) -> None:
    directory = NetworkDirectory(tmp_path)
    local.create_network(directory, TWO)

    document = json.loads((directory.node("validator-1") / "validator.json").read_text())
    assert document["crypto"]["kdfparams"]["n"] == 16_384


def test_keys_are_taken_up_again_after_a_reset(tmp_path: Path) -> None:
    directory = NetworkDirectory(tmp_path)
    local.create_network(directory, TWO)
    before = address(directory, "validator-2")

    local.reset_network(directory)
    local.create_network(directory, TWO)

    assert address(directory, "validator-2") == before


@pytest.mark.parametrize(
    "lost", [("validator.json",), ("validator.json", "validator.password"), ("nodekey",)]
)
def test_a_creation_that_was_interrupted_goes_on(tmp_path: Path, lost: tuple[str, ...]) -> None:
    directory = NetworkDirectory(tmp_path)
    local.create_network(directory, TWO)
    directory.plan_file.unlink()
    for name in lost:
        (directory.node("validator-2") / name).unlink()

    local.create_network(directory, TWO)

    assert directory.exists()
    assert address(directory, "validator-2") != address(directory, "validator-1")


def test_a_keystore_without_its_password_names_the_file_that_is_missing(tmp_path: Path) -> None:
    directory = NetworkDirectory(tmp_path)
    local.create_network(directory, TWO)
    directory.plan_file.unlink()
    (directory.node("validator-1") / "validator.password").unlink()

    with pytest.raises(
        InvalidInput, match=r"validator-1/validator\.password: missing, while .*put the password back"
    ):
        local.create_network(directory, TWO)


def test_a_network_with_a_damaged_plan_can_be_reset(tmp_path: Path) -> None:
    directory = NetworkDirectory(tmp_path)
    local.create_network(directory, TWO)
    directory.plan_file.write_text("{")

    assert not local.stop_network(directory)
    local.reset_network(directory)
    local.create_network(directory, TWO)


def test_where_nothing_is_there_is_nothing_to_stop(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no network in"):
        local.stop_network(NetworkDirectory(tmp_path))


def test_nobody_waits_for_nodes_that_nothing_keeps_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = NetworkDirectory(tmp_path)
    local.create_network(directory, TWO)
    directory.supervisor_log.parent.mkdir()
    directory.supervisor_log.write_text("No space left on device\n")
    monkeypatch.setattr(local, "SUPERVISOR_START_TIMEOUT_S", 0.0)

    with pytest.raises(
        Unavailable, match=r"the supervisor of the nodes has ended\n.*\nNo space left on device"
    ):
        local.wait_network_ready(directory)


def answering(*heights: int | None) -> local.NetworkStatus:
    """What validators of these heights answer; at one height they have one block."""
    return local.NetworkStatus(
        directory=Path("network"), network_name="n", chain_id=1, running=True,
        nodes=tuple(
            local.NodeStatus(
                name=f"validator-{n}", role="validator", pid=1, restarts=0, rpc_url="", metrics_url="",
                height=height, block_hash=None if height is None else f"0x{height:064x}", peers=1, validators=len(heights),
            )
            for n, height in enumerate(heights)
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "ready_at"),
    [
        ([(None, None), (0, 0), (1, 1)], 1),
        ([(1, 1)], 1),
        ([(488, None), (488, 488), (488, 488), (489, 489)], 489),
    ],
    ids=["a new chain", "a new chain that was quick", "a chain of before"],
)
def test_a_network_is_ready_when_it_makes_blocks(
    monkeypatch: pytest.MonkeyPatch, seen: list[tuple[int | None, ...]], ready_at: int
) -> None:
    answers = iter(seen)
    monkeypatch.setattr(local, "POLL_INTERVAL_S", 0.0)
    monkeypatch.setattr(local, "network_status", lambda _: answering(*next(answers)))

    assert local.wait_network_ready(NetworkDirectory(Path("network"))).height == ready_at


def test_a_chain_of_before_that_stands_still_is_not_called_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "network_status", lambda _: answering(488, 488))
    directory = NetworkDirectory(tmp_path)
    local.create_network(directory, TWO)

    with pytest.raises(
        Unavailable, match=r"every validator has block 488, and none comes; `metanode doctor`"
    ):
        local.wait_network_ready(directory, timeout_s=0.05)


def test_many_taken_ports_are_told_in_few_lines() -> None:
    with contextlib.ExitStack() as listeners:
        ports = [
            listeners.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            for _ in range(12)
        ]
        nodes = [
            NodePlan(
                name=f"validator-{n + 1}", role="validator",
                rpc_port=ports[n], p2p_port=ports[n + 3], metrics_port=ports[n + 6], private_port=ports[n + 9],
            )
            for n in range(3)
        ]  # fmt: skip
        with pytest.raises(InvalidInput) as refused:
            local.check_ports(nodes)

    lines = str(refused.value).splitlines()
    assert lines[0].startswith(
        f"port {ports[0]} (rpc_port of validator-1) is in use by process {os.getpid()} ("
    )
    assert lines[local.PORTS_NAMED_MAX].strip() == "and 4 more ports"
    assert len(lines) == local.PORTS_NAMED_MAX + 2


def test_version_control_leaves_out_a_network(tmp_path: Path) -> None:
    local.create_network(NetworkDirectory(tmp_path / "net"), TWO)

    assert (tmp_path / "net" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize(
    ("told", "expected"),
    [([None, None, None, None], 4), ([4, 4, None, 5], 5), ([3, None, None, None], 3)],
)
def test_validators_are_counted_from_the_current_set_of_the_highest_node(
    tmp_path: Path, told: list[int | None], expected: int
) -> None:
    nodes = tuple(
        local.NodeStatus(
            name=f"validator-{n}", role="validator", pid=1, restarts=0, rpc_url="", metrics_url="", height=None if count is None else n,
            block_hash=None, peers=None, validators=count,
        )
        for n, count in enumerate(told, start=1)
    )  # fmt: skip
    status = local.NetworkStatus(directory=tmp_path, network_name="n", chain_id=1, running=True, nodes=nodes)
    assert status.validator_count == expected
