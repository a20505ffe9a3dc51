"""The toolkit's document runs as it is written: its snippets, and its JSON. `toolkit-module.md` is the users' own text."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from metanode.chain.genesis import parse_genesis
from metanode.crypto.addresses import format_address
from metanode.crypto.secp256k1 import PrivateKey
from sdk.testnet.bootstrap import BootstrapConfig
from sdk.testnet.deployment import deploy_testnet
from sdk.testnet.faucet import FaucetConfig
from sdk.testnet.genesis import GenesisConfig, GenesisGenerator, GenesisWarning

HERE = Path(__file__).parent
ORIGINAL = HERE.parents[2] / "shared" / "seeds" / "toolkit-module.md"
DOCUMENT = (HERE / "toolkit-module.md").read_text()
PAGE = (HERE.parents[1] / "docs" / "reference" / "toolkit-genesis.md").read_text()


def snippet(language: str, containing: str, text: str = DOCUMENT) -> str:
    """The one block of this language with these words."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    (found,) = [block for block in blocks if containing in block]
    return str(found)


def run(code: str) -> dict[str, Any]:
    """Run it, and return its names; an `await` that stands alone runs as in a notebook."""
    names: dict[str, Any] = {"__name__": "__main__"}
    compiled = compile(code, "toolkit-module.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if compiled.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(compiled, names))  # noqa: S307 - the document is ours
    else:
        exec(compiled, names)  # noqa: S102 - the same
    return names


def test_the_genesis_snippet_runs_and_warns_of_its_placeholders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.warns(GenesisWarning, match=r"initial_validators\[5\]\.address: .*'0x1234\.\.\.'"):
        names = run(snippet("python", "GenesisGenerator()"))

    assert len(names["errors"]) == 2
    assert "✅" not in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "genesis").iterdir()) == [
        "genesis.json",
        "keys",
        "validators.json",
    ]


def test_the_genesis_snippet_with_a_real_validator_is_valid_and_starts_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    key = PrivateKey(b"\x05" * 32)
    code = snippet("python", "GenesisGenerator()")
    code = code.replace("0x1234...", format_address(key.address))
    code = code.replace("0xabcd...", "0x" + key.public_key.hex())

    names = run(code)

    assert capsys.readouterr().out == "✅ Configuration is valid\n"
    block = names["generator"].generate_genesis_block()
    powers = sorted(validator.power for validator in block.genesis.parameters.validators)
    assert powers == [5_000_000] + [10_000_000] * 5
    assert (tmp_path / "genesis" / "chain_specification.json").read_bytes() == block.specification


def test_the_genesis_json_of_the_document_is_the_form_with_its_defaults() -> None:
    text = snippet("json", '"genesis_time"')

    config = GenesisConfig.from_json(text)

    assert config.to_dict() == json.loads(text) | {"initial_validators": [], "initial_accounts": []}
    made = GenesisGenerator().create_testnet_config()
    assert (made.consensus, made.total_supply, made.decimals) == (config.consensus, 10**9, 18)
    ports = ("p2p_port", "rpc_port", "max_peers")
    assert [getattr(made.network, name) for name in ports] == [
        getattr(config.network, name) for name in ports
    ]
    (problem,) = GenesisGenerator(config).validate_config()
    assert (
        problem
        == "initial_validators: expected at least 1 validator, found none: there is nobody to form a quorum"
    )


def test_the_snippet_of_the_reference_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    names = run(snippet("python", "GenesisGenerator()", PAGE))

    assert (tmp_path / "genesis" / "chain_specification.json").exists()
    assert names["block"].hash == names["generator"].generate_genesis_block().hash


@pytest.mark.timeout(300)
def test_the_faucet_snippet_pays(capsys: pytest.CaptureFixture[str]) -> None:
    names = run(snippet("python", "faucet = Faucet(config)"))

    asyncio.run(names["faucet"].close())
    assert re.fullmatch(
        r"Sent 100000000000 tokens\nTX Hash: 0x[0-9a-f]{64}\nTotal requests: 1\nTokens distributed: 100000000000\n",
        capsys.readouterr().out,
    )


@pytest.mark.timeout(300)
def test_the_snippets_of_the_faucets_page_run(capsys: pytest.CaptureFixture[str]) -> None:
    page = (HERE.parents[1] / "docs" / "reference" / "toolkit-faucet.md").read_text()

    run(snippet("python", "async with Faucet()", page))
    names = run(snippet("python", "rpc_url=", page))

    assert capsys.readouterr().out == "True 100000000000 None\n100000000000\n"
    assert names["config"].keystore == Path("genesis/keys/faucet/faucet.json")


def test_the_faucet_configuration_of_the_document_is_the_default() -> None:
    block = snippet("python", "daily_limit=1000")

    made = eval(block.strip(), {"FaucetConfig": FaucetConfig})  # noqa: S307 - the document is ours

    assert made == FaucetConfig()


@pytest.mark.timeout(300)
def test_the_snippet_of_the_guide_runs(capsys: pytest.CaptureFixture[str]) -> None:
    guide = (HERE.parents[1] / "docs" / "guide" / "network-in-a-test.md").read_text()

    run(snippet("python", "Testnet(", guide))

    assert re.fullmatch(r"http://127\.0\.0\.1:\d+ 1337 0xf39F\w+\n", capsys.readouterr().out)


