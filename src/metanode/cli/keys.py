"""`metanode keys`: Web3 keystores of validators, made, imported and looked at. Secrets are never arguments."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from metanode.cli.options import AsJson
from metanode.cli.output import print_json
from metanode.crypto.addresses import format_address
from metanode.crypto.keystore import (
    SCRYPT_N_DEFAULT,
    SCRYPT_N_LOCAL,
    load_key,
    read_secret_file,
    save_key,
    write_secret_file,
)
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput

app = typer.Typer(help="Validator keys (Web3 keystores).", no_args_is_help=True)

Keystore = Annotated[Path, typer.Argument(help="The keystore file.")]
PasswordFile = Annotated[
    Path | None, typer.Option(help="File with the password, mode 0600; otherwise it is asked for.")
]


@app.command()
def new(
    keystore: Keystore,
    password_file: PasswordFile = None,
    dev: Annotated[
        bool, typer.Option("--dev", help="Light encryption (scrypt N=16,384), for test networks only.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Make a new key. Without a password file one is made beside the keystore with a random password."""
    password, made = _password_for_new(keystore, password_file)
    key = PrivateKey(secrets.token_bytes(32))
    save_key(keystore, key, password, scrypt_n=SCRYPT_N_LOCAL if dev else SCRYPT_N_DEFAULT)
    _show(key, keystore, json=json)
    if made is not None and not json:
        typer.echo(f"password: {made} (0600)")


@app.command("import")
def import_key(
    keystore: Keystore,
    private_key_file: Annotated[Path, typer.Option(help="File with 64 hexadecimal digits, mode 0600.")],
    password_file: PasswordFile = None,
    json: AsJson = False,
) -> None:
    """Encrypt an existing private key, read from a file."""
    text = read_secret_file(private_key_file).decode("ascii", "replace").strip().removeprefix("0x")
    try:
        key = PrivateKey(bytes.fromhex(text))
    except ValueError:
        raise InvalidInput(
            f"{private_key_file}: expected 64 hexadecimal digits, found {len(text)} characters"
        ) from None
    password, _ = _password_for_new(keystore, password_file)
    save_key(keystore, key, password)
    _show(key, keystore, json=json)


@app.command()
def show(keystore: Keystore, password_file: PasswordFile = None, json: AsJson = False) -> None:
    """Open a keystore and show its address and public key; the private key is never printed."""
    if not keystore.exists():
        raise InvalidInput(f"{keystore}: No such file or directory")
    beside = keystore.with_suffix(".password")
    if password_file is None and beside.exists():
        password_file = beside
    if password_file is not None:
        password = read_secret_file(password_file).decode().strip()
    else:
        password = typer.prompt("password", hide_input=True)
    _show(load_key(keystore, password), keystore, json=json)


def _password_for_new(keystore: Path, password_file: Path | None) -> tuple[str, Path | None]:
    if keystore.exists():
        raise InvalidInput(f"{keystore} exists already, a key file is never overwritten")
    if password_file is not None:
        return read_secret_file(password_file).decode().strip(), None
    made = keystore.with_suffix(".password")
    password = secrets.token_urlsafe(24)
    write_secret_file(made, password.encode() + b"\n")
    return password, made


def _show(key: PrivateKey, keystore: Path, *, json: bool) -> None:
    document = {
        "address": format_address(key.address),
        "public_key": "0x" + key.public_key.hex(),
        "keystore": str(keystore),
    }
    if json:
        print_json(document)
        return
    for name, value in document.items():
        typer.echo(f"{name.replace('_', ' ')}: {value}")
