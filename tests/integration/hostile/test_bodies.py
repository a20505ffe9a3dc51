"""Rows 1 to 4: bodies that are too deep, too large, too many, or no JSON at all."""

from __future__ import annotations

import contextlib
import gzip
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.acceptance.processes import slowness
from tests.integration.hostile import wire
from tests.integration.hostile.bar import holding

if TYPE_CHECKING:
    from tests.integration.hostile.target import Target

pytestmark = pytest.mark.timeout(120)

DEEP = "[" * 100_000
BALANCED = DEEP + "]" * 100_000
DIGITS = "9" * 1_000_000
METHODS = (
    "eth_getBalance",
    "eth_call",
    "eth_getLogs",
    "web3_sha3",
    "eth_newFilter",
    "ibft_getValidatorsByBlockNumber",
)
"""Of each who reads parameters: the engine's cheap and costly ones, the server's own, and Python's."""
REFUSED_S_MAX = 0.1
MIB = 1 << 20


def refused(target: Target, body: str | bytes) -> wire.Reply:
    """The answer to a body that has to be refused without work."""
    reply = wire.post(target.port, body)
    assert reply.took_s < REFUSED_S_MAX * slowness(), f"{body[:80]!r} took {reply.took_s:.3f} s"
    return reply


def test_row_01_deep_json_is_refused_at_once(target: Target, record_property: Any) -> None:
    with holding(target, record=record_property) as bar:
        for body in (DEEP, '{"a":' * 100_000, '[{"a":' * 50_000, wire.request("eth_call", DEEP)):
            assert bar.saw(refused(target, body)).code == -32700, body[:40]
        assert [each["error"]["code"] for each in bar.saw(refused(target, BALANCED)).json()] == [-32600]
        objects = '{"address":' * 50_000 + "1" + "}" * 50_000
        inside = f'{{"to":{DEEP[:9_000]}{"]" * 9_000},"address":{objects}}}'
        for method in METHODS:
            for params in (BALANCED, f"[{BALANCED}]", f"[{inside}]"):
                assert bar.saw(refused(target, wire.request(method, params))).code == -32602, (
                    method,
                    params[:20],
                )
        with wire.open_websocket(target.port) as websocket:
            websocket.say(DEEP)
            assert bar.saw(websocket.read())["error"]["code"] == -32700
            websocket.say(wire.request("eth_subscribe", f'["logs",{BALANCED}]'))
            assert bar.saw(websocket.read())["error"]["code"] == -32602


