"""Taken ports are named with who has them."""

from __future__ import annotations

import os
import re
import socket
import subprocess

import pytest

from metanode.errors import Unavailable
from metanode.node.listening import (
    COMMAND_LENGTH_MAX,
    describe_process,
    explain_taken_ports,
    listeners,
    open_listener,
)


def test_a_listener_is_found_with_its_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert listeners()[server.getsockname()[1]] == os.getpid()


def test_a_taken_port_is_refused_with_the_process_that_has_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        with pytest.raises(
            Unavailable, match=rf"127\.0\.0\.1:{port}: Address already in use by process {os.getpid()} \("
        ):
            open_listener("127.0.0.1", port)


def test_who_connects_before_anybody_serves_is_kept_waiting_not_refused() -> None:
    with (
        open_listener("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname(), timeout=5.0),
    ):
        server, _ = listener.accept()
        server.close()


def test_an_address_of_another_machine_is_refused_with_the_system_s_reason() -> None:
    with pytest.raises(Unavailable, match=r"192\.0\.2\.1:0: Cannot assign requested address$"):
        open_listener("192.0.2.1", 0)


def test_a_long_command_line_is_cut_where_one_sees_it() -> None:
    command = ["cat", *["-"] * 100]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"it runs\n")
        assert process.stdout.readline() == b"it runs\n"
        sentence = describe_process(process.pid)
        process.kill()

    assert re.fullmatch(rf"process {process.pid} \(cat: cat [- ]+…\)", sentence)
    assert len(sentence.partition(": ")[2]) == COMMAND_LENGTH_MAX + len(")")


def test_only_ports_of_other_processes_are_explained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ports = {"server.rpc_port": server.getsockname()[1]}

        assert explain_taken_ports(ports, own_pid=os.getpid()) is None
        sentence = explain_taken_ports(ports, own_pid=1)

    assert sentence is not None
    assert sentence.startswith(
        f"server.rpc_port: port {ports['server.rpc_port']} is in use by process {os.getpid()} ("
    )


def test_a_connection_sends_each_packet_at_once() -> None:
    with (
        open_listener("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname(), timeout=5.0),
    ):
        server, _ = listener.accept()
        with server:
            assert server.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
