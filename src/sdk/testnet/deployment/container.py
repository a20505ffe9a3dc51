"""`python -m sdk.testnet.deployment.container HOME --config FILE --genesis FILE [--services FILE NAME ...] ...`: a node that its environment tells more.

With --services, the services of that file which are named run in a process beside the node, for as long as the node does; given again, others do in
another, so that neither falls with the other.

Containers of the plan for a public testnet are told by variables:

NETWORK                  the kind of network, `testnet`
CHAIN_ID                 must be that of the genesis
VALIDATOR_KEY_FILE       a keystore, or a file with 64 hexadecimal digits; makes this node a validator
VALIDATOR_PASSWORD_FILE  what opens the keystore
VALIDATOR_KEY            64 hexadecimal digits, before the file; every process of the same user can read it, so prefer the file
DB_PASSWORD_FILE         read into DB_PASSWORD, for `${DB_PASSWORD}` in the configuration
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from metanode.crypto.keystore import read_secret_file
from metanode.errors import InvalidInput, MetanodeError
from metanode.node.app import run_node
from metanode.node.config import load_config
from sdk.testnet.deployment.beside import Beside

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

_KEY = "VALIDATOR_KEY"


def main() -> int:
    """Run the node until it is told to end; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sdk.testnet.deployment.container", description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--genesis", type=Path, required=True)
    parser.add_argument("--services", nargs="+", action="append", default=[], metavar=("FILE", "NAME"))
    arguments = parser.parse_args()
    try:
        environment = dict(os.environ)
        overlay = overlay_of(environment)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "environment.toml"
            file.write_text(overlay, encoding="utf-8")
            loaded = load_config([arguments.config, file] if overlay else [arguments.config], environment)
        # Children need not have it; /proc shows it for as long as this process lives.
        os.environ.pop(_KEY, None)
        for warning in loaded.warnings:
            sys.stderr.write(f"warning: {warning}\n")
        with contextlib.ExitStack() as stack:
            for services in arguments.services:
                stack.enter_context(_beside(services, environment))
            run_node(loaded.config, home=arguments.home.resolve(), genesis_file=arguments.genesis)
    except MetanodeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"error: {error.filename or ''}: {error.strerror or error}\n")
        return 1
    return 0


def _beside(services: list[str], environment: Mapping[str, str]) -> Beside:
    """What runs services beside the node; they get no key of it."""
    command = [sys.executable, "-m", "sdk.testnet.services.program", *services]
    return Beside(command, {name: value for name, value in environment.items() if name != _KEY})


def overlay_of(environment: MutableMapping[str, str]) -> str:
    """The configuration that the variables say, as TOML; a key that a file has is put into `environment`, never into the text.

    Raises:
        InvalidInput: when a variable is impossible; the sentence names it.
    """
    about: dict[str, object] = {}
    if network := environment.get("NETWORK"):
        about["network"] = network
    if chain_id := environment.get("CHAIN_ID"):
        if not chain_id.isascii() or not chain_id.isdecimal():
            raise InvalidInput(f"CHAIN_ID: expected a whole number, found {chain_id!r:.80}")
        about["chain_id"] = int(chain_id)
    if password_file := environment.get("DB_PASSWORD_FILE"):
        environment["DB_PASSWORD"] = _secret(password_file, "DB_PASSWORD_FILE")
    sections: dict[str, Mapping[str, object]] = {"network": about, "validator": _validator(environment)}
    return "\n".join(
        f"[{name}]\n"
        + "".join(
            f"{key} = {str(value).lower() if isinstance(value, bool) else json.dumps(value)}\n"
            for key, value in content.items()
        )
        for name, content in sections.items()
        if content
    )


def _validator(environment: MutableMapping[str, str]) -> Mapping[str, object]:
    if environment.get(_KEY):
        return {"enabled": True, "validator_key": f"${{{_KEY}}}"}
    path = environment.get("VALIDATOR_KEY_FILE")
    if not path:
        return {}
    text = _secret(path, "VALIDATOR_KEY_FILE")
    if text.startswith("{"):
        found: dict[str, object] = {
            "enabled": True,
            "validator_key": f"keystore:{Path(path).resolve()}",
        }
        if password_file := environment.get("VALIDATOR_PASSWORD_FILE"):
            found["password_file"] = password_file
        return found
    environment[_KEY] = text
    return {"enabled": True, "validator_key": f"${{{_KEY}}}"}


def _secret(path: str, variable: str) -> str:
    try:
        return read_secret_file(Path(path)).decode(errors="replace").strip()
    except MetanodeError as error:
        raise InvalidInput(f"{variable}: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
