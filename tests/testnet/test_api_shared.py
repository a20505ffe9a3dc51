"""Processes of the community API that share what they answered, by a real Redis: the program itself, twice, over one index."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import orjson
import pytest
from redis import Redis
from tests.acceptance.processes import wait_until
from tests.testnet.api_server import running_redis
from tests.testnet.pages.served import free_port
from tests.unit.services.told_chain import ToldChain, write_chain

from sdk.testnet.services.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]

DEADLINE_S = 60.0


@contextmanager
def process(folder: Path, name: str, redis_url: str) -> Iterator[str]:
    """The API alone, over the folder's index; no node answers, for blocks are asked of the index."""
    port, config = free_port(), folder / f"{name}.toml"
    config.write_text(
        f'[network]\nnetwork_id = "n"\nchain_id = 1\nrpc_urls = ["http://127.0.0.1:1"]\n[database]\nredis_url = "{redis_url}"\n'
        f"[api]\nport = {port}\nanonymous_a_minute = 1000000\n"
    )
    command = [sys.executable, "-m", "sdk.testnet.services.program", str(config), "api"]
    url = f"http://127.0.0.1:{port}"
    with (
        (folder / f"{name}.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as running,
    ):
        try:
            wait_until(lambda: _lives(url), within_s=60, what=f"{name} lives")
            yield url
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(20)


def _lives(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
def index(tmp_path: Path) -> Path:
    store = Store(f"sqlite:///{tmp_path}/index.db")
    write_chain(store, ToldChain(head=6))
    store.close()
    return tmp_path


def test_what_one_process_answered_another_gives_again(index: Path) -> None:
    """The kept answer is marked in Redis, so that it is seen who made the second one: it is kept for a second."""
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed; apt-get install redis-server")
    with (
        running_redis() as (redis_url, _),
        process(index, "one", redis_url) as one,
        process(index, "other", redis_url) as other,
        Redis.from_url(redis_url) as redis,
    ):
        deadline = time.monotonic() + DEADLINE_S
        for limit in range(1, 100):
            assert time.monotonic() < deadline
            path = f"/api/v1/blocks?limit={limit}"
            first = httpx.get(one + path, timeout=20)
            kept = [name for name in redis.scan_iter("*answer:*") if (left_ms := redis.pttl(name)) > 0]
            if not kept:
                continue  # on a busy machine a second may be over
            assert first.status_code == 200
            assert len(first.json()["items"]) == min(limit, 7)
            marked = orjson.loads(redis.get(kept[-1]) or b"{}")
            if marked.get("body") != first.text:
                continue  # that of the time before
            marked["body"] = '{"items": "those of the first process"}'
            marked["headers"] = [pair for pair in marked["headers"] if pair[0] != "content-length"]
            redis.set(kept[-1], orjson.dumps(marked), px=left_ms)
            second = httpx.get(other + path, timeout=20)
            if second.json()["items"] == "those of the first process":
                break
        else:
            pytest.fail("the second process never gave what the first had answered")
        # And what nobody has asked lately is asked of the index again.
        wait_until(
            lambda: httpx.get(other + path, timeout=20).json()["items"] == first.json()["items"],
            within_s=10,
            what="the index is asked again",
        )
