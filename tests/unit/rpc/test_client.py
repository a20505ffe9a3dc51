"""What the client makes of a node's answers, good and bad."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import orjson
import pytest

from metanode.rpc import client
from metanode.rpc.client import JSONRPCClient
from metanode.rpc.errors import (
    ExecutionReverted,
    InternalError,
    InvalidParams,
    JSONRPCError,
    MethodNotFound,
    NodeUnreachable,
    RequestTimedOut,
    ServerBusy,
    ServerError,
    error_of,
)
from metanode.simulation.virtual_time import VirtualTimeLoop


def ask(answer: bytes | Exception, *, status: int = 200, batch: int = 0) -> Any:
    """Ask a node that sends `answer`, one call or a batch of `batch`."""

    def serve(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(status, content=answer)

    async def scenario() -> Any:
        async with httpx.AsyncClient(transport=httpx.MockTransport(serve)) as http:
            client = JSONRPCClient("http://node", http)
            return await (client.batch([("a", [])] * batch) if batch else client.call("a", 1))

    return asyncio.run(scenario())


def test_a_call_sends_what_the_standard_says() -> None:
    sent: list[Any] = []

    def serve(request: httpx.Request) -> httpx.Response:
        sent.append((request.method, request.headers["content-type"], orjson.loads(request.content)))
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": sent[-1][2]["id"], "result": "0x1"})

    async def scenario() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(serve)) as http:
            client = JSONRPCClient("http://node", http)
            assert await client.call("eth_chainId") == "0x1"
            assert await client.call("eth_getBalance", "0x00", "latest") == "0x1"

    asyncio.run(scenario())
    assert sent == [
        ("POST", "application/json", {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}),
        (
            "POST",
            "application/json",
            {"jsonrpc": "2.0", "id": 2, "method": "eth_getBalance", "params": ["0x00", "latest"]},
        ),
    ]


@pytest.mark.parametrize("result", [None, 0, "", [], {}, False])
def test_an_empty_result_is_a_result(result: Any) -> None:
    assert ask(orjson.dumps({"jsonrpc": "2.0", "id": 1, "result": result})) == result


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (-32601, MethodNotFound),
        (-32602, InvalidParams),
        (-32000, ServerError),
        (3, ExecutionReverted),
        (-32005, ServerBusy),
        (-32002, RequestTimedOut),
        (-32603, InternalError),
        (-32038, JSONRPCError),
    ],
)
def test_each_error_code_has_its_class(code: int, expected: type[Exception]) -> None:
    answer = {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": "why", "data": "0x08"}}
    with pytest.raises(expected) as raised:
        ask(orjson.dumps(answer))
    error: Any = raised.value
    assert type(error) is expected
    assert (error.code, error.message, error.data, str(error)) == (code, "why", "0x08", "why")


@pytest.mark.parametrize(
    ("answer", "status", "part"),
    [
        (b"<html>", 502, "answers 502: '<html>'"),
        (b"", 200, "answers 200"),
        (b"[]", 200, "not a JSON-RPC response"),
        (b"{}", 200, "not a JSON-RPC response"),
        (b'{"jsonrpc":"2.0","id":9,"result":1}', 200, "not a JSON-RPC response"),
        (b'{"jsonrpc":"2.0","id":1,"error":"no"}', 200, "not a JSON-RPC response"),
        (httpx.ConnectError("refused"), 200, "does not answer: refused"),
        (httpx.ReadTimeout(""), 200, "does not answer: ReadTimeout"),
    ],
)
def test_what_is_no_json_rpc_is_an_unreachable_node(
    answer: bytes | Exception, status: int, part: str
) -> None:
    with pytest.raises(NodeUnreachable, match=part):
        ask(answer, status=status)


def test_a_batch_is_sorted_by_id_and_keeps_its_errors() -> None:
    answers = [
        {"jsonrpc": "2.0", "id": 2, "error": {"code": -32000, "message": "nonce too low"}},
        {"jsonrpc": "2.0", "id": 1, "result": "first"},
    ]
    first, second = ask(orjson.dumps(answers), batch=2)
    assert first == "first"
    assert isinstance(second, ServerError)
    assert str(second) == "nonce too low"


def test_a_batch_with_a_missing_answer_is_no_batch() -> None:
    with pytest.raises(NodeUnreachable):
        ask(b'[{"jsonrpc":"2.0","id":1,"result":1}]', batch=2)


def test_a_refused_batch_raises_its_reason() -> None:
    refusal = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batch too large"}}'
    with pytest.raises(JSONRPCError, match="batch too large"):
        ask(refusal, batch=2)


def test_an_error_without_a_class_keeps_its_code() -> None:
    error = error_of(-38013, "intrinsic gas too low")
    assert isinstance(error, JSONRPCError)
    assert error.code == -38013


@pytest.mark.parametrize("strange", [[], {}, None, 1.5, "1", True])
def test_an_answer_with_a_strange_id_is_no_answer(strange: Any) -> None:
    entry = {"jsonrpc": "2.0", "id": strange, "result": "0x1"}
    with pytest.raises(NodeUnreachable, match="not a JSON-RPC response"):
        ask(orjson.dumps([entry, entry]), batch=2)


def test_who_answers_without_end_is_read_no_further_than_to_the_limit() -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield bytes(1_000)

    async def scenario() -> None:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, content=endless()))
        async with httpx.AsyncClient(transport=transport) as http:
            await JSONRPCClient("http://node", http, bytes_max=10_000).call("a")

    with pytest.raises(NodeUnreachable, match="more than 10000 bytes") as caught:
        asyncio.run(scenario())
    assert caught.value.has_answered
    assert sent == 11


def test_who_drips_an_answer_is_left_when_its_time_is_over() -> None:
    async def dripping() -> Any:
        while True:
            yield b" "
            await asyncio.sleep(1)

    async def scenario() -> None:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, content=dripping()))
        async with httpx.AsyncClient(transport=transport) as http:
            await JSONRPCClient("http://node", http, answer_s=120).call("a")

    # The drops fall on virtual time.
    with (
        asyncio.Runner(loop_factory=VirtualTimeLoop) as runner,
        pytest.raises(NodeUnreachable, match=r"not answered whole after 120 s") as caught,
    ):
        runner.run(scenario())
    assert caught.value.has_answered


def test_an_opened_client_has_so_many_of_its_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_TIMEOUTS", 0.01)

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n ")
        try:
            await reader.read()  # until the client has left
        finally:
            writer.close()

    async def scenario() -> None:
        async with await asyncio.start_server(begin, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with client.open_client(f"http://127.0.0.1:{port}", timeout_s=30) as rpc:
                await rpc.call("a")

    with pytest.raises(NodeUnreachable, match=r"not answered whole after 0\.3 s"):
        asyncio.run(scenario())


@pytest.mark.parametrize("url", ["http://[::1", "http://host:99999", "http://a..b:80", "http://%zz"])
def test_an_address_that_is_none_is_told(url: str) -> None:
    async def scenario() -> None:
        async with httpx.AsyncClient() as http:
            await JSONRPCClient(url, http).call("a")

    with pytest.raises(NodeUnreachable, match="does not answer"):
        asyncio.run(scenario())
