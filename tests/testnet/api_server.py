"""The community API as people meet it: behind a socket, over the index of a real chain; and a Redis of a test's own."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
import threading
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn

from sdk.testnet.services.api import ApiConfig, make_app
from sdk.testnet.services.node_pool import NodePool
from sdk.testnet.services.verification import Verifier, find_compilers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sdk.testnet.services.store import Store

START_TIMEOUT_S = 30.0


@contextmanager
def serving(
    store: Store, rpc_url: str, *, monitor: Any = None, verifies: bool = False, **changes: Any
) -> Iterator[str]:
    """Serve the API for the length of the block, with a verifier that works if it is wanted; yields its URL."""
    config = ApiConfig(
        **{
            "network_name": "metanode-testnet",
            "chain_id": 1337,
            "public_url": "http://api.example",
            "anonymous_a_minute": 1_000_000,
            **changes,
        }
    )
    http = httpx.AsyncClient(timeout=10, trust_env=False)
    node = NodePool([rpc_url], http, pulses=http)
    verifier = Verifier(store=store, node=node, compilers=find_compilers()) if verifies else None
    app = make_app(store=store, node=node, config=config, monitor=monitor, verifier=verifier)
    own_lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(served: Any) -> AsyncIterator[Any]:
        # Connections end on the loop that made them.
        async with own_lifespan(served) as state, http, asyncio.TaskGroup() as tasks:
            work = None if verifier is None else tasks.create_task(verifier.run())
            yield state
            if work is not None:
                work.cancel()

    app.router.lifespan_context = lifespan
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_config=None, proxy_headers=False, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=START_TIMEOUT_S)


@contextmanager
def running_redis() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A Redis on a socket of its own; yields its URL and process."""
    folder = Path(tempfile.mkdtemp(prefix="metanode-redis-"))
    path = folder / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not path.exists():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield f"unix://{path}", process
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)
