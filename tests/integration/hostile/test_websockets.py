"""Rows 12 to 14: subscriptions without number, subscribers that do not read, and frames that nobody should send."""

from __future__ import annotations

import contextlib
import json
import threading
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from tests.acceptance.processes import slowness, wait_until
from tests.integration.hostile import wire
from tests.integration.hostile.bar import Bar, holding
from tests.integration.hostile.gauges import gauge
from tests.integration.hostile.logs import send_logs
from tests.integration.hostile.target import CONNECTIONS_MAX, LOGS_OF_A_TRANSACTION

if TYPE_CHECKING:
    from tests.integration.hostile.target import Target

pytestmark = pytest.mark.timeout(180)

MIB = 1 << 20
SUBSCRIPTIONS_MAX = 32
SMALL_BUFFER_BYTES = 4_096
LEFT_BYTES_MAX = 4 * 10**6
"""Pages of the heaps of which a part is in use: 1.3 MB were measured after peaks of 8 to 12."""


def wait_none_open(target: Target) -> None:
    """Wait until the node holds no WebSocket, and so no subscription."""
    for name in ("metanode_rpc_websocket_connections", "metanode_rpc_subscriptions"):
        wait_until(lambda name=name: gauge(target, name) == 0, within_s=15.0, what=f"{name} is 0 again")


def wait_memory_back(target: Target, bar: Bar, record: Any) -> None:
    """Wait until the node takes hardly more memory than before the attack."""

    def left_bytes() -> int:
        return target.memory_bytes() - bar.memory_before_bytes

    wait_until(
        lambda: left_bytes() <= LEFT_BYTES_MAX,
        within_s=15.0,
        what=lambda: f"the memory is back; {left_bytes() / 1e6:.1f} MB are not",
    )
    record("memory left, MB", round(left_bytes() / 1e6, 1))


def test_row_12_ten_thousand_subscriptions_on_one_socket_end_at_the_limit(
    target: Target, record_property: Any
) -> None:
    topics = [f"0x{number:064x}" for number in range(900)]
    large = ["logs", {"topics": [topics] * 4}]
    with holding(target, record=record_property) as bar:
        with wire.open_websocket(target.port) as websocket:
            asking = threading.Thread(
                target=lambda: [websocket.say(wire.request("eth_subscribe", ["newHeads"], number)) for number in range(10_000)],
                daemon=True,
            )  # fmt: skip
            asking.start()
            answers: list[Any] = []
            while len(answers) < 10_000:
                message = websocket.read()
                if "id" in message:
                    answers.append(message)
            asking.join(timeout=30.0)
            accepted = [answer for answer in answers if "result" in answer]
            assert len(accepted) == SUBSCRIPTIONS_MAX
            assert {answer["error"]["code"] for answer in answers if "error" in answer} == {-32005}
            bar.saw(answers[-1])
        with contextlib.ExitStack() as stack:
            # As many as one address of the internet may open, each with as much as it may ask for.
            for _ in range(20):
                websocket = stack.enter_context(wire.open_websocket(target.port))
                for number in range(SUBSCRIPTIONS_MAX):
                    answer = websocket.ask("eth_subscribe", large, number)
                    assert "result" in answer or answer["error"]["code"] == -32005, answer
        wait_none_open(target)
        wait_memory_back(target, bar, record_property)


def test_row_12_a_thousand_sockets_are_held_to_the_limit_and_leave_nothing(
    target: Target, record_property: Any
) -> None:
    with holding(target, record=record_property, opens_connections=False) as bar:
        with contextlib.ExitStack() as stack:
            refused, statuses = 0, set[int]()
            for _ in range(1_000):
                try:
                    websocket = stack.enter_context(wire.open_websocket(target.port))
                except ConnectionRefusedError as refusal:
                    statuses.add(refusal.args[0])
                    refused += 1
                else:
                    assert "result" in websocket.ask("eth_subscribe", ["newHeads"])
            assert refused >= 1_000 - CONNECTIONS_MAX
            assert statuses == {503}
            assert wire.ask(target.private_port, "eth_blockNumber").code is None, (
                "the operator is not locked out"
            )
        wait_none_open(target)
        wait_memory_back(target, bar, record_property)


def test_row_12_filters_without_number_take_bounded_memory(target: Target, record_property: Any) -> None:
    """Three hundred of a megabyte each, spelled out or padded; what is refused is refused with a limit."""
    criteria = json.dumps({"topics": [[f"0x{number:064x}" for number in range(900)]] * 4})
    padded = '{"fromBlock":"latest"' + " " * (MIB - 200) + "}"
    with holding(target, record=record_property) as bar:
        made: list[str] = []
        for number in range(300):
            reply = bar.saw(wire.ask(target.port, "eth_newFilter", f"[{(criteria, padded)[number % 2]}]"))
            assert reply.code in (None, -32005), reply.body[:300]
            if reply.code is None:
                made.append(reply.json()["result"])
        assert len(made) >= 5, "a caller may have large filters"
        assert wire.ask(target.port, "eth_newFilter", [{}]).code is None, "and small ones always"
        for identifier in made:
            assert wire.ask(target.port, "eth_uninstallFilter", [identifier]).json()["result"] is True
        wait_memory_back(target, bar, record_property)


