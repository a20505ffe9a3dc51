"""The services beside a local network: one process that the supervisor keeps, its configuration, its ports.

DIR/services/services.toml   what they are told; written with the network, changed by whoever likes
DIR/services/index.db        what the explorer reads; `metanode reset` deletes it with the chain
DIR/services/faucet.json     the faucet's key, with its password beside it
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from metanode.crypto.addresses import format_address
from metanode.crypto.keystore import SCRYPT_N_LOCAL, load_key, read_secret_file, save_key, write_secret_file
from metanode.crypto.secp256k1 import PrivateKey
from sdk.testnet.deployment.apply.layout import write_atomic
from sdk.testnet.deployment.plan import ProgramPlan

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sdk.testnet.deployment.apply.layout import NetworkDirectory
    from sdk.testnet.deployment.plan import NetworkPlan, NetworkSpec

NAME: Final = "services"
"""What the process is called in logs and states."""
PORTS: Final = {"explorer": 3000, "faucet": 8080, "api": 9545}
"""Before the network's offset. The dashboard is a page of the explorer."""
FAUCET_BALANCE_WEI: Final = 10_000_000 * 10**18
"""A hundred days of a thousand payouts of 100 coins."""
CONNECT_TIMEOUT_S: Final = 0.3
ANSWER_TIMEOUT_S: Final = 2.0
ANSWER_BYTES_MAX: Final = 4096
"""Of a node that is asked for its height: a line."""

State = Literal["running", "starting", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """One service as people reach it."""

    name: str
    url: str
    state: State


def program_plan(directory: NetworkDirectory, spec: NetworkSpec) -> ProgramPlan:
    """Return the process that runs the services."""
    return ProgramPlan(
        name=NAME,
        module="sdk.testnet.services.program",
        arguments=(str(config_file(directory)),),
        ports={name: port + spec.port_offset for name, port in PORTS.items()},
    )


def config_file(directory: NetworkDirectory) -> Path:
    """What the services are told."""
    return directory.node(NAME) / "services.toml"


def create_faucet_key(directory: NetworkDirectory) -> PrivateKey:
    """Return the faucet's key; that of an earlier network in this directory is taken up again."""
    home = directory.node(NAME)
    keystore, password_file = home / "faucet.json", home / "faucet.password"
    home.mkdir(parents=True, exist_ok=True)
    # The password is first, as with a validator's key: a keystore without one is a lost key.
    if not keystore.exists() and not password_file.exists():
        write_secret_file(password_file, secrets.token_urlsafe(24).encode() + b"\n")
    password = _password(password_file)
    if keystore.exists():
        return load_key(keystore, password)
    key = PrivateKey(secrets.token_bytes(32))
    save_key(keystore, key, password, scrypt_n=SCRYPT_N_LOCAL)
    return key


def write_config(directory: NetworkDirectory, plan: NetworkPlan) -> None:
    """Write what the services of a new network are told."""
    write_atomic(config_file(directory), render_config(directory, plan))


def render_config(directory: NetworkDirectory, plan: NetworkPlan) -> str:
    """Return the services' configuration: every node of the plan, and the names of accounts that the plan knows."""
    spec = plan.spec
    ports = {name: port + spec.port_offset for name, port in PORTS.items()}
    faucet = directory.node(NAME) / "faucet.json"
    names = {format_address(directory.validator_address(node.name)): node.name for node in plan.with_keys}
    lines = [
        "# What explorer, dashboard, faucet and community API of this network are told. Change it as you like; `metanode down`",
        "# and `metanode up` take it up. Described in docs/reference/services.md.",
        "[network]",
        f'network_id = "{spec.network_name}"',
        f"chain_id = {spec.chain_id}",
        f"rpc_urls = [{_list(node.rpc_url for node in plan.nodes)}]",
        f"node_names = [{_list(node.name for node in plan.nodes)}]",
        f"metrics_urls = [{_list(f'http://127.0.0.1:{node.metrics_port}/metrics' for node in plan.nodes)}]",
        "",
        "[database]",
        'sqlite_path = "data/index.db"',
        "",
        "[explorer]",
        f'bind_address = "{spec.bind_address}"',
        f"port = {ports['explorer']}",
        "",
        "[api]",
        f'bind_address = "{spec.bind_address}"',
        f"port = {ports['api']}",
    ]
    if faucet.exists():
        key = load_key(faucet, _password(faucet.with_suffix(".password")))
        names[format_address(key.address)] = "faucet"
        lines += [
            "",
            "[faucet]",
            f'bind_address = "{spec.bind_address}"',
            f"port = {ports['faucet']}",
            'keystore = "faucet.json"',
        ]
    lines += ["", "[names]", *(f'{address} = "{name}"' for address, name in sorted(names.items()))]
    return "\n".join(lines) + "\n"


def statuses(plan: NetworkPlan, *, is_running: bool) -> tuple[ServiceStatus, ...]:
    """Return each service and whether it takes connections."""
    return tuple(
        ServiceStatus(
            name=name,
            url=f"http://127.0.0.1:{port}",
            state="stopped" if not is_running else "running" if _listens(port) else "starting",
        )
        for program in plan.programs
        if program.name == NAME
        for name, port in program.ports.items()
    )


async def has_block(rpc_port: int) -> bool:
    """Whether a node has a block after the first; asked by hand, for an HTTP library takes a tenth of a second to load."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}'
    head = (
        f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{rpc_port}\r\nContent-Type: application/json\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", rpc_port)
    except OSError:
        return False
    try:
        writer.write(head.encode() + body)
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await writer.drain()
            answer = await reader.read(ANSWER_BYTES_MAX)
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return b'"result":"0x' in answer and b'"result":"0x0"' not in answer


def _password(path: Path) -> str:
    return read_secret_file(path).decode(errors="replace").strip()


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=CONNECT_TIMEOUT_S):
            return True
    except OSError:
        return False


def _list(texts: Iterable[str]) -> str:
    return ", ".join(f'"{text}"' for text in texts)