PYTHON_BLOCKS = {
    "from sdk.testnet.deployment import deploy_testnet": "test_the_deployment_snippet_writes_a_network",
    "generator = GenesisGenerator()": "test_the_genesis_snippet_runs_and_warns_of_its_placeholders",
    "faucet = Faucet(config)": "test_the_faucet_snippet_pays",
    "node = BootstrapNode(config)": "test_the_bootstrap_snippet_runs",
    "monitor = TestnetMonitor()": "test_the_monitoring_snippet_runs",
    "daily_limit=1000": "test_the_faucet_configuration_of_the_document_is_the_default",
    "peer_timeout=3600,": "test_the_bootstrap_configuration_of_the_document_is_valid",
}
"""Words of each Python block of the document, and the test that runs it."""


def test_every_python_block_of_the_document_is_run() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", DOCUMENT, flags=re.DOTALL | re.MULTILINE)

    tests = [[test for words, test in PYTHON_BLOCKS.items() if words in block] for block in blocks]

    assert tests == [[test] for test in PYTHON_BLOCKS.values()]
    assert all(callable(globals()[test]) for test in PYTHON_BLOCKS.values())


def test_the_copy_of_the_document_is_the_document() -> None:
    if not ORIGINAL.exists():
        pytest.skip("the users' own document is not handed along: there is nothing to compare the copy with")
    assert ORIGINAL.read_text() == DOCUMENT


@pytest.mark.timeout(300)
def test_the_whole_document_runs_in_one_folder_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a reader does it: the second block exports a genesis of its own into the folder from which the nodes of the first start."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", DOCUMENT, flags=re.DOTALL | re.MULTILINE)
    made: dict[str, bytes] = {}
    ends = {
        "BootstrapNode(config)": "await node.stop()\n",
        "TestnetMonitor()": "await monitor.stop()\n",
        "Faucet(config)": "await faucet.close()\n",
    }

    for block in blocks:
        # With another port, for 30303 may be taken on this machine; and stopped at the end.
        code = block.replace(
            "listen_port=30303,\n    max_peers=1000,\n    chain_id",
            "listen_port=0,\n    max_peers=1000,\n    chain_id",
        )
        code += "".join(end for words, end in ends.items() if words in block)
        names = "from sdk.testnet import BootstrapConfig, FaucetConfig\n" if "import" not in block else ""
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            run(names + code)
        if "GenesisGenerator()" in block:
            assert any("exported to genesis/my-testnet" in str(warning.message) for warning in told)
        if not made:
            made = {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}

    assert "Active peers: 1" in capsys.readouterr().out
    assert {name: Path(name).read_bytes() for name in made} == made
    assert (tmp_path / "genesis" / "my-testnet" / "genesis.json").exists()
    again = deploy_testnet(network_name="moderntensor-testnet", chain_id=9999, num_validators=5)
    assert (again.created, again.changed) == ((), ())
    genesis = parse_genesis((tmp_path / "genesis" / "chain_specification.json").read_bytes())
    assert again.genesis_hash == "0x" + genesis.header.hash.hex()


@pytest.mark.timeout(300)
def test_the_deployment_snippet_writes_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    run(snippet("python", "from sdk.testnet.deployment import deploy_testnet"))

    for name in (
        "genesis/genesis.json",
        "genesis/chain_specification.json",
        *(f"data/validator-{number}/validator.json" for number in range(1, 6)),
        "docker-compose.testnet.yml",
        "TESTNET_DEPLOYMENT.md",
    ):
        assert (tmp_path / name).is_file(), name
    config = GenesisConfig.load(tmp_path / "genesis" / "genesis.json")
    assert (config.chain_id, config.network_name, len(config.initial_validators)) == (
        9999,
        "moderntensor-testnet",
        5,
    )


def test_the_bootstrap_snippet_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """With another port, for 30303 may be taken on this machine, and stopped at the end."""
    code = snippet("python", "node = BootstrapNode(config)").replace("listen_port=30303", "listen_port=0")

    names = run(code + "await node.stop()\n")

    assert names["success"] is True
    assert [(peer.node_id, peer.address, peer.port, peer.verified) for peer in names["peers"]] == [
        ("validator-1", "192.168.1.100", 30303, False)
    ]
    assert capsys.readouterr().out.endswith("Active peers: 1\n")


def test_the_monitoring_snippet_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Stopped at the end."""
    names = run(snippet("python", "monitor = TestnetMonitor()") + "await monitor.stop()\n")

    assert capsys.readouterr().out == "Total nodes: 1\nHealthy nodes: 1\nCurrent height: 1000\n"
    json.dumps(names["dashboard"])


def test_the_bootstrap_configuration_of_the_document_is_valid() -> None:
    block = snippet("python", "peer_timeout=3600,")

    made = eval(block.strip(), {"BootstrapConfig": BootstrapConfig})  # noqa: S307 - the document is ours

    assert made == BootstrapConfig(listen_address="0.0.0.0")
