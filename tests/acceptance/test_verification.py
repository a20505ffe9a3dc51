"""Contracts verified as developers do it: `forge verify-contract` and `hardhat verify`, unmodified, in all dialects, against the services of a network."""

from __future__ import annotations

import json
import re
import shutil
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_abi.abi import encode
from tests.acceptance.processes import wait_until
from tests.acceptance.programs import HERE, Project, installed, project
from tests.testnet.pages.served import free_port, serve

from sdk.testnet import Testnet

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(600)
GUIDE = HERE.parents[1] / "docs" / "guide" / "verify-a-contract.md"
VERSION = "0.8.37"
BUSY_S = 600.0
"""For a command that takes some seconds alone, and minutes where twenty others want the same two processors."""
CHAIN_ID = 9999
"""Hardhat's plugin refuses the chain ids 1337 and 31337, whatever is there."""
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
        wait_until(lambda: self.is_indexed(address), within_s=120, what="the contract is indexed")

    def is_indexed(self, address: str) -> bool:
        path = f"/api/v1/contracts/{address}"
        try:
            return httpx.get(self.api + path, trust_env=False, timeout=20).status_code == 200
        except httpx.TimeoutException:
            return False


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder, port = tmp_path_factory.mktemp("services"), free_port()
    compilers = json.dumps([str(installed("foundry"))])
    more = f"[api]\nport = {port}\nanonymous_a_minute = 100000\n[verification]\ncompilers = {compilers}\n"
    with (
        Testnet(validators=1, block_time_s=1, chain_id=CHAIN_ID, in_memory=True) as net,
        serve(folder, net, more=more) as (url, _),
    ):
        yield World(net, f"http://127.0.0.1:{port}", url, [one.private_key for one in net.accounts])


