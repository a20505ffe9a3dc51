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
    Path | None,
    typer.Option(
        help="File with the password, mode 0600; by default that of the keystore with the suffix .password, else it is asked for."
    ),
]
NewPasswordFile = Annotated[
    Path | None,
    typer.Option(
        help="File with the password, mode 0600; without it a random one is written beside the keystore, with the suffix .password."
    ),
]


@app.command()
def new(
    keystore: Keystore,
    password_file: NewPasswordFile = None,
    dev: Annotated[
        bool, typer.Option("--dev", help="Light encryption (scrypt N=16,384), for test networks only.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Make a new key."""
    key = PrivateKey(secrets.token_bytes(32))
    made = _save_new(keystore, key, password_file, scrypt_n=SCRYPT_N_LOCAL if dev else SCRYPT_N_DEFAULT)
    _show(key, keystore, password_file=made, json=json)


@app.command("import")
def import_key(
    keystore: Keystore,
    private_key_file: Annotated[Path, typer.Option(help="File with 64 hexadecimal digits, mode 0600.")],
    password_file: NewPasswordFile = None,
    json: AsJson = False,
) -> None:
    """Encrypt an existing private key, read from a file."""
    text = read_secret_file(private_key_file).decode("ascii", "replace").strip().removeprefix("0x")
    try:
        key = PrivateKey(bytes.fromhex(text))
    except (ValueError, InvalidInput):
        raise InvalidInput(
            f"{private_key_file}: found {len(text)} characters that are no key; expected 64 hexadecimal digits"
        ) from None
    made = _save_new(keystore, key, password_file, scrypt_n=SCRYPT_N_DEFAULT)
    _show(key, keystore, password_file=made, json=json)


@app.command()
def show(keystore: Keystore, password_file: PasswordFile = None, json: AsJson = False) -> None:
    """Open a keystore and show its address and public key; the private key is never printed."""
    if not keystore.exists():
        raise InvalidInput(f"{keystore}: No such file or directory")
    beside = keystore.with_suffix(".password")
    if password_file is None and beside.exists():
        password_file = beside
    if password_file is not None:
        password = read_secret_file(password_file).decode(errors="replace").strip()
    else:
        password = typer.prompt("password", hide_input=True)
    _show(load_key(keystore, password), keystore, password_file=None, json=json)


def _save_new(keystore: Path, key: PrivateKey, password_file: Path | None, *, scrypt_n: int) -> Path | None:
    """Write the keystore and return the password file that was made for it; neither is left when one can't be written."""
    password, made = _password_for_new(keystore, password_file)
    try:
        save_key(keystore, key, password, scrypt_n=scrypt_n)
    except BaseException:
        if made is not None:
            made.unlink(missing_ok=True)
        raise
    return made


def _password_for_new(keystore: Path, password_file: Path | None) -> tuple[str, Path | None]:
    """Return the password, and the file that was made for it."""
    if keystore.exists():
        raise InvalidInput(f"{keystore} exists already, a key file is never overwritten")
    if password_file is not None:
        password = read_secret_file(password_file).decode(errors="replace").strip()
        if not password:
            raise InvalidInput(
                f"--password-file: found nothing in {password_file}; expected a password: write one into it, or leave the option out, and a random "
                "one is made"
            )
        return password, None
    made = keystore.with_suffix(".password")
    password = secrets.token_urlsafe(24)
    write_secret_file(made, password.encode() + b"\n")
    return password, made


def _show(key: PrivateKey, keystore: Path, *, password_file: Path | None, json: bool) -> None:
    document = {
        "address": format_address(key.address),
        "public_key": "0x" + key.public_key.hex(),
        "keystore": str(keystore),
    }
    if password_file is not None:
        document["password_file"] = str(password_file)
    if json:
        print_json(document)
        return
    for name, value in document.items():
        typer.echo(f"{name.replace('_', ' ')}: {value}")
