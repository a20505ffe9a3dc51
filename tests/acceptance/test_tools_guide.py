"""docs/guide/tools.md, followed to the letter in an empty folder: its files written, its commands run, on a running network."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.processes import free_ports
from tests.acceptance.programs import HERE, Project, installed
from tools.setup import DEVP2P

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunningNetwork

GUIDE = (HERE.parents[1] / "docs" / "guide" / "tools.md").read_text()
FILE = re.compile(r"`([\w./]+)`:\n\n```\w+\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
COMMANDS = re.compile(r"^```sh\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
FOLLOWED_WITHIN_S = 500.0
"""A whole section, of which each command may compile."""

pytestmark = pytest.mark.timeout(600)


def section(name: str) -> str:
    (text,) = re.findall(rf"^## {name}\n(.*?)(?=^## |\Z)", GUIDE, flags=re.DOTALL | re.MULTILINE)
    return text


def follow(*names: str, path: Path, network: RunningNetwork) -> str:
    """Write the files and run the commands of these sections; what was printed. Installing is what the set-up has done."""
    node = network.plan.nodes[0]
    addresses = {
        "http://127.0.0.1:8545": network.http_url,
        "http://127.0.0.1:18545": node.private_url,
        "8600": str(free_ports(1)[0]),
    }
    commands = ["set -eu", 'export PATH="$PWD:$PATH"']
    for name in names:
        text = section(name)
        for old, new in addresses.items():
            text = text.replace(old, new)
        for file, content in FILE.findall(text):
            (path / file).parent.mkdir(parents=True, exist_ok=True)
            (path / file).write_text(content)
        lines = [line for block in COMMANDS.findall(text) for line in block.splitlines()]
        commands += [line for line in lines if not re.match(r"npm install|go install", line)]
    assert len(commands) > 4
    return Project(path).run(
        "bash",
        "-c",
        "\n".join(commands),
        within_s=FOLLOWED_WITHIN_S,
        FOUNDRY_SOLC="./solc",
        FOUNDRY_OFFLINE="true",
    )


def folder(name: str, path: Path) -> Path:
    (path / "node_modules").symlink_to(installed(name))
    shutil.copy(HERE / "foundry" / "solc", path)
    return path


def test_the_guide_asks_for_no_more_logs_at_once_than_an_old_chain_gives() -> None:
    """The networks of these tests are minutes old; a reader's may have more blocks than one `eth_getLogs` covers."""
    reference = (HERE.parents[1] / "docs" / "reference" / "json-rpc-server.md").read_text()
    (limit,) = re.findall(r"`eth_getLogs`: distance of the blocks[^|]*\| ([\d,]+)", reference)
    commands = re.findall(r"^cast logs .*$", GUIDE, flags=re.MULTILINE)

    assert commands
    for command in commands:
        sizes = re.findall(r"--query-size (\d+)", command)
        assert sizes, f"{command}: asks for 10,000 blocks at a time"
        assert int(sizes[0]) <= int(limit.replace(",", "")), command
        assert "--to-block $(cast block-number)" in command, f"{command}: a tag is not cut into pieces"


def test_the_sections_on_foundry_work(network: RunningNetwork, tmp_path: Path) -> None:
    told = follow("cast", "forge", "anvil", path=folder("foundry", tmp_path), network=network)

    assert told.startswith("1337\n")
    assert "Deployed to: 0x" in told
    assert "ONCHAIN EXECUTION COMPLETE & SUCCESSFUL" in told
    assert "1 tests passed, 0 failed" in told or "1 passed; 0 failed" in told


def test_the_section_on_hardhat_works(network: RunningNetwork, tmp_path: Path) -> None:
    path = folder("hardhat", tmp_path)
    (path / "package.json").write_text('{"type": "module"}')
    (path / "contracts").mkdir()
    files = dict(FILE.findall(section("forge")))
    (path / "contracts" / "Counter.sol").write_text(files["src/Counter.sol"])

    told = follow("Hardhat", path=path, network=network)

    assert "successfully deployed" in told
    assert re.search(r"value 4n in block \d+n", told)


@pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed: apt-get install golang-go")
def test_the_section_on_devp2p_works(network: RunningNetwork, tmp_path: Path) -> None:
    if not DEVP2P.exists():
        pytest.fail("devp2p is not built: make setup-dev")
    path = folder("foundry", tmp_path)
    (path / "devp2p").symlink_to(DEVP2P)

    told = follow("devp2p", path=path, network=network)

    assert "15/15 tests passed" in told
    assert "mtn/1" in told