@pytest.fixture(scope="module")
def forge(world: World, tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = foundry(world, tmp_path_factory.mktemp("forge") / "project", VERSION)
    for left_out in ("Token.sol", "Counter.vy"):
        (made.path / "src" / left_out).unlink()
    (made.path / "src" / "Named.sol").write_text(NAMED)
    return made


def foundry(world: World, path: Path, version: str) -> Project:
    made = project("foundry", path, ETH_RPC_URL=world.net.rpc_url)
    for left_out in ("script", "test"):
        shutil.rmtree(made.path / left_out)
    # Where forge keeps the compilers that it has fetched: to verify, it takes the one of a version from there.
    compilers = made.path / ".svm" / version
    compilers.mkdir(parents=True)
    shutil.copy(made.path / "solc", compilers / f"solc-{version}")
    return made


def create(forge: Project, key: str, *arguments: str) -> str:
    told = forge.run(
        "forge", "create", "--use", "./solc", "--private-key", key, "--broadcast", "--json", *arguments
    )
    return json.loads(told[told.index("{") :])["deployedTo"]


def verify(world: World, forge: Project, *arguments: str, compiler: str = SOLC) -> str:
    # Without what it has cached forge does not look for the commit of its compiler, on a server of others.
    return forge.run(
        "forge", "verify-contract", "--compiler-version", compiler, "--chain", str(world.net.chain_id), "--rpc-url", world.net.rpc_url,
        "--watch", "--retries", "100", "--delay", "1", *arguments, FOUNDRY_CACHE_PATH="none",
    )  # fmt: skip


@pytest.mark.parametrize("verifier", ["custom", "etherscan"])
def test_forge_verifies_in_etherscans_dialect(world: World, forge: Project, verifier: str) -> None:
    number = 1815 + len(verifier)
    address = create(forge, world.keys[1], "src/Named.sol:Named", "--constructor-args", "Ada", str(number))
    world.wait_indexed(address)
    arguments = ("--verifier", verifier, "--verifier-url", f"{world.api}/api", address, "src/Named.sol:Named")

    with literally(forge, world) if verifier == "etherscan" else nullcontext():
        told = verify(world, forge, "--guess-constructor-args", *arguments)
        again = verify(world, forge, *arguments)

    assert "Pass - Verified" in told
    assert world.match(address) == "exact_match"
    [source] = world.etherscan("getsourcecode", address)
    assert source["ContractName"] == "Named"
    assert bytes.fromhex(source["ConstructorArguments"]) == encode(["string", "uint256"], ["Ada", number])
    assert "string memory called" in source["SourceCode"]
    assert next(entry["type"] for entry in json.loads(world.etherscan("getabi", address))) == "constructor"
    assert "already verified" in again
    [link] = re.findall(r"URL: (\S+)", told)
    page = httpx.get(link, trust_env=False, timeout=20, follow_redirects=True)
    assert (page.status_code, "Named" in page.text) == (200, True)


@contextmanager
def literally(forge: Project, world: World) -> Iterator[None]:
    """forge verifies with `etherscan` by this name on chains only that Etherscan has, or that foundry.toml knows."""
    configuration = forge.path / "foundry.toml"
    before = configuration.read_text()
    [told] = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    configuration.write_text(before + told.replace("http://localhost:9545", world.api))
    try:
        yield
    finally:
        configuration.write_text(before)


def test_forge_verifies_vyper(world: World, tmp_path: Path) -> None:
    """forge wants a solc of the same number as the Vyper, which is not asked for anything: ours stands in for it."""
    version, commit = "0.4.3", "bff19ea2"
    forge = foundry(world, tmp_path / "project", version)
    for left_out in ("Token.sol", "Counter.sol"):
        (forge.path / "src" / left_out).unlink()
    with (forge.path / "foundry.toml").open("a") as configuration:
        configuration.write(f'[profile.default.vyper]\npath = "{Path(sys.executable).with_name("vyper")}"\n')
    address = create(forge, world.keys[4], "src/Counter.vy:Counter")
    world.wait_indexed(address)
    arguments = (
        "--verifier",
        "custom",
        "--verifier-url",
        f"{world.api}/api",
        address,
        "src/Counter.vy:Counter",
    )

    told = verify(world, forge, *arguments, compiler=f"{version}+commit.{commit}")

    assert "Pass - Verified" in told
    [source] = world.etherscan("getsourcecode", address)
    assert source["ContractName"] == "Counter"
    assert source["CompilerVersion"].startswith("vyper:0.4.3")


def test_forge_verifies_with_sourcify(world: World, forge: Project) -> None:
    address = create(forge, world.keys[2], "src/Counter.sol:Counter")
    world.wait_indexed(address)
    arguments = ("--verifier", "sourcify", "--verifier-url", world.api, address, "src/Counter.sol:Counter")

    told = verify(world, forge, *arguments)

    assert world.match(address) == "exact_match", told
    assert "already verified" in verify(world, forge, *arguments)


OWN_PART = """plugins: [hardhatToolboxViem],
  solidity: {
    version: "0.8.37",
    path: `${import.meta.dirname}/node_modules/solc/soljson.js`, // npm's solc; without this line Hardhat downloads a compiler
    settings: { evmVersion: "osaka" },
  },
  networks: {
    metanode: {
      type: "http",
      chainType: "l1",
      url: configVariable("METANODE_URL"),
      accounts: [configVariable("METANODE_KEY")],
    },
  },"""
"""What a project has anyway; the guide's part is about verification alone."""
DEPLOY = """import { network } from "hardhat";

const { viem } = await network.create();
const addresses = [];
for (const number of [1n, 2n, 3n]) {
  addresses.push((await viem.deployContract("Named", ["Ada", number])).address);
}
console.log(JSON.stringify(addresses));
"""


@pytest.fixture(scope="module")
def hardhat(world: World, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the configuration of the guide."""
    made = project(
        "hardhat", tmp_path_factory.mktemp("hardhat") / "project",
        METANODE_URL=world.net.rpc_url, METANODE_KEY=world.keys[3],
    )  # fmt: skip
    for left_out in ("contracts", "ignition", "scripts", "test"):
        shutil.rmtree(made.path / left_out)
    found = re.search(r"```ts\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert found is not None
    told = (
        found[1].replace("http://localhost:9545", world.api).replace("http://localhost:3000", world.explorer)
    )
    assert "// ..." in told
    configuration = made.path / "hardhat.config.ts"
    imports = re.findall(r"^import .*\n", configuration.read_text(), re.MULTILINE)
    configuration.write_text("".join(imports) + told.replace("// ...", OWN_PART))
    for path, text in (("contracts/Named.sol", NAMED), ("scripts/deploy.ts", DEPLOY)):
        (made.path / path).parent.mkdir()
        (made.path / path).write_text(text)
    return made


@pytest.mark.timeout(1_800)
def test_hardhat_verifies_with_each_of_its_providers(world: World, hardhat: Project) -> None:
    told = hardhat.run(
        "hardhat", "--build-profile", "production", "run", "scripts/deploy.ts", "--network", "metanode",
        within_s=BUSY_S,
    )  # fmt: skip
    addresses = dict(
        zip(("etherscan", "blockscout", "sourcify"), json.loads(told.splitlines()[-1]), strict=True)
    )

    for number, (provider, address) in enumerate(addresses.items(), 1):
        world.wait_indexed(address)
        asked = ("hardhat", "verify", provider, "--network", "metanode", address, "Ada", str(number))
        told = hardhat.run(*asked, within_s=BUSY_S)

        assert "Contract verified successfully" in told
        assert world.match(address) == "exact_match", told
        [source] = world.etherscan("getsourcecode", address)
        assert source["ContractName"] == "Named"
        assert bytes.fromhex(source["ConstructorArguments"]) == encode(["string", "uint256"], ["Ada", number])
        assert "string memory called" in source["SourceCode"]
        # It tells where people see the contract.
        [link] = re.findall(r"Explorer: (\S+)", told)
        page = httpx.get(link, trust_env=False, timeout=20, follow_redirects=True)
        assert page.status_code == 200
        assert str(page.url).replace("localhost", "127.0.0.1").startswith(world.explorer)

    # Without a provider's name it asks all of them.
    told = hardhat.run(
        "hardhat", "verify", "--network", "metanode", address, "Ada", str(number), within_s=BUSY_S
    )
    assert told.count("has already been verified") == len(addresses)
