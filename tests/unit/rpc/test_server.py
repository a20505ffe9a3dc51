"""Handlers behind the real server, asked over real sockets."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

pytest.importorskip("metanode._engine", reason="the engine is not built: run `make setup`")

from metanode.errors import InvalidInput, Unavailable
from metanode.rpc.client import open_client
from metanode.rpc.errors import (
    InternalError,
    InvalidParams,
    JSONRPCError,
    MethodNotFound,
    NodeUnreachable,
    ServerBusy,
    ServerError,
)
from metanode.rpc.method import Method
from metanode.rpc.server import Listener, RPCLimits, RPCServer, RPCServerConfig, open_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from metanode.rpc.client import JSONRPCClient
    from metanode.rpc.method import Handler


def config(*listeners: Listener, **changes: Any) -> RPCServerConfig:
    return RPCServerConfig(
        listeners=listeners or (Listener(port=0),),
        client_version="Metanode/v0.1.0/linux/rust",
        network_id=1337,
        **changes,
    )


async def echo(params: Sequence[Any]) -> Any:
    await asyncio.sleep(0)
    return list(params)


async def votes(params: Sequence[Any]) -> Any:
    raise InvalidParams("invalid argument 0: expected an address", {"found": params[0]})


async def wrong(_: Sequence[Any]) -> Any:
    raise InvalidInput("height 7: not known")


async def broken(_: Sequence[Any]) -> Any:
    raise ZeroDivisionError("a secret detail")


async def down(_: Sequence[Any]) -> Any:
    raise Unavailable("node.db: the disk is full")


async def unwritable(_: Sequence[Any]) -> Any:
    return object()


HANDLERS: Mapping[str, Handler] = {
    "ibft_getPendingVotes": echo,
    "ibft_proposeValidatorVote": votes,
    "ibft_getEvidence": wrong,
    "ibft_getEpochInfo": broken,
    "ibft_getConsensusState": down,
    "ibft_getSignerMetrics": unwritable,
    "admin_peers": echo,
}


def declared(handlers: Mapping[str, Handler]) -> dict[str, Method]:
    return {
        name: Method("(argument?: Any) -> Any", "For a test.", handler) for name, handler in handlers.items()
    }


@asynccontextmanager
async def running(
    settings: RPCServerConfig | None = None, handlers: Mapping[str, Handler] = HANDLERS
) -> AsyncIterator[tuple[RPCServer, list[JSONRPCClient]]]:
    """A server, and a client for each of its listeners."""
    async with open_server(settings or config(), declared(handlers)) as server:
        clients: list[JSONRPCClient] = []
        async with asyncio.timeout(20):
            async with open_clients(server, clients):
                yield server, clients


@asynccontextmanager
async def open_clients(server: RPCServer, clients: list[JSONRPCClient]) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for address, port in server.addresses:
            clients.append(await stack.enter_async_context(open_client(f"http://{address}:{port}")))
        yield


def run(scenario: Any) -> None:
    asyncio.run(scenario())


def test_a_handler_answers_with_what_it_returns() -> None:
    async def scenario() -> None:
        async with running() as (server, (client,)):
            assert await client.call("ibft_getPendingVotes", "0x1", {"a": [None, True]}) == [
                "0x1",
                {"a": [None, True]},
            ]
            assert await client.call("ibft_getPendingVotes") == []
            assert await client.call("net_version") == "1337"
            assert await client.call("web3_clientVersion") == "Metanode/v0.1.0/linux/rust"
            server.set_peer_count(3)
            assert await client.call("net_peerCount") == "0x3"
            methods = {entry["method"]: entry["requests"] for entry in server.statistics()["methods"]}
            assert methods["ibft_getPendingVotes"] == 2

    run(scenario)


@pytest.mark.parametrize(
    ("method", "expected", "code", "message"),
    [
        ("ibft_getEvidence", InvalidParams, -32602, "height 7: not known"),
        ("ibft_getEpochInfo", InternalError, -32603, "internal error"),
        ("ibft_getSignerMetrics", InternalError, -32603, "internal error"),
        ("ibft_getConsensusState", ServerError, -32000, "node.db: the disk is full"),
        ("ibft_unknown", MethodNotFound, -32601, "the method ibft_unknown does not exist/is not available"),
        ("admin_peers", MethodNotFound, -32601, "the method admin_peers does not exist/is not available"),
    ],
)
def test_what_a_handler_raises_becomes_an_error_object(
    method: str, expected: type[Exception], code: int, message: str
) -> None:
    async def scenario() -> None:
        async with running() as (_, (client,)):
            with pytest.raises(expected) as raised:
                await client.call(method, 1)
            error: Any = raised.value
            assert (error.code, error.message) == (code, message)

    run(scenario)


def test_operators_methods_are_only_on_the_private_listener() -> None:
    async def scenario() -> None:
        listeners = (Listener(port=0), Listener(port=0, private=True))
        async with running(config(*listeners)) as (_, (loopback, private)):
            with pytest.raises(MethodNotFound):
                await loopback.call("ibft_proposeValidatorVote", "0x1")
            with pytest.raises(InvalidParams) as raised:
                await private.call("ibft_proposeValidatorVote", "0x1")
            assert raised.value.data == {"found": "0x1"}
            assert await private.call("admin_peers") == []
            assert "admin" in await private.call("rpc_modules")
            assert "admin" not in await loopback.call("rpc_modules")

    run(scenario)


def test_parameters_python_cannot_hold_are_refused() -> None:
    async def scenario() -> None:
        async with running() as (server, _):
            for params, part in [
                ('{"a": 1}', "not an array"),
                ('["\\ud800"]', "cannot be read"),
                (f"[{'9' * 900_000}e]", "parse error"),
            ]:
                answer = await post(
                    server, f'{{"jsonrpc":"2.0","id":1,"method":"ibft_getPendingVotes","params":{params}}}'
                )
                assert part in answer["error"]["message"], answer

    run(scenario)


async def post(server: RPCServer, body: str) -> Any:
    (address, port), *_ = server.addresses
    async with httpx.AsyncClient(trust_env=False) as http:
        response = await http.post(
            f"http://{address}:{port}", content=body, headers={"content-type": "application/json"}
        )
        return response.json()


def test_requests_beyond_the_queue_are_told_that_the_server_is_busy() -> None:
    async def scenario() -> None:
        gate = asyncio.Event()

        async def wait(_: Sequence[Any]) -> Any:
            await gate.wait()
            return True

        limits = RPCLimits(connections_max=400, batch_items_max=400)
        async with running(config(limits=limits), {"ibft_getEvidence": wait}) as (_, (client,)):
            async with asyncio.TaskGroup() as tasks:
                waiting = [tasks.create_task(client.batch([("ibft_getEvidence", [])] * 8)) for _ in range(32)]
                await asyncio.sleep(0.5)
                with pytest.raises(ServerBusy):
                    await client.call("ibft_getEvidence")
                assert await client.call("net_listening") is True
                gate.set()
            answers = [answer for task in waiting for answer in task.result()]
            assert answers == [True] * 256

    run(scenario)


def test_a_batch_gives_results_and_errors_in_order() -> None:
    async def scenario() -> None:
        async with running() as (_, (client,)):
            answers = await client.batch(
                [("net_version", []), ("ibft_nothing", []), ("ibft_getPendingVotes", [7])]
            )
            assert [answers[0], type(answers[1]), answers[2]] == ["1337", MethodNotFound, [7]]
            assert await client.batch([]) == []
            with pytest.raises(JSONRPCError, match="batch too large: 101 requests, at most 100"):
                await client.batch([("net_version", [])] * 101)

    run(scenario)


@pytest.mark.parametrize(
    ("listener", "part"),
    [
        (Listener(port=0, namespaces=("eth", "admin")), "private listener only"),
        (Listener(port=0, address="0.0.0.0", private=True), "loopback address"),
        (Listener(port=0, private=True, cors_origins=("*",)), "web origins"),
        (Listener(port=0, http=False, websocket=False), "neither"),
        (Listener(port=0, address="localhost"), "address"),
    ],
)
def test_a_listener_nobody_can_mean_is_refused(listener: Listener, part: str) -> None:
    async def scenario() -> None:
        with pytest.raises(InvalidInput, match=part):
            async with open_server(config(listener), {}):
                pass

    run(scenario)


def test_an_address_in_use_is_named() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(Unavailable, match=f"127.0.0.1:{port}"):
                async with open_server(config(Listener(port=port)), {}):
                    pass

    run(scenario)


def test_closing_lets_open_requests_end_and_frees_the_port() -> None:
    async def scenario() -> None:
        begun = asyncio.Event()

        async def slow(_: Sequence[Any]) -> Any:
            begun.set()
            await asyncio.sleep(0.2)
            return "done"

        async with (
            asyncio.TaskGroup() as tasks,
            open_server(config(), declared({"ibft_getEvidence": slow})) as server,
        ):
            (address, port), *_ = server.addresses
            task = tasks.create_task(ask(f"http://{address}:{port}", "ibft_getEvidence"))
            await begun.wait()
        assert task.result() == "done"
        with pytest.raises(NodeUnreachable):
            await ask(f"http://{address}:{port}", "net_version")

    run(scenario)


async def ask(url: str, method: str) -> Any:
    async with open_client(url) as client:
        return await client.call(method)
