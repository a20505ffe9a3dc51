"""`metanode account`: the funded accounts of the local network, and those of any mnemonic. Secrets are never arguments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from metanode.cli.calls import batch
from metanode.cli.options import DEFAULT_DIRECTORY, AsJson, Directory
from metanode.cli.output import print_json, print_table
from metanode.crypto.addresses import format_address
from metanode.crypto.keystore import save_key
from metanode.crypto.mnemonics import ACCOUNTS_PATH, calculate_seed, derive, parse_mnemonic, parse_path
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput, InvalidKeystore, InvalidPath
from metanode.primitives.hexadecimal import decode_quantity
from metanode.primitives.units import format_tokens
from sdk.testnet.deployment.apply.accounts import MNEMONIC, FundedAccount, funded_accounts
from sdk.testnet.deployment.apply.layout import NetworkDirectory

COUNT_MAX = 1_000
"""Each account takes some milliseconds, and a key file a second."""
NUMBER = "i"
"""The step of a path that stands for the account's number; it may be hardened."""
LINE_CHARACTERS_MAX = 4_096
"""Of a secret on standard input: 24 words have at most 240 letters."""

app = typer.Typer(
    help="Funded accounts of the local network, and accounts of a mnemonic.", no_args_is_help=True
)


@app.callback()
def account() -> None:
    """Funded accounts of the local network, and accounts of a mnemonic."""


@app.command("list")
def list_accounts(directory: Directory = DEFAULT_DIRECTORY, json: AsJson = False) -> None:
    """Show the ten accounts of the well-known mnemonic with their balances on the local network."""
    accounts = funded_accounts()
    balances = _balances(NetworkDirectory(directory.resolve()), accounts)
    if json:
        print_json(
            [
                {"address": account.address, "private_key": account.private_key, "balance_wei": balance}
                for account, balance in zip(accounts, balances, strict=True)
            ]
        )
        return
    print_table(
        ("address", "private key", "balance (tokens)"),
        [
            (account.address, account.private_key, format_tokens(balance))
            for account, balance in zip(accounts, balances, strict=True)
        ],
    )


def _balances(directory: NetworkDirectory, accounts: tuple[FundedAccount, ...]) -> list[int]:
    node = directory.load_plan().nodes[0]
    calls = [("eth_getBalance", (account.address, "latest")) for account in accounts]
    return [decode_quantity(answer) for answer in batch(node.rpc_url, calls)]


@app.command("derive")
def derive_accounts(
    count: Annotated[int, typer.Option(min=1, max=COUNT_MAX, help="How many accounts.")] = 1,
    path: Annotated[
        str,
        typer.Option(help="Where the keys are (BIP-32, BIP-44); the step i is the account's number, from 0."),
    ] = ACCOUNTS_PATH,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Ask for the passphrase of the mnemonic too (BIP-39).")
    ] = False,
    keystore: Annotated[
        Path | None,
        typer.Option(
            metavar="DIRECTORY",
            help="Write each key into a Web3 keystore there, ADDRESS.json, mode 0600; asks for the password of all of them.",
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Show the addresses of a mnemonic (BIP-39), which is asked for, or read from standard input, one line for each secret.

    Private keys are shown for the well-known mnemonic of local networks only.
    """
    paths = _paths_of(path, count)
    words = parse_mnemonic(_ask("mnemonic"))
    phrase = _ask("passphrase") if passphrase else ""
    seed = calculate_seed(words, phrase)
    keys = [derive(seed, one).key for one in paths]
    documents = [
        {"path": one, "address": format_address(key.address)} for one, key in zip(paths, keys, strict=True)
    ]
    if words == MNEMONIC and not phrase:
        for document, key in zip(documents, keys, strict=True):
            document["private_key"] = "0x" + key.secret.hex()
    if keystore is not None:
        for document, file in zip(documents, _save(keystore, keys), strict=True):
            document["keystore"] = str(file)
    if json:
        print_json(documents)
        return
    print_table(
        tuple(name.replace("_", " ") for name in documents[0]),
        [tuple(document.values()) for document in documents],
    )


def _paths_of(path: str, count: int) -> list[str]:
    """The path of each account."""
    steps = path.split("/")
    is_numbered = any(step.rstrip("'hH") == NUMBER for step in steps)
    if count > 1 and not is_numbered:
        raise InvalidPath(
            f"--path: found {path!r:.80} for {count} accounts, expected a step i in it, as in {ACCOUNTS_PATH}"
        )
    paths = [
        "/".join(str(n) + step[1:] if step.rstrip("'hH") == NUMBER else step for step in steps)
        for n in range(count)
    ]
    parse_path(paths[0])
    return paths


def _ask(what: str, *, is_new: bool = False) -> str:
    """A secret from a person, who does not see it, or the next line of standard input."""
    if sys.stdin.isatty():
        answer: str = typer.prompt(
            what, hide_input=True, default="", show_default=False, confirmation_prompt=is_new, err=True
        )
    else:
        answer = sys.stdin.readline(LINE_CHARACTERS_MAX + 1)
        if len(answer) > LINE_CHARACTERS_MAX:
            raise InvalidInput(
                f"{what}: expected a line of at most {LINE_CHARACTERS_MAX} characters on standard input"
            )
    return answer.rstrip("\r\n")


def _save(directory: Path, keys: list[PrivateKey]) -> list[Path]:
    """Write a keystore for each key; none is begun when one is there already."""
    files = [directory / f"{format_address(key.address)}.json" for key in keys]
    for file in files:
        if file.exists():
            raise InvalidKeystore(f"{file}: exists already, a key file is never overwritten")
    password = _ask("password of the keystores", is_new=True)
    if not password:
        raise InvalidInput(
            "password of the keystores: found nothing, expected one, on standard input as the last line"
        )
    for file, key in zip(files, keys, strict=True):
        save_key(file, key, password)
    return files
