"""Commands as a person types them, without a network."""

from __future__ import annotations

import json
import os
import random
import socket
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import typer

from metanode import __version__
from metanode.cli.program import app
from metanode.crypto.keystore import write_secret_file
from sdk.testnet.deployment.apply.accounts import funded_accounts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VALIDATOR = "0x" + "11" * 20


def metanode(*arguments: str, cwd: Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONWARNINGS": "error", "COLUMNS": "200"}
    finished = subprocess.run(
        [sys.executable, "-m", "metanode", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == expect, finished.stderr
    return finished


def test_a_new_key_is_a_private_keystore_whose_secret_is_never_printed(tmp_path: Path) -> None:
    made = metanode("keys", "new", "key.json", "--dev", "--json", cwd=tmp_path)
    shown = metanode("keys", "show", "key.json", "--json", cwd=tmp_path)

    assert json.loads(made.stdout) == json.loads(shown.stdout) | {"password_file": "key.password"}
    assert set(json.loads(shown.stdout)) == {"address", "public_key", "keystore"}
    for name in ("key.json", "key.password"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("given", [(), ("--password-file", "password")], ids=["made up", "given"])
@pytest.mark.parametrize(("options", "work"), [((), 262_144), (("--dev",), 16_384)])
def test_the_work_to_guess_the_password_of_a_real_key_is_sixteen_times_that_of_a_local_one(
    tmp_path: Path, options: tuple[str, ...], work: int, given: tuple[str, ...]
) -> None:
    """Whoever made the password: `--dev` alone says otherwise (ADR 34)."""
    write_secret_file(tmp_path / "password", b"correct horse\n")

    metanode("keys", "new", "key.json", *options, *given, cwd=tmp_path)

    assert json.loads((tmp_path / "key.json").read_text())["crypto"]["kdfparams"]["n"] == work


def test_an_existing_key_is_never_overwritten(tmp_path: Path) -> None:
    metanode("keys", "new", "key.json", "--dev", cwd=tmp_path)

    refused = metanode("keys", "new", "key.json", "--dev", cwd=tmp_path, expect=1)

    assert "exists already" in refused.stderr


def test_a_keystore_that_others_can_read_is_refused_with_the_cure(tmp_path: Path) -> None:
    metanode("keys", "new", "key.json", "--dev", cwd=tmp_path)
    (tmp_path / "key.json").chmod(0o644)

    assert "chmod 600" in metanode("keys", "show", "key.json", cwd=tmp_path, expect=1).stderr


def test_a_private_key_is_imported_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80\n")
    secret.chmod(0o600)
    password = tmp_path / "password"
    password.write_text("correct horse\n")
    password.chmod(0o600)

    made = metanode(
        "keys",
        "import",
        "key.json",
        "--private-key-file",
        "secret",
        "--password-file",
        "password",
        "--json",
        cwd=tmp_path,
    )

    assert json.loads(made.stdout)["address"] == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def test_an_import_without_a_password_says_where_the_made_one_is(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("0x" + "ab" * 32)
    secret.chmod(0o600)

    made = metanode("keys", "import", "key.json", "--private-key-file", "secret", cwd=tmp_path)

    assert "password file: key.password" in made.stdout
    assert stat.S_IMODE((tmp_path / "key.password").stat().st_mode) == 0o600


@pytest.mark.parametrize("text", [b"", b"\n", b" \r\n"])
@pytest.mark.parametrize("command", [("new",), ("new", "--dev"), ("import", "--private-key-file", "secret")])
def test_a_password_file_with_nothing_in_it_makes_no_keystore(
    tmp_path: Path, text: bytes, command: tuple[str, ...]
) -> None:
    write_secret_file(tmp_path / "empty", text)
    write_secret_file(tmp_path / "secret", b"ab" * 32)
    name, *options = command

    refused = metanode(
        "keys", name, "key.json", *options, "--password-file", "empty", cwd=tmp_path, expect=1
    ).stderr

    assert "--password-file: found nothing in empty; expected a password: write one into it" in refused
    assert {file.name for file in tmp_path.iterdir()} == {"empty", "secret"}


@pytest.mark.parametrize("text", ["", "ab" * 31, "zz" * 32, "00" * 32, "ff" * 32])
def test_a_private_key_that_is_none_is_refused_by_its_file_and_never_shown(tmp_path: Path, text: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text(text)
    secret.chmod(0o600)

    refused = metanode("keys", "import", "key.json", "--private-key-file", "secret", cwd=tmp_path, expect=1)

    assert f"secret: found {len(text)} characters that are no key; expected 64" in refused.stderr
    assert not text or text not in refused.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["secret"]


def test_a_genesis_file_is_made_and_checked(tmp_path: Path) -> None:
    metanode(
        *("genesis", "new", "genesis.json", "--validator", VALIDATOR, "--chain-id", "7", "--network", "mine"),
        *("--fund", f"0x{'22' * 20}=5.25", "--genesis-time", "1767225600"),
        cwd=tmp_path,
    )

    found = json.loads(metanode("genesis", "check", "genesis.json", "--json", cwd=tmp_path).stdout)

    assert (found["chain_id"], found["network"], found["validators"]) == (7, "mine", [VALIDATOR])
    assert json.loads((tmp_path / "genesis.json").read_text())["alloc"]["0x" + "22" * 20]["balance"] == hex(
        525 * 10**16
    )


def test_a_genesis_file_funds_none_of_the_accounts_whose_keys_everybody_has(tmp_path: Path) -> None:
    """Only what is funded by name has a balance."""
    metanode(
        "genesis",
        "new",
        "genesis.json",
        "--validator",
        VALIDATOR,
        "--chain-id",
        "7",
        "--network",
        "mine",
        cwd=tmp_path,
    )

    document = json.loads((tmp_path / "genesis.json").read_text())
    alloc = {address.lower(): entry for address, entry in document["alloc"].items()}
    assert [account.address for account in funded_accounts() if account.address.lower() in alloc] == []
    assert {entry["balance"] for entry in alloc.values()} == {"0x0"}


@pytest.mark.parametrize(
    ("fund", "sentence"),
    [
        ("0x11", "--fund: found '0x11'; expected ADDRESS=TOKENS"),
        ("0x11=5", "--fund: expected 20 bytes, found 1"),
        (f"0x{'22' * 20}=five", "--fund: expected a decimal number of tokens such as 1.5, found 'five'"),
        (f"0x{'22' * 20}=", "--fund: expected a decimal number of tokens"),
    ],
)
def test_a_balance_that_cannot_be_read_is_refused_and_nothing_written(
    tmp_path: Path, fund: str, sentence: str
) -> None:
    arguments = ("--validator", VALIDATOR, "--chain-id", "7", "--network", "mine", "--fund", fund)

    refused = metanode("genesis", "new", "genesis.json", *arguments, cwd=tmp_path, expect=1)

    assert sentence in refused.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("status",), "no network in"),
        (("logs",), "no network in"),
        (("reset", "--yes"), "no network in"),
        (("account", "list"), "no network in"),
        (("up", "--validators", "0"), "validators: found 0"),
        (("keys", "show", "absent.json", "--password-file", "absent"), "No such file"),
        (("keys", "show", "absent.json"), "absent.json: No such file"),
        (("genesis", "check", "/dev/null"), "expected JSON"),
        (("genesis", "check", "absent.json"), "absent.json: No such file"),
        (("node", "absent"), "absent/config.toml: can't be read"),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_exit_code_1(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    finished = metanode(*arguments, cwd=tmp_path, expect=1)

    assert sentence in finished.stderr
    assert "Traceback" not in finished.stderr


def test_an_existing_genesis_file_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "genesis.json").write_text("mine")
    arguments = ("--validator", VALIDATOR, "--chain-id", "7", "--network", "mine")

    refused = metanode("genesis", "new", "genesis.json", *arguments, cwd=tmp_path, expect=1)

    assert "exists already" in refused.stderr
    assert (tmp_path / "genesis.json").read_text() == "mine"


def test_a_new_genesis_file_is_described_as_check_describes_it(tmp_path: Path) -> None:
    made = metanode(
        *("genesis", "new", "genesis.json", "--validator", VALIDATOR, "--chain-id", "7", "--network", "mine"),
        "--json",
        cwd=tmp_path,
    )

    found = json.loads(metanode("genesis", "check", "genesis.json", "--json", cwd=tmp_path).stdout)
    assert json.loads(made.stdout) == {"file": "genesis.json", **found}


def commands(command: Any, path: str = "metanode") -> Iterator[tuple[str, Any]]:
    """Each that does something, with the words that are typed for it."""
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, child in command.commands.items():
        yield from commands(child, f"{path} {name}")


def test_each_command_speaks_to_programs_but_the_one_that_is_a_node() -> None:
    without = {
        path
        for path, command in commands(typer.main.get_command(app))
        if not any("--json" in option.opts for option in command.params)
    }

    assert without == {"metanode node run"}


def test_the_program_says_its_version(tmp_path: Path) -> None:
    assert metanode("--version", cwd=tmp_path).stdout == f"metanode {__version__}\n"


@pytest.mark.parametrize("command", [(), ("up",), ("validators", "list")])
def test_a_short_option_shows_the_same_help(tmp_path: Path, command: tuple[str, ...]) -> None:
    assert metanode(*command, "-h", cwd=tmp_path).stdout == metanode(*command, "--help", cwd=tmp_path).stdout


def test_a_taken_port_is_told_before_a_network_is_made(tmp_path: Path) -> None:
    offset = random.SystemRandom().randrange(14_000, 20_000)
    with socket.create_server(("127.0.0.1", 8_545 + offset)):
        refused = metanode("up", "--validators", "1", "--port-offset", str(offset), cwd=tmp_path, expect=1)

    assert f"(rpc_port of validator-1) is in use by process {os.getpid()}" in refused.stderr
    assert not (tmp_path / ".metanode").exists()