def test_row_02_what_is_no_number_and_no_text_is_refused_without_work(
    target: Target, record_property: Any
) -> None:
    before_s = target.cpu_s()
    sent = 0
    with holding(target, record=record_property) as bar:
        for method in METHODS:
            for argument, code in (
                (DIGITS, -32602), ("-" + DIGITS, -32602), ("1e999999", -32602), ("0." + DIGITS, -32602), ('"0x' + DIGITS + '"', -32602),
                ('"\\ud800"', -32602), ('"\\u0000"', -32602), ("NaN", -32700), ("Infinity", -32700), ("-", -32700), ("01", -32700), ("0x1", -32700),
            ):  # fmt: skip
                if method == "web3_sha3" and argument.startswith('"0x'):
                    continue  # Half a megabyte to hash, which is what it is for.
                reply = bar.saw(refused(target, wire.request(method, f"[{argument}]")))
                sent += 1
                assert reply.code == code, (method, argument[:20], reply.body[:200])
                assert len(reply.body) < 1_000, (
                    f"{method} repeats {len(reply.body)} bytes of what it was sent"
                )
        for body in (
            b"\xef\xbb\xbf" + wire.request("eth_chainId").encode(),
            wire.request("eth_chainId").encode("utf-16"),
            b'{"jsonrpc":"2.0","id":1,"method":"\xff"}',
            b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}',
            b"\x00" * 1_000,
        ):
            assert bar.saw(refused(target, body)).code == -32700, body[:40]
        twice = '{"jsonrpc":"2.0","id":1,"method":"eth_chainId","method":"eth_accounts","params":[]}'
        assert bar.saw(refused(target, twice)).code == -32600
        for method, params in (
            ("eth_call", '{"to":null,"to":null}'),
            ("eth_getLogs", '{"fromBlock":"0x0","fromBlock":"0x0"}'),
            ("eth_newFilter", '{"fromBlock":"0x0","fromBlock":"0x0"}'),
            ("eth_getBlockReceipts", '{"blockNumber":"0x0","blockNumber":"0x0"}'),
            ("debug_traceCall", '{},"latest",{"tracer":"noopTracer","tracer":"noopTracer"}'),
        ):
            assert bar.saw(refused(target, wire.request(method, f"[{params}]"))).code == -32602, method
        # An id comes back as it was sent, however long: it is never taken for a number.
        long_id = f'{{"jsonrpc":"2.0","id":{DIGITS},"method":"eth_chainId","params":[]}}'
        assert DIGITS.encode() in wire.post(target.port, long_id).body
        long_name = bar.saw(refused(target, wire.request("x" * (MIB * 9 // 10))))
        assert long_name.code == -32601
        assert len(long_name.body) < 1_000
    spent_s = target.cpu_s() - before_s
    record_property("seconds of the processor", spent_s)
    # What the good requests and the blocks take beside it is in this too.
    assert spent_s < 0.05 * sent, f"{sent} bodies of a megabyte took {spent_s:.1f} s of the processor"


def test_row_03_a_batch_has_at_most_a_hundred_calls_and_no_batches(
    target: Target, record_property: Any
) -> None:
    call = wire.request("eth_chainId")

    def batch(count: int) -> str:
        return "[" + ",".join([call] * count) + "]"

    with holding(target, record=record_property) as bar:
        for body in (
            batch(10_000),
            batch(101),
            "[]",
            "[" + "1," * 400_000 + "1]",
            "[" + "[]," * 300_000 + "[]]",
        ):
            answer = bar.saw(refused(target, body))
            assert answer.code == -32600, (body[:40], answer.body[:200])
        answers = bar.saw(refused(target, f"[{batch(3)},[],[[]],7,null,{call}]")).json()
        assert [each["error"]["code"] for each in answers[:5]] == [-32600] * 5
        assert answers[5]["result"] == "0x539"
        assert len(wire.post(target.port, batch(100)).json()) == 100
        notifications = "[" + ",".join(['{"jsonrpc":"2.0","method":"eth_chainId"}'] * 100) + "]"
        assert wire.post(target.port, notifications).body == b""
        with wire.open_websocket(target.port) as websocket:
            websocket.say(batch(10_000))
            assert bar.saw(websocket.read())["error"]["code"] == -32600


def test_row_04_a_body_over_the_limit_is_not_read(target: Target, record_property: Any) -> None:
    with holding(target, record=record_property) as bar:
        with wire.connect(target.port) as announced:
            announced.sendall(wire.head(100 * MIB))
            reply = bar.saw(wire.read_reply(announced))
            assert (reply.status, reply.headers["connection"]) == (413, "close"), (
                "before a byte of it is sent"
            )
            assert wire.seconds_to_close(announced, within_s=5.0) < 5.0 * slowness()
        chunk = f"{MIB:x}\r\n".encode() + b" " * MIB + b"\r\n"
        for last, desc in (
            (b"1\r\n \r\n", "a byte over the limit, then silence"),
            (chunk * 100, "without an end"),
        ):
            with wire.connect(target.port) as chunked:
                chunked.sendall(wire.head(None, more="transfer-encoding: chunked\r\n") + chunk)
                # Who goes on sending is hung up on.
                with contextlib.suppress(OSError):
                    chunked.sendall(last)
                reply = bar.saw(wire.read_reply(chunked))
                assert (reply.status, reply.headers["connection"]) == (413, "close"), desc
                assert wire.seconds_to_close(chunked, within_s=5.0) < 5.0 * slowness(), desc
        bomb = gzip.compress(b" " * (64 * MIB))
        for more in ("content-encoding: gzip\r\n", "content-encoding: br\r\n"):
            reply = bar.saw(wire.post(target.port, bomb, more=more))
            assert (reply.status, reply.headers["connection"]) == (415, "close"), (
                "refused by its head, whatever is in it"
            )
        # Two lengths, a length beside chunks: where two servers would see two requests.
        good = wire.request("eth_chainId").encode()
        for lines in (
            f"content-length: {len(good)}\r\ncontent-length: 0\r\n",
            f"content-length: {len(good)}\r\ntransfer-encoding: chunked\r\n",
            "content-length: -1\r\n",
            "content-length: 99999999999999999999999\r\n",
            "transfer-encoding: gzip, chunked, identity\r\n",
        ):
            reply = bar.saw(wire.exchange(target.port, wire.head(None, more=lines) + good))
            assert (reply.status, reply.headers["connection"]) == (400, "close"), (lines, reply)
        begun = time.monotonic()
        assert bar.saw(wire.exchange(target.port, wire.head(None))).code == -32700, "no length is no body"
        assert time.monotonic() - begun < slowness()
        limit = " " * (MIB - len(good))
        assert wire.post(target.port, good + limit.encode()).json()["result"] == "0x539"
        assert wire.post(target.port, good + limit.encode() + b" ").status == 413