def test_row_13_who_never_reads_is_closed_and_who_reads_hears_everything(
    target: Target, record_property: Any
) -> None:
    """Blocks with 18,000 logs each: a deaf socket with 32 subscriptions, and beside it one that listens."""
    heard: list[int] = []

    def listen(socket: wire.WebSocket) -> None:
        for message in socket.messages():
            if message.get("method") == "eth_subscription":
                heard.append(int(message["params"]["result"]["logIndex"], 16))  # noqa: PERF401 - it is looked at while it grows

    with holding(target, record=record_property), contextlib.ExitStack() as stack:
        listening = stack.enter_context(wire.open_websocket(target.port))
        assert "result" in listening.ask("eth_subscribe", ["logs", {}])
        deaf = stack.enter_context(wire.open_websocket(target.port, receive_buffer_bytes=SMALL_BUFFER_BYTES))
        for number in range(SUBSCRIPTIONS_MAX):
            deaf.say(wire.request("eth_subscribe", ["logs", {}], number))
        listener = threading.Thread(target=listen, args=(listening,), daemon=True)
        listener.start()
        send_logs(target, LOGS_OF_A_TRANSACTION)
        wait_until(
            lambda: len(heard) >= LOGS_OF_A_TRANSACTION,
            within_s=20.0,
            what=lambda: f"the reader has heard {len(heard)} logs",
        )
        assert heard == list(range(LOGS_OF_A_TRANSACTION)), "each once, in order"

        def is_deaf_one_closed() -> bool:
            return gauge(target, "metanode_rpc_websocket_connections") == 1

        wait_until(is_deaf_one_closed, within_s=20.0, what="the deaf socket is closed")
        assert deaf.close_code() in (1013, 1008, None), (
            "None: its buffers were full, nothing more could be said"
        )
    wait_none_open(target)


WRONG_FRAMES: tuple[tuple[str, tuple[int | None, ...]], ...] = (
    ("a frame that says 64 MiB", (1009,)), ("a frame that says 2^63", (1009, 1002)), ("fragments of 64 MiB in all", (1009, None)),
    ("a deflate bomb", (1002,)), ("an unmasked frame", (1002,)), ("an unknown opcode", (1002,)), ("a ping of a kilobyte", (1002,)),
    ("a fragmented ping", (1002,)), ("a continuation of nothing", (1002,)), ("a text inside a text", (1002,)),
    ("text that is not UTF-8", (1007,)), ("a close with one byte", (1002,)),
)  # fmt: skip
"""What is sent, and the codes it is closed with; None where the node has to hang up on who still sends."""


def test_row_14_frames_that_are_wrong_end_the_connection(target: Target, record_property: Any) -> None:
    with holding(target, record=record_property):
        for desc, codes in WRONG_FRAMES:
            with wire.open_websocket(target.port) as websocket:
                sent = 0
                with contextlib.suppress(OSError):
                    for frame in frames(websocket, desc):
                        websocket.connection.sendall(frame)
                        sent += len(frame)
                assert sent <= 30 * MIB, f"{desc}: {sent / MIB:.0f} MiB were taken"
                code = websocket.close_code()
                assert code in codes, f"{desc}: closed with {code}"
                assert wire.seconds_to_close(websocket.connection, within_s=5.0) < 5.0 * slowness()
    wait_none_open(target)


def frames(websocket: wire.WebSocket, desc: str) -> list[bytes]:
    """What is sent."""
    frame = websocket.frame
    bomb = zlib.compress(b" " * (64 * MIB), 9)
    piece = frame(wire.CONTINUATION, b" " * (64 << 10), final=False)
    return {
        "a frame that says 64 MiB": [frame(wire.TEXT, length=64 * MIB)],
        "a frame that says 2^63": [frame(wire.TEXT, length=2**63)],
        "fragments of 64 MiB in all": [frame(wire.TEXT, b"[", final=False), *[piece] * 1024],
        "a deflate bomb": [frame(wire.TEXT, bomb, reserved=4)],
        "an unmasked frame": [frame(wire.TEXT, b"{}", masked=False)],
        "an unknown opcode": [frame(3, b"x")],
        "a ping of a kilobyte": [frame(wire.PING, b"x" * 1024)],
        "a fragmented ping": [frame(wire.PING, final=False)],
        "a continuation of nothing": [frame(wire.CONTINUATION)],
        "a text inside a text": [frame(wire.TEXT, b"[", final=False), frame(wire.TEXT, b"]")],
        "text that is not UTF-8": [frame(wire.TEXT, b"\xff\xfe")],
        "a close with one byte": [frame(wire.CLOSE, b"\x03")],
    }[desc]


def test_row_14_floods_of_pings_and_of_empty_fragments_are_closed(
    target: Target, record_property: Any
) -> None:
    with holding(target, record=record_property) as bar:
        with wire.open_websocket(target.port) as pinging:
            with contextlib.suppress(OSError):
                for _ in range(100):
                    pinging.connection.sendall(pinging.frame(wire.PING, b"x") * 1_000)
            assert pinging.close_code() in (1008, None), "None: it was told while it still sent"
        with wire.open_websocket(target.port) as fragments:
            first = fragments.frame(wire.TEXT, final=False)
            empty, last = fragments.frame(wire.CONTINUATION, final=False), fragments.frame(wire.CONTINUATION)
            # A message of a hundred pieces may be an empty one.
            fragments.connection.sendall(first + empty * 99 + last)
            assert bar.saw(fragments.read())["error"]["code"] == -32700
            fragments.connection.sendall(fragments.frame(wire.TEXT, b"") * 10_000)
            for _ in range(10_000):
                assert fragments.read()["error"]["code"] == -32700
            fragments.connection.sendall(first + empty * 100_000 + last)
            assert fragments.close_code() == 1009
    wait_none_open(target)
