"""The `.io` cases of execution-apis, as hive's rpc-compat runs them: the chain is imported, then each request is posted to the real server.

Answers must be equal in everything but `error.message`. A case that is marked `speconly` says what an answer looks like, not what it is.
"""

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from tests.conformance.verdicts import Mismatch, Verdict, judged, using

from metanode import _engine
from metanode.primitives import rlp
from metanode.rpc.server import Listener, RPCServerConfig, open_server

NAMESPACES: Final = ("eth", "net", "web3", "debug", "txpool", "testing")
REQUEST_TIMEOUT_S: Final = 30.0
CHAIN: Final = "chain.rlp"
GENESIS: Final = "genesis.json"
OPTIONAL: Final = frozenset({"deleteStrategy"})
"""Members that the schema of an answer allows and does not require: the example of a case that shows only the form has them."""


def judge(files: Sequence[Path]) -> Iterator[tuple[Path, Verdict]]:
    """All cases on one chain, in the order of their paths: what one sends is in the pool for the next."""
    cases = sorted(file for file in files if file.suffix == ".io")
    folder = next((file.parent for file in files if file.name == CHAIN), files[0].parent)
    with serving(folder) as url, httpx.Client(timeout=REQUEST_TIMEOUT_S) as client:
        for file in cases:

            def judge_file(file: Path) -> None:
                judge_exchange(client, url, file.read_text())

            yield file, judged(file.stem, judge_file, file)


def judge_exchange(client: httpx.Client, url: str, text: str) -> None:
    """Send the requests of one file and compare the answers."""
    is_schema = "speconly" in text
    requests = [line[3:] for line in text.splitlines() if line.startswith(">> ")]
    answers = [json.loads(line[3:]) for line in text.splitlines() if line.startswith("<< ")]
    for request, expected in zip(requests, answers, strict=True):
        found = client.post(url, content=request, headers={"content-type": "application/json"}).json()
        difference = find_difference(
            without_message(found), without_message(expected), is_schema=is_schema, path=""
        )
        if difference:
            message = found.get("error", {}).get("message", "")
            raise Mismatch(f"{difference}{f' ({message})' if message else ''}")


def without_message(answer: Any) -> Any:
    """An answer as it is compared."""
    if "error" in answer:
        return {**answer, "error": {key: value for key, value in answer["error"].items() if key != "message"}}
    return answer


def find_difference(found: Any, expected: Any, *, is_schema: bool, path: str) -> str | None:
    """The first place at which two JSON values differ; with `is_schema`, in kind and not in value."""
    if isinstance(found, dict) and isinstance(expected, dict):
        lacking = expected.keys() - found.keys()
        if missing := sorted(lacking - OPTIONAL if is_schema else lacking):
            return f"{path or 'the answer'} lacks {', '.join(missing)}"
        if more := sorted(found.keys() - expected.keys()):
            return f"{path or 'the answer'} has {', '.join(more)} too"
        inside = ((key, found[key], expected[key]) for key in sorted(expected.keys() - lacking))
    elif isinstance(found, list) and isinstance(expected, list):
        if len(found) != len(expected) and not is_schema:
            return f"{path} has {len(found)} entries, expected {len(expected)}"
        inside = ((str(index), *pair) for index, pair in enumerate(zip(found, expected, strict=False)))
    elif isinstance(found, bool) != isinstance(expected, bool):
        return difference_between(found, expected, path)  # which Python calls equal: true and 1
    elif found == expected or (is_schema and type(found) is type(expected)):
        return None
    else:
        return difference_between(found, expected, path)
    differences = (
        find_difference(mine, theirs, is_schema=is_schema, path=f"{path}.{key}".lstrip("."))
        for key, mine, theirs in inside
    )
    return next((difference for difference in differences if difference), None)


def difference_between(found: Any, expected: Any, path: str) -> str:
    """Two values, as a reason names them."""
    return f"{path}: found {json.dumps(found)[:120]}, expected {json.dumps(expected)[:120]}"


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A chain imported into an engine in memory, behind the JSON-RPC server of a node."""
    with using(folder / GENESIS):
        engine = _engine.Engine.open((folder / GENESIS).read_bytes(), threads=1, chain_import=True)
    try:
        with using(folder / CHAIN):
            engine.import_chain(blocks_of((folder / CHAIN).read_bytes()))
        with served(engine) as url:
            yield url
    finally:
        engine.close()


@contextmanager
def served(engine: _engine.Engine) -> Iterator[str]:
    """A node's server on a free port, on a loop of its own."""
    config = RPCServerConfig(
        listeners=(Listener(port=0, namespaces=NAMESPACES),),
        client_version="metanode/conformance",
        network_id=engine.chain_id,
    )
    ready: Future[str] = Future()
    done = threading.Event()

    async def serve() -> None:
        try:
            async with open_server(config, {}, engine=engine) as server:
                host, port = server.addresses[0]
                ready.set_result(f"http://{host}:{port}")
                await asyncio.to_thread(done.wait)
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            raise

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="rpc")
    thread.start()
    try:
        yield ready.result()
    finally:
        done.set()
        thread.join()


def blocks_of(chain: bytes) -> list[bytes]:
    """The blocks of a file that has one after the other."""
    blocks, start = [], 0
    while start < len(chain):
        _, _, end = rlp.item_span(chain, start, len(chain))
        blocks.append(chain[start:end])
        start = end
    return blocks
