"""`testnet genesis` as a person types it: what it makes, what it refuses, and files from strangers."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metanode.chain.genesis import parse_genesis
from metanode.crypto.addresses import format_address
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput
from sdk.testnet.command import genesis
from sdk.testnet.genesis import GenesisConfig, GenesisGenerator

KEY = PrivateKey(b"\x07" * 32)
ADDRESS = format_address(KEY.address)
PUBLIC_KEY = "0x" + KEY.public_key.hex()


def run_testnet(*arguments: str, cwd: Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
    finished = subprocess.run(
        [sys.executable, "-m", "sdk.testnet", *arguments],
        cwd=cwd, env={**os.environ, "PYTHONWARNINGS": "error", "COLUMNS": "200"},
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert finished.returncode == expect, finished.stdout + finished.stderr
    assert "Traceback" not in finished.stderr
    return finished


def test_a_new_genesis_is_exported_checked_and_never_replaced(tmp_path: Path) -> None:
    made = run_testnet(
        *("genesis", "new", "-o", "g", "--validators", "2", "--network", "mine", "--chain-id", "77", "--consensus", "ibft"),
        *("--add-validator", f"{ADDRESS},5_000_000,{PUBLIC_KEY},A name, with a comma", "--fund", f"{ADDRESS}=5", "--json"),
        cwd=tmp_path,
    )  # fmt: skip

    found = json.loads(made.stdout)
    assert {Path(file).name for file in found["files"]} == {
        "genesis.json",
        "genesis_block.json",
        "validators.json",
        "chain_specification.json",
    }
    assert found["validators"][2] == {"name": "A name, with a comma", "address": ADDRESS, "stake": 5_000_000}
    parsed = parse_genesis((tmp_path / "g" / "chain_specification.json").read_bytes())
    assert found["genesis_hash"] == "0x" + parsed.hash.hex()
    assert (parsed.chain_id, parsed.parameters.period_s) == (77, 2)
    checked = json.loads(run_testnet("genesis", "check", "g/genesis.json", "--json", cwd=tmp_path).stdout)
    assert checked["valid"]
    assert checked["genesis_hash"] == found["genesis_hash"]

    before = (tmp_path / "g" / "genesis.json").read_bytes()
    refused = run_testnet("genesis", "new", "-o", "g", cwd=tmp_path, expect=1)
    assert "g/genesis.json exists already; a genesis is never replaced" in refused.stderr
    assert (tmp_path / "g" / "genesis.json").read_bytes() == before


def test_a_configuration_of_a_person_becomes_what_nodes_start_from(tmp_path: Path) -> None:
    generator = GenesisGenerator()
    generator.create_testnet_config(validator_count=4).save(tmp_path / "mine.json")

    made = run_testnet("genesis", "export", "mine.json", "-o", "out", cwd=tmp_path)

    block = generator.generate_genesis_block()
    assert (tmp_path / "out" / "chain_specification.json").read_bytes() == block.specification
    assert f"genesis hash: 0x{block.hash.hex()}" in made.stdout
    GenesisGenerator(GenesisConfig.load(tmp_path / "out" / "genesis.json")).validate_config()
    run_testnet("genesis", "export", "mine.json", "-o", "out", cwd=tmp_path)
    GenesisGenerator().create_testnet_config(validator_count=4).save(tmp_path / "other.json")
    refused = run_testnet("genesis", "export", "other.json", "-o", "out", cwd=tmp_path, expect=1)
    assert "out/genesis.json is another genesis; it is never replaced" in refused.stderr
    assert (tmp_path / "out" / "chain_specification.json").read_bytes() == block.specification


def test_everything_that_is_wrong_is_said_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    refused = run_testnet(
        *(
            "genesis",
            "new",
            "-o",
            "g",
            "--validators",
            "1",
            "--chain-id",
            "0",
            "--stake",
            "5",
            "--network",
            "No Name",
        ),
        *("--add-validator", "0x1234...,7,0xabcd..."),
        cwd=tmp_path,
        expect=1,
    )

    for field in (
        "chain_id: ",
        "initial_validators[0].stake: ",
        "network_name: ",
        "initial_validators[1].address: ",
    ):
        assert field in refused.stderr
    assert not (tmp_path / "g").exists()


def valid() -> dict[str, Any]:
    return GenesisGenerator().create_testnet_config(validator_count=1).to_dict()


VALID = valid()


def text_of(**changes: Any) -> bytes:
    return json.dumps(VALID | changes).encode()


HOSTILE = {
    "empty": b"",
    "zeros": bytes(64),
    "not JSON": b"{",
    "not an object": b"[]",
    "a number": b"1e999",
    "nesting": b"[" * 100_000,
    "not UTF-8": b'{"chain_id": "\xff"}',
    "a key twice": b'{"chain_id": 1, "chain_id": 2}',
    "NaN": text_of().replace(b'"decimals": 18', b'"decimals": NaN'),
    "a number of ten thousand digits": text_of().replace(b'"decimals": 18', b'"decimals": ' + b"9" * 10_000),
    "negative chain id": text_of(chain_id=-1),
    "chain id of text": text_of(chain_id="9999"),
    "chain id true": text_of(chain_id=True),
    "no validators": text_of(initial_validators=[]),
    "null validators": text_of(initial_validators=None),
    "validators of numbers": text_of(initial_validators=[1, 2]),
    "unknown field": text_of(chainId=5),
    "terminal commands": text_of(network_name="\x1b[2J\x07name"),
    "a year 10000": text_of(genesis_time="10000-01-01T00:00:00Z"),
    "too much stake": text_of(total_supply=1),
    "geth's format": json.dumps({"config": {"chainId": 1}, "alloc": {}}).encode(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_sentences_and_exit_code_1(tmp_path: Path, name: str) -> None:
    (tmp_path / "genesis.json").write_bytes(HOSTILE[name])

    refused = run_testnet("genesis", "check", "genesis.json", cwd=tmp_path, expect=1)

    lines = refused.stderr.splitlines()
    assert lines[0].startswith("error: genesis.json: ")
    assert all("genesis.json: " in line for line in lines)
    assert all(line.isprintable() and len(line) < 500 for line in lines)
    assert refused.stdout == ""


@pytest.mark.parametrize(("path", "text"), [("absent.json", "can't be read: No such file"), (".", "can't be read: Is a directory"), ("/dev/zero", "expected at most 16777216 bytes")])  # fmt: skip
def test_what_is_no_file_is_a_sentence(tmp_path: Path, path: str, text: str) -> None:
    for command in ("check", "export"):
        assert text in run_testnet("genesis", command, path, cwd=tmp_path, expect=1).stderr
    assert not (tmp_path / "genesis").exists()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


def put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The document with something else at a place."""
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = put(document[path[0]], path[1:], value)
    return copy


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(places(VALID)), value=JSON, noise=st.binary(max_size=8), at=st.integers(0, 400))
def test_whatever_stands_in_a_file_it_is_valid_or_refused_in_printable_sentences(
    tmp_path: Path, place: tuple[Any, ...], value: Any, noise: bytes, at: int
) -> None:
    codes, lines = set[int](), list[str]()
    content = json.dumps(put(VALID, place, value)).encode()
    for text in (content, content[:at] + noise + content[at + len(noise) :]):
        (tmp_path / "genesis.json").write_bytes(text)
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                genesis.check(tmp_path / "genesis.json", json=True)
            except InvalidInput as error:
                pytest.fail(f"with --json problems are in the document: {error}")
            except genesis.typer.Exit as end:
                codes.add(end.exit_code)
            try:
                genesis.check(tmp_path / "genesis.json", json=False)
            except InvalidInput as error:
                lines += str(error).splitlines()
    assert codes <= {1}
    assert all(line.isprintable() and len(line) < 1000 for line in lines)
