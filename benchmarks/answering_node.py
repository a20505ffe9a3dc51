"""A node that knows what pages ask of one, for an index of a chain that never was: `python -m benchmarks.answering_node URL PORT`.

It is a process of its own, as a node is, so that a page waits for an exchange over a socket. Every answer has the size of a real one; balances and trees of calls
are the same for everybody. What it does not know it refuses, as a node does.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import orjson
import uvicorn

from benchmarks.index_contracts import CODE
from benchmarks.page_subjects import Subjects, find_subjects

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

WAITING: Final = 60
"""Transactions in the pool: more than its page shows."""
BALANCE_WEI: Final = 123_456_789_000_000_000
"""Of everybody."""
CALLS: Final = 20
"""Of a transaction's tree."""
_ADDRESS: Final = "0x" + "a5" * 20


def answers_of(found: Subjects) -> Mapping[str, Callable[[list[Any]], Any]]:
    """Return what answers each method, by its name."""
    contracts = {address.lower() for address in (*found.tokens, *found.verified)}
    state = _consensus_state(found)
    pool = {"pending": {_ADDRESS: {str(nonce): _waiting(nonce) for nonce in range(WAITING)}}, "queued": {}}
    tree = _call() | {"calls": [_call() for _ in range(CALLS)]}
    epoch = {"epoch": "0x0", "epochLength": "0x7530", "firstBlock": "0x0", "blocksLeft": "0x10"}
    fixed: dict[str, Any] = {
        "eth_chainId": hex(found.chain_id),
        "eth_blockNumber": hex(found.head),
        "eth_getBalance": hex(BALANCE_WEI),
        "eth_getTransactionCount": "0x11",
        "eth_getStorageAt": _word(0),
        "eth_call": _word(10**24),
        "eth_getTransactionByHash": None,
        "eth_getBlockByNumber": None,
        "debug_traceTransaction": tree,
        "ibft_getConsensusState": state,
        "ibft_getNetworkState": state,
        "ibft_getEpochInfo": epoch,
        "ibft_getPendingVotes": {},
        "ibft_getCommitCertificate": None,
        "ibft_getEvidence": [],
        "txpool_status": {"pending": hex(WAITING), "queued": "0x0"},
        "txpool_content": pool,
        "web3_clientVersion": "metanode/0/benchmark",
    }
    code = f"0x{CODE.hex()}"
    answers = {name: functools.partial(_same, value) for name, value in fixed.items()}
    return {**answers, "eth_getCode": lambda params: code if params[0].lower() in contracts else "0x"}


def _same(value: Any, _: list[Any]) -> Any:
    return value


def make_app(found: Subjects) -> Callable[..., Awaitable[None]]:
    """Return the node's JSON-RPC over HTTP."""
    answers = answers_of(found)

    def one(request: dict[str, Any]) -> dict[str, Any]:
        answer = answers.get(request["method"])
        if answer is None:
            error = {"code": -32601, "message": f"the method {request['method']} does not exist"}
            return {"jsonrpc": "2.0", "id": request["id"], "error": error}
        return {"jsonrpc": "2.0", "id": request["id"], "result": answer(request["params"])}

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "http", scope
        body, has_more = b"", True
        while has_more:
            message = await receive()
            body += message.get("body", b"")
            has_more = message.get("more_body", False)
        asked = orjson.loads(body)
        answer = orjson.dumps([one(each) for each in asked] if isinstance(asked, list) else one(asked))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


@contextlib.contextmanager
def answering_node(url: str, port: int) -> Iterator[str]:
    """A node for an index, for the length of the block; gives its address."""
    command = [sys.executable, "-m", "benchmarks.answering_node", url, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), "the node ended; its words are above"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _consensus_state(found: Subjects) -> dict[str, Any]:
    heard = {"type": "commit", "height": hex(found.head + 1), "round": "0x0", "secondsAgo": 0.4}
    return {
        "network": "benchmark",
        "chainId": hex(found.chain_id),
        "genesisHash": f"0x{found.genesis_hash.hex()}",
        "head": hex(found.head),
        "headTimestamp": "0x65000000",
        "secondsSinceDecision": 0.5,
        "period": "0x2",
        "height": hex(found.head + 1),
        "round": "0x0",
        "phase": "awaitProposal",
        "halted": None,
        "proposer": found.validators[0],
        "quorumWeight": hex(len(found.validators) * 2 // 3 + 1),
        "totalWeight": hex(len(found.validators)),
        "validators": [
            {"address": address, "power": "0x1", "own": place == 0, "lastMessage": heard, "roundWanted": None}
            for place, address in enumerate(found.validators)
        ],
    }


def _waiting(nonce: int) -> dict[str, Any]:
    return {
        "hash": _word(nonce + 1),
        "from": _ADDRESS,
        "to": _ADDRESS,
        "nonce": hex(nonce),
        "value": hex(10**18 + nonce),
        "maxFeePerGas": hex(10**9),
        "input": "0x",
    }


def _call() -> dict[str, Any]:
    return {
        "type": "CALL",
        "from": _ADDRESS,
        "to": _ADDRESS,
        "value": "0x1",
        "gas": "0x5208",
        "gasUsed": "0x5208",
        "input": f"0xa9059cbb{'00' * 64}",
        "output": _word(1),
    }


def _word(value: int) -> str:
    return f"0x{value:064x}"


def main() -> None:
    """Answer until ended."""
    url, port = sys.argv[1:]
    app = make_app(find_subjects(url))
    with socket.create_server(("127.0.0.1", int(port))) as listener:
        # Who connects from here on is answered.
        print("ready", flush=True)
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
