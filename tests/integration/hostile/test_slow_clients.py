"""Row 5: clients that take their time, and 500 of them."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.acceptance.processes import slowness, wait_until
from tests.integration.hostile import wire
from tests.integration.hostile.bar import holding
from tests.integration.hostile.logs import write_logs

if TYPE_CHECKING:
    import socket

    from tests.integration.hostile.target import Target

pytestmark = pytest.mark.timeout(180)

CLOSED_WITHIN_S = 15.0
SOCKETS = 500
SOMEWHERE = "0x" + "77" * 20
SLOW_READERS = 20
"""As many as one address of the internet may have connections."""


def test_row_05_five_hundred_slow_clients_are_closed_and_others_served(
    target: Target, record_property: Any
) -> None:
    """A fifth each: nothing sent, a slow head, a head byte by byte, a slow body, a body byte by byte."""
    body = wire.request("eth_chainId").encode()
    with contextlib.ExitStack() as stack, holding(target, record=record_property):
        begun = time.monotonic()
        slow = [stack.enter_context(wire.connect(target.port)) for _ in range(SOCKETS)]
        for number, connection in enumerate(slow):
            match number % 5:
                case 1 | 2:
                    connection.sendall(b"POST / HTTP/1.1\r\nhost: loc")
                case 3 | 4:
                    connection.sendall(wire.head(len(body)) + body[:10])
        sending = list(enumerate(slow))

        def are_closed() -> bool:
            open_ones = [
                (number, connection) for number, connection in sending if not wire.is_closed(connection)
            ]
            for number, connection in open_ones:
                if number % 5 in (2, 4):
                    with contextlib.suppress(OSError):
                        connection.send(b"a" if number % 5 == 2 else body[20:21])
            sending[:] = open_ones
            return not open_ones

        wait_until(
            are_closed, within_s=CLOSED_WITHIN_S, what=lambda: f"all are closed; {len(sending)} are open"
        )
        record_property("closed after, s", round(time.monotonic() - begun, 1))
        assert time.monotonic() - begun < CLOSED_WITHIN_S * slowness()


def test_row_05_large_requests_are_bounded_in_sum(target: Target, record_property: Any) -> None:
    """A megabyte less a few bytes on each of 200 connections, and as much on 100 WebSockets; then whole ones that wait behind loops."""
    mib = 1 << 20
    large = wire.request("eth_call", [{"to": SOMEWHERE, "data": "0x" + "00" * 450_000}, "latest"]).encode()
    loop = wire.request("eth_call", [{"to": SOMEWHERE}, "latest", {SOMEWHERE: {"code": "0x5b5f56"}}]).encode()
    with holding(target, record=record_property), contextlib.ExitStack() as stack:
        busy = 0
        for number in range(200):
            connection = stack.enter_context(wire.connect(target.port))
            # Who is refused hears it before all is sent.
            with contextlib.suppress(OSError):
                connection.sendall(wire.head(mib) + b" " * (mib - 10))
                if number >= 100:
                    websocket = stack.enter_context(wire.open_websocket(target.port))
                    websocket.connection.sendall(websocket.frame(wire.TEXT, length=mib) + b" " * (mib - 10))
            connection.settimeout(0.2)
            with contextlib.suppress(OSError):
                busy += b" 503 " in connection.recv(100)
        assert busy > 50, f"{busy} of 200 were told that there is no room"
    with holding(target, record=record_property), contextlib.ExitStack() as stack:
        for _ in range(20):
            websocket = stack.enter_context(wire.open_websocket(target.port))
            websocket.connection.settimeout(0.5)
            with contextlib.suppress(OSError):
                for _ in range(16):
                    websocket.connection.sendall(
                        websocket.frame(wire.TEXT, loop) + websocket.frame(wire.TEXT, large)
                    )
    with holding(target, record=record_property):
        reply = wire.post(target.port, large)
        assert reply.status == 200, reply.body[:200]


def test_row_05_small_answers_that_nobody_reads_are_bounded_in_sum(
    target: Target, record_property: Any
) -> None:
    """On each of 100 WebSockets 110 calls for 60 kB, of which 64 are made at once; the peer takes not a byte."""
    returning = {SOMEWHERE: {"code": "0x" + "617530" + "5ff3"}}
    question = wire.request("eth_call", [{"to": SOMEWHERE}, "latest", returning]).encode()
    assert 60_000 < len(wire.post(target.port, question).body) < 1 << 16
    with contextlib.ExitStack() as stack, holding(target, record=record_property):
        for _ in range(100):
            websocket = stack.enter_context(wire.open_websocket(target.port, receive_buffer_bytes=4_096))
            for calls in (64, 46):
                websocket.connection.sendall(websocket.frame(wire.TEXT, question) * calls)
                # It waits behind some of them: the queue has room for those of the next connection.
                wire.ask(target.port, "eth_call", [{"to": SOMEWHERE}])


def test_row_05_clients_that_do_not_read_are_closed_and_cost_no_memory(
    target: Target, record_property: Any
) -> None:
    """Each asks for megabytes, over and over on one connection, and takes not a byte; over WebSocket 64 questions at once."""
    block = write_logs(target, 9_000)
    question = wire.request("eth_getLogs", [{"fromBlock": hex(block), "toBlock": hex(block)}]).encode()
    assert len(wire.post(target.port, question).body) > 2_000_000
    with contextlib.ExitStack() as stack, holding(target, record=record_property):
        unread: list[socket.socket] = []
        for _ in range(SLOW_READERS):
            connection = stack.enter_context(wire.connect(target.port, receive_buffer_bytes=4_096))
            connection.sendall((wire.head(len(question)) + question) * 4)
            unread.append(connection)
            websocket = stack.enter_context(wire.open_websocket(target.port, receive_buffer_bytes=4_096))
            websocket.connection.sendall(websocket.frame(wire.TEXT, question) * 64)
            unread.append(websocket.connection)
        # What is in the buffers of the system is still to be read; that the node has hung up shows when the next byte is sent.
        left = list(unread)

        def are_closed() -> bool:
            for connection in list(left):
                try:
                    connection.send(b"x")
                except OSError:
                    left.remove(connection)
            return not left

        wait_until(
            are_closed, within_s=CLOSED_WITHIN_S + 5.0, what=lambda: f"all are closed; {len(left)} are open"
        )
