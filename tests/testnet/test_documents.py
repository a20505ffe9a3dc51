"""The toolkit's document runs as it is written: its snippets, and its JSON. `toolkit-module.md` is the users' own text."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

from metanode.crypto.addresses import format_address
from metanode.crypto.secp256k1 import PrivateKey
from sdk.testnet.faucet import FaucetConfig
from sdk.testnet.genesis import GenesisConfig, GenesisGenerator, GenesisWarning

HERE = Path(__file__).parent
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
