"""The table `[faucet]` of the services' file: the faucet's own settings by the names of `FaucetConfig`, and those of its pages."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from metanode.errors import InvalidInput
from sdk.testnet.faucet.configuration import FaucetConfig
from sdk.testnet.services.configuration import suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdk.testnet.services.configuration import ServicesConfig

BACKUPS_MAX: Final = 10
_PATHS: Final = ("keystore", "password_file", "datacenter_networks", "operator_password_file")
_SQLITE: Final = "sqlite:///"
_PORT_MAX: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class FaucetSettings:
    """Everything that a faucet's service is told."""

    faucet: FaucetConfig
    operator_bind_address: str
    operator_port: int
    """0 serves no operator's page."""
    operator_password_file: Path


def settings_of(config: ServicesConfig) -> FaucetSettings:
    """What the services' file says of the faucet, with the network and a database that the other services have anyway. Raises InvalidInput."""
    data = (config.directory / config.database.sqlite_path).parent
    return read_settings(
        config.faucet_settings,
        directory=config.directory,
        data=data,
        rpc_urls=config.network.rpc_urls,
        database_url=config.database.postgres_url or f"sqlite:///{data / 'faucet.db'}",
    )


def read_settings(
    table: Mapping[str, Any], *, directory: Path, data: Path, rpc_urls: Sequence[str], database_url: str
) -> FaucetSettings:
    """Return what a table says.

    Args:
        table: Settings of `FaucetConfig`; `public = true` begins with the limits of a public faucet; `operator_port`, `operator_bind_address` and
            `operator_password_file`.
        directory: Where relative paths begin.
        data: Where the operator's password lies, unless the table says.
        rpc_urls: Of the network's nodes, the first of which is asked, unless the table has its own.
        database_url: Of the ledger, unless the table has its own.

    Raises:
        InvalidInput: with a line for each problem, each with its key.
    """
    values = dict(table)
    known = {each.name for each in fields(FaucetConfig)}
    own = {"public", "operator_port", "operator_bind_address", "operator_password_file"}
    problems = [
        f"faucet.{key}: no such setting{suggestion(key, known | own)}"
        for key in values
        if key not in known | own
    ]
    for key in _PATHS:
        if isinstance(values.get(key), str):
            values[key] = directory / values[key]
    if isinstance(values.get("database_url"), str):
        values["database_url"] = _from(directory, values["database_url"])
    is_public, port = values.pop("public", False), values.pop("operator_port", 0)
    bind_address = values.pop("operator_bind_address", "127.0.0.1")
    password_file = values.pop("operator_password_file", data / "operator.password")
    if type(is_public) is not bool:
        problems.append(f"faucet.public: expected true or false, found {is_public!r:.80}")
    if type(port) is not int or not 0 <= port <= _PORT_MAX:
        problems.append(f"faucet.operator_port: expected 0 to {_PORT_MAX}, found {port!r:.80}")
    try:
        ipaddress.ip_address(bind_address)
    except ValueError:
        problems.append(f"faucet.operator_bind_address: expected an IP address, found {bind_address!r:.80}")
    values = {key: value for key, value in values.items() if key in known}
    if "rpc_url" not in values:
        values = {"rpc_url": rpc_urls[0], "backup_rpc_urls": tuple(rpc_urls[1 : 1 + BACKUPS_MAX])} | values
    values.setdefault("database_url", database_url)
    config: FaucetConfig | None = None
    try:
        config = FaucetConfig.public(**values) if is_public is True else FaucetConfig(**values)
    except InvalidInput as error:
        problems += [f"faucet.{line}" for line in str(error).splitlines()]
    if problems or config is None:
        raise InvalidInput("\n".join(problems))
    return FaucetSettings(
        faucet=config,
        operator_bind_address=bind_address,
        operator_port=port,
        operator_password_file=Path(password_file),
    )


def _from(directory: Path, url: str) -> str:
    """A database's URL, of which a file's path begins at the directory: a command that stands elsewhere must find the service's ledger, and not make a second one."""
    path = url.removeprefix(_SQLITE)
    if path == url or not path or path.startswith((":memory:", "file:")):
        return url
    return f"{_SQLITE}{directory / path}"
