"""Contracts verified as developers do it: `forge verify-contract`, unmodified, in both dialects, against the services of a network."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_abi.abi import encode
from tests.acceptance.processes import wait_until
from tests.acceptance.programs import Project, installed, project
from tests.testnet.pages.served import free_port, serve

from sdk.testnet import Testnet

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(600)
VERSION = "0.8.37"
SOLC = f"{VERSION}+commit.f401782d"
"""Told to forge, which would ask a server for the commit of `0.8.37` otherwise."""


NAMED = """// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

contract Named {
    string public name;
    uint256 public immutable number;

    constructor(string memory called, uint256 counted) {
        name = called;
        number = counted;
    }
}
"""


@dataclass(frozen=True)
class World:
    """A network with its explorer and API, and keys to send with."""

    net: Testnet
    api: str
    explorer: str
    keys: list[str]

    def get(self, path: str) -> Any:
        return httpx.get(self.api + path, trust_env=False, timeout=20).json()

    def etherscan(self, action: str, address: str) -> Any:
        return self.get(f"/api?module=contract&action={action}&address={address}")["result"]

    def match(self, address: str) -> str | None:
        return self.get(f"/v2/contract/{self.net.chain_id}/{address}")["match"]

    def wait_indexed(self, address: str) -> None:
        path = f"/api/v1/contracts/{address}"
        wait_until(
            lambda: httpx.get(self.api + path, trust_env=False).status_code == 200,
            within_s=60,
            what="the contract is indexed",
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder, port = tmp_path_factory.mktemp("services"), free_port()
    compilers = json.dumps([str(installed("foundry"))])
    more = f"[api]\nport = {port}\nanonymous_a_minute = 100000\n[verification]\ncompilers = {compilers}\n"
    with (
        Testnet(validators=1, block_time_s=1, in_memory=True) as net,
        serve(folder, net, more=more) as (url, _),
    ):
        yield World(net, f"http://127.0.0.1:{port}", url, [one.private_key for one in net.accounts])


@pytest.fixture(scope="module")
def forge(world: World, tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = project("foundry", tmp_path_factory.mktemp("forge") / "project", ETH_RPC_URL=world.net.rpc_url)
    for left_out in ("script", "test"):
        shutil.rmtree(made.path / left_out)
    for left_out in ("Token.sol", "Counter.vy"):
        (made.path / "src" / left_out).unlink()
    (made.path / "src" / "Named.sol").write_text(NAMED)
    # Where forge keeps the compilers that it has fetched: to verify, it takes the one of a version from there.
    compilers = made.path / ".svm" / VERSION
    compilers.mkdir(parents=True)
    shutil.copy(made.path / "solc", compilers / f"solc-{VERSION}")
    return made


def create(forge: Project, key: str, *arguments: str) -> str:
    told = forge.run(
        "forge", "create", "--use", "./solc", "--private-key", key, "--broadcast", "--json", *arguments
    )
    return json.loads(told[told.index("{") :])["deployedTo"]


def verify(world: World, forge: Project, *arguments: str) -> str:
    # Without what it has cached forge does not look for the commit of its compiler, on a server of others.
    return forge.run(
        "forge", "verify-contract", "--compiler-version", SOLC, "--chain", str(world.net.chain_id), "--rpc-url", world.net.rpc_url,
        "--watch", "--retries", "100", "--delay", "1", *arguments, FOUNDRY_CACHE_PATH="none",
    )  # fmt: skip


def test_forge_verifies_in_etherscans_dialect(world: World, forge: Project) -> None:
    address = create(forge, world.keys[1], "src/Named.sol:Named", "--constructor-args", "Ada", "1815")
    world.wait_indexed(address)

    arguments = ("--verifier", "custom", "--verifier-url", f"{world.api}/api", address, "src/Named.sol:Named")

    told = verify(world, forge, "--guess-constructor-args", *arguments)

    assert "Pass - Verified" in told
    assert world.match(address) == "exact_match"
    [source] = world.etherscan("getsourcecode", address)
    assert source["ContractName"] == "Named"
    assert bytes.fromhex(source["ConstructorArguments"]) == encode(["string", "uint256"], ["Ada", 1815])
    assert "string memory called" in source["SourceCode"]
    assert next(entry["type"] for entry in json.loads(world.etherscan("getabi", address))) == "constructor"
    assert "already verified" in verify(world, forge, *arguments)


def test_forge_verifies_with_sourcify(world: World, forge: Project) -> None:
    address = create(forge, world.keys[2], "src/Counter.sol:Counter")
    world.wait_indexed(address)
    arguments = ("--verifier", "sourcify", "--verifier-url", world.api, address, "src/Counter.sol:Counter")

    told = verify(world, forge, *arguments)

    assert world.match(address) == "exact_match", told
    assert "already verified" in verify(world, forge, *arguments)
