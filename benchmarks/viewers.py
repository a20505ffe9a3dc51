"""How a thousand people who watch the first page are told of a block: `python -m benchmarks viewers`.

A validator makes blocks of two seconds, and the services run beside it in a process of their own. Every viewer is a connection that reads the stream of
`/live`. Told are: how long after the first viewer the last one has a block, how many events each block was (one: it is rendered once), what a
block costs the services' processor, and their memory with and without viewers.
"""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from benchmarks.pages import wait_ready
from benchmarks.report import Figure
from sdk.testnet import Testnet
from sdk.testnet.services.connections import raise_file_limit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VIEWERS: Final = 1_000
BLOCKS: Final = 20
BLOCK_S: Final = 2
AT_ONCE: Final = 50
"""Connections that are opened side by side."""
MEMORY_TARGET_MB: Final = 200
EVENT: Final = b"event: home"


def measure(viewers: int = VIEWERS, blocks: int = BLOCKS) -> Iterator[Figure]:
    """Give the figures."""
    raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="metanode-viewers-") as folder, Testnet(validators=1, block_time_s=BLOCK_S, in_memory=True) as net:  # fmt: skip
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        config = Path(folder) / "services.toml"
        config.write_text(
            f'[network]\nnetwork_id = "viewers"\nchain_id = {net.chain_id}\nrpc_urls = {json.dumps([net.rpc_url])}\n'
            f'[explorer]\nport = {port}\ndocs_directory = ""\n'
        )
        command = [sys.executable, "-m", "sdk.testnet.services.program", str(config)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                wait_ready(f"http://127.0.0.1:{port}", process)
                yield from asyncio.run(watch(port, psutil.Process(process.pid), viewers, blocks))
            finally:
                process.terminate()


async def watch(port: int, services: psutil.Process, viewers: int, blocks: int) -> list[Figure]:
    """Let viewers watch the first page of the services at a port for so many events, and give the figures."""
    before_mb = services.memory_info().rss / 1e6
    seen: dict[bytes, list[float]] = {}
    """Times by the event's id, which all viewers share."""
    bytes_each: list[int] = []
    numbers: set[int] = set()
    """Of the blocks that events were about."""
    places = asyncio.Semaphore(AT_ONCE)
    open_count = 0
    opened = asyncio.Condition()
    """Told of each connection and of each block's first arrival."""
    done = asyncio.Event()

    async def view() -> None:
        nonlocal open_count
        async with places:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
            writer.write(b"GET /live?topics=home HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.splitlines()[0], head
        open_count += 1
        async with opened:
            opened.notify_all()
        is_event = is_first = False
        try:
            while not done.is_set():
                line = await reader.readline()
                assert line, "the stream ended"
                is_event = is_event or line.startswith(EVENT)
                if is_event and line.startswith(b"id: "):
                    is_first = line not in seen
                    seen.setdefault(line, []).append(time.monotonic())
                    if is_first:
                        async with opened:
                            opened.notify_all()
                elif is_event and line.startswith(b"data: "):
                    bytes_each.append(len(line))
                    if is_first:
                        numbers.add(json.loads(line.removeprefix(b"data: "))["number"])
                    is_event = is_first = False
        finally:
            writer.close()

    async with asyncio.TaskGroup() as tasks:
        watching = [tasks.create_task(view(), name=f"viewer {number}") for number in range(viewers)]
        async with opened:
            await opened.wait_for(lambda: open_count >= viewers)
        # Blocks that some were there for and others not are none.
        seen.clear()
        numbers.clear()
        began_s, began_cpu_s = time.monotonic(), _cpu_s(services)
        async with opened:
            await opened.wait_for(lambda: len(seen) >= blocks)
        took_s, cpu_s = time.monotonic() - began_s, _cpu_s(services) - began_cpu_s
        with_mb = services.memory_info().rss / 1e6
        await asyncio.sleep(BLOCK_S / 2)
        done.set()
        for task in watching:
            task.cancel()
    whole = [times for times in seen.values() if len(times) == viewers]
    per_viewer = Counter(len(times) for times in seen.values())
    print(f"    {len(seen)} events to {viewers:,} viewers in {took_s:.0f} s, {len(whole)} of them to all: {dict(per_viewer)}", flush=True)  # fmt: skip
    assert len(whole) >= len(seen) - 2, "at the begin and at the end one may be cut; others are for all"
    spread_ms = [(max(times) - min(times)) * 1000 for times in whole]
    return [
        _figure(f"{viewers:,} viewers: ms from the first to the last", spread_ms),
        # By the blocks' own numbers: after a pause of the machine they come faster than every two seconds.
        _figure("events a block, so renders", [len(seen) / (max(numbers) - min(numbers) + 1)], "<= 1"),
        _figure("services' CPU ms a block", [1000 * cpu_s / max(1, len(seen))]),
        _figure("bytes of an event", [float(statistics.median(bytes_each))]),
        _figure("memory MB before viewers", [before_mb], f"< {MEMORY_TARGET_MB}"),
        _figure(f"memory MB with {viewers:,} viewers", [with_mb], f"< {MEMORY_TARGET_MB}"),
    ]


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _figure(measure: str, values: Sequence[float], target: str = "") -> Figure:
    return Figure(measure, "metanode", statistics.median(values), min(values), max(values), target)
