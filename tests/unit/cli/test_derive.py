"""`metanode account derive`: the addresses of a mnemonic, from standard input."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from metanode.cli.program import app
from metanode.crypto.keystore import load_key
from metanode.errors import InvalidInput
from sdk.testnet.deployment.apply.accounts import MNEMONIC, funded_accounts

if TYPE_CHECKING:
    from pathlib import Path

OTHER = "legal winner thank year wave sausage worth useful legal winner thank yellow"
FIRST_OF_OTHER = "0x58A57ed9d8d624cBD12e2C467D34787555bB1b25"
"""Of the words, found by eth-account and by others."""


def derive(*options: str, given: str) -> Any:
    """The JSON that the command prints."""
    result = CliRunner().invoke(app, ["account", "derive", "--json", *options], input=given)
    if result.exception:
        raise result.exception
    return json.loads(result.stdout)


def test_the_well_known_mnemonic_gives_the_accounts_of_local_networks() -> None:
    expected = [
        {"path": f"m/44'/60'/0'/0/{n}", "address": one.address, "private_key": one.private_key}
        for n, one in enumerate(funded_accounts())
    ]
    assert derive("--count", "10", given=MNEMONIC + "\n") == expected
    assert derive(given=MNEMONIC) == expected[:1]


def test_the_keys_of_another_mnemonic_are_never_printed() -> None:
    assert derive(given=OTHER) == [{"path": "m/44'/60'/0'/0/0", "address": FIRST_OF_OTHER}]
    (with_passphrase,) = derive("--passphrase", given=f"{MNEMONIC}\nmine\n")
    assert with_passphrase.keys() == {"path", "address"}
    assert with_passphrase["address"] != funded_accounts()[0].address


def test_the_number_of_the_account_may_be_any_step_of_the_path() -> None:
    found = derive("--count", "2", "--path", "m/44'/60'/i'/0/0", given=MNEMONIC)
    assert [one["path"] for one in found] == ["m/44'/60'/0'/0/0", "m/44'/60'/1'/0/0"]
    (fourth,) = derive("--path", "m/44'/60'/0'/0/3", given=MNEMONIC)
    assert fourth["address"] == funded_accounts()[3].address


def test_keystores_open_with_the_password_and_are_their_owners(tmp_path: Path) -> None:
    directory = tmp_path / "keys"
    (made,) = derive("--keystore", str(directory), given=f"{OTHER}\nopen sesame\n")
    file = directory / f"{FIRST_OF_OTHER}.json"
    assert made == {"path": "m/44'/60'/0'/0/0", "address": FIRST_OF_OTHER, "keystore": str(file)}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "0x" + load_key(file, "open sesame").address.hex() == FIRST_OF_OTHER.lower()
    before = file.read_bytes()
    with pytest.raises(InvalidInput, match="exists already"):
        derive("--count", "2", "--keystore", str(directory), given=f"{OTHER}\nopen sesame\n")
    assert [one.name for one in directory.iterdir()] == [file.name]
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "given", "reason"),
    [
        ((), "", "found 0 words"),
        ((), OTHER.replace("yellow", "winner"), "the checksum"),
        ((), "test " * 2_000, "expected a line of at most 4096 characters"),
        (("--path", "44'/60'"), OTHER, "path: found"),
        (("--count", "2", "--path", "m/0"), OTHER, "expected a step i in it"),
        (("--keystore", "keys"), OTHER, "password of the keystores: found nothing"),
    ],
)
def test_what_cannot_be_done_is_refused_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], given: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match=reason):
        derive(*options, given=given)
    assert list(tmp_path.iterdir()) == []


def test_a_mnemonic_is_no_argument() -> None:
    assert CliRunner().invoke(app, ["account", "derive", MNEMONIC]).exit_code == 2
