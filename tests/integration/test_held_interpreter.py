"""`eth_call` and `eth_getLogs` never touch Python: a node answers them while a function that is not Python holds the interpreter's lock."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.acceptance.processes import RPCError, wait_until
from tests.integration.hostile.target import LOGGER, flood_key, running_target, signed

from metanode.primitives.hexadecimal import encode_data

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.hostile.target import Target

pytestmark = pytest.mark.timeout(120)

PROGRAM = (str(Path(__file__).with_name("held_node.py")),)
ASKED = 20
"""Times that each method is asked, one after the other."""
WITHIN_S = 8.0
"""Less than the 10 s after which the server itself answers for a handler that does not."""
CALL = {"data": "0x602a60005260206000f3"}
"""Code that runs, and gives 42."""
BUSY = "server is busy, try again later"
LOGS = 5


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A node with the logs of one transaction."""
    with running_target(tmp_path_factory.mktemp("held"), program=PROGRAM) as running:
        transaction = signed(flood_key(1), 0, to=LOGGER, data=LOGS.to_bytes(32), gas=100_000)
        running.call("eth_sendRawTransactionSync", encode_data(transaction))
        yield running


@contextlib.contextmanager
def held(target: Target) -> Iterator[None]:
    """Nobody runs Python in the node."""
    home = target.process.home
    wait_until(lambda: hold(target), within_s=60.0, what="a moment at which the node is held and not busy")
    try:
        yield
        assert (home / "held").exists()
    finally:
        (home / "release").write_bytes(b"")


def hold(target: Target) -> bool:
    """Stop the node's Python, unless that has just said that the machine is too busy for calls: it could not take it back."""
    home = target.process.home
    (home / "hold").write_bytes(b"")
    wait_until((home / "held").exists, within_s=30.0, what="the interpreter to be held")
    try:
        target.call("eth_call", CALL, "latest")
    except RPCError as error:
        if error.message != BUSY:
            raise
        (home / "release").write_bytes(b"")
        wait_until(lambda: not (home / "held").exists(), within_s=30.0, what="it to be released")
        return False
    return True


def test_calls_and_logs_are_answered_while_no_python_runs_and_a_handler_in_python_waits(
    target: Target,
) -> None:
    asking = {"address": LOGGER, "fromBlock": "0x0", "toBlock": "latest"}
    with httpx.Client(timeout=WITHIN_S) as client, ThreadPoolExecutor(1) as beside:
        with held(target):
            waiting = beside.submit(target.call, "ibft_getEpochInfo")
            for _ in range(ASKED):
                assert int(ask(client, target, "eth_call", CALL, "latest"), 16) == 42
                assert len(ask(client, target, "eth_getLogs", asking)) == LOGS
            assert not waiting.done()
        assert waiting.result(timeout=WITHIN_S)["epoch"] == "0x0"


def ask(client: httpx.Client, target: Target, method: str, *params: Any) -> Any:
    """A result, over one connection that stays open."""
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return client.post(target.process.rpc.url, json=request).json()["result"]
