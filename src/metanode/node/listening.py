"""This machine's addresses and ports; and which process has a port that we want: the sentence a person needs then."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Final

import psutil

from metanode.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMAND_LENGTH_MAX: Final = 80
"""Of a command line in a sentence; enough to know a program by."""


def describe_process(pid: int | None) -> str:
    """A process by its id, name and command line."""
    if pid is None:
        return "a process of another user"
    try:
        process = psutil.Process(pid)
        command = " ".join(process.cmdline())
        if len(command) > COMMAND_LENGTH_MAX:
            command = command[: COMMAND_LENGTH_MAX - 1] + "…"
        return f"process {pid} ({process.name()}: {command})"
    except psutil.Error:
        return f"process {pid}"


def listeners() -> dict[int, int | None]:
    """Every TCP and UDP port that is listened on, with the process id where it may be known."""
    found: dict[int, int | None] = {}
    for connection in psutil.net_connections(kind="inet"):
        # A datagram socket has no state.
        if connection.laddr and (
            connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
        ):
            found.setdefault(connection.laddr.port, connection.pid)
    return found


def local_addresses() -> tuple[str, ...]:
    """The IP addresses of this machine's interfaces that are up."""
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    return tuple(
        entry.address
        for name, entries in psutil.net_if_addrs().items()
        for entry in entries
        if name in up and entry.family in (socket.AF_INET, socket.AF_INET6)
    )


def explain_taken_ports(ports: Mapping[str, int], *, own_pid: int) -> str | None:
    """One line for each of `ports`, by configuration key, that another process has; None when there is none."""
    taken = listeners()
    problems = [
        f"{key}: port {port} is in use by {describe_process(taken[port])}"
        for key, port in ports.items()
        if port in taken and taken[port] != own_pid
    ]
    return "\n".join(problems) or None


def open_listener(host: str, port: int) -> socket.socket:
    """A TCP socket that clients can connect to from now on; the caller serves and closes it.

    Raises:
        Unavailable: when the address can't be had; the sentence says why.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Its connections inherit this. Event loops set it for sockets that were made with a protocol's number only, and without it an
        # answer's second packet waits 40 ms for the acknowledgement of its first.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        holder = listeners().get(port) if error.errno == errno.EADDRINUSE else None
        by = "" if holder is None else f" by {describe_process(holder)}"
        raise Unavailable(f"{host}:{port}: {error.strerror}{by}") from None
    return listener
