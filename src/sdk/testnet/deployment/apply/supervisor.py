"""Keeps the nodes of a local network running: `python -m sdk.testnet.deployment.apply.supervisor DIR [DESCRIPTOR]`.

One process a network. It starts every node of the plan, starts a node again when it ends unasked (after 0.2 s, then
twice as long each time up to 10 s) unless it is held, keeps their output in bounded log files, reads plan and held nodes again on SIGHUP, and on
SIGTERM, or when the network's owner has ended, stops all nodes and ends. A lock on its pid file keeps it single; who starts it takes the lock and hands
it over, so that a network that is being started is never taken for one that is not there.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from metanode.errors import InvalidInput
from sdk.testnet.deployment.apply import services
from sdk.testnet.deployment.apply.layout import NetworkDirectory, write_atomic
from sdk.testnet.deployment.plan import ProgramPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdk.testnet.deployment.plan import NetworkPlan, NodePlan

RESTART_DELAY_MIN_S = 0.2
RESTART_DELAY_MAX_S = 10.0
STABLE_AFTER_S = 30.0
"""A node that ran this long starts over with the shortest delay."""
STOP_TIMEOUT_S = 10.0
"""A node stops within 5 s of SIGTERM; one that has not after this is killed."""
START_TIMEOUT_S = 10.0
"""Between its lock and its process id a supervisor imports what it needs: a second on a busy machine."""
LOCK_TIMEOUT_S = 1.0
"""Who only asks whether a supervisor runs holds the lock for microseconds."""
LOCK_POLL_S = 0.02
LOG_BYTES_MAX = 32 * 1024 * 1024
"""When a log file is over this, its end of this length is copied to NAME.log.1 and it is begun anew; one old file is kept. Four validators with
services have logs of at most 400 MiB, what they write between two looks, and a second old file while it is copied."""
LOG_CHECK_INTERVAL_S = 1.0
"""A node that did nothing but log, because strangers make it, would write 41 MB in this time. A look at a dozen sizes costs microseconds."""
LOG_PIECE_BYTES = 1 << 20
LOG_TOLD_INTERVAL_S = 60.0
"""That a log can't be bounded is said this often, of each one: the sentence itself is written to a log."""
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a full disk and a used up quota answer. Whatever else goes wrong with a copy is no reason to throw lines away."""
SERVICES_WAIT_S = 30.0
"""The services start then, block or not: their pages say themselves what is missing."""
SERVICES_POLL_S = 0.2


class Supervisor:
    """Runs the nodes of one network. Owned by the task of `run`."""

    def __init__(self, directory: NetworkDirectory) -> None:
        self._directory = directory
        self._watched: set[str] = set()
        self._stopping = asyncio.Event()
        self._reload = asyncio.Event()

    async def run(self) -> None:
        """Keep the nodes running until SIGTERM or SIGINT.

        Raises:
            InvalidInput: when there is no plan to begin with.
        """
        plan = self._directory.load_plan()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)
        self._end_orphans(plan)
        self._end_with_owner()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._bound_logs(), name="bound logs")
            while not self._stopping.is_set():
                self._keep_all(plan, tasks)
                self._reload.clear()
                await self._reload.wait()
                try:
                    plan = self._directory.load_plan()
                except (OSError, InvalidInput) as error:
                    # What runs goes on; a reset has taken the file, or somebody has edited it.
                    say(f"the network is left as it is, its plan is not read: {error}")

    def _keep_all(self, plan: NetworkPlan, tasks: asyncio.TaskGroup) -> None:
        """Start what the plan has and does not run yet."""
        for node in plan.processes:
            if node.name not in self._watched:
                self._watched.add(node.name)
                waits = node.name == services.NAME and bool(plan.nodes)
                keep = self._keep_after_block(node, plan.nodes[0]) if waits else self._keep(node)
                tasks.create_task(keep, name=f"keep {node.name}")

    def _stop(self) -> None:
        self._stopping.set()
        self._reload.set()

    async def _keep_after_block(self, program: NodePlan | ProgramPlan, first: NodePlan) -> None:
        """Keep what may wait until the chain has a block, so that the first one comes as early as without it; after a while all the same."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SERVICES_WAIT_S):
                while not self._stopping.is_set() and not await services.has_block(
                    first.host, first.rpc_port
                ):
                    await self._pause(SERVICES_POLL_S)
        await self._keep(program)

    async def _keep(self, node: NodePlan | ProgramPlan) -> None:
        """Start the node, and again whenever it ends, until the supervisor stops."""
        delay_s = RESTART_DELAY_MIN_S
        restarts = 0
        while not self._stopping.is_set():
            while self._directory.held_file(node.name).exists() and not self._stopping.is_set():
                await self._reload.wait()
            if self._stopping.is_set():
                break
            started = time.monotonic()
            try:
                process = await self._start(node, restarts)
            except OSError as error:
                delay_s = min(delay_s * 2, RESTART_DELAY_MAX_S)
                say(f"{node.name} can't be started: {error}; trying again in {delay_s:.1f} s")
                await self._pause(delay_s)
                continue
            code = await self._wait(process)
            if self._stopping.is_set():
                break
            if self._directory.held_file(node.name).exists():
                # Somebody has ended it on purpose: not a fault to wait longer after each time.
                say(f"{node.name} ended with {describe_exit(code)}, and is held")
                continue
            ran_s = time.monotonic() - started
            delay_s = RESTART_DELAY_MIN_S if ran_s > STABLE_AFTER_S else min(delay_s * 2, RESTART_DELAY_MAX_S)
            restarts += 1
            say(
                f"{node.name} ended with {describe_exit(code)} after {ran_s:.1f} s; starting it again in {delay_s:.1f} s"
            )
            await self._pause(delay_s)
        self._directory.state_file(node.name).unlink(missing_ok=True)

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until the supervisor stops."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _start(self, node: NodePlan | ProgramPlan, restarts: int) -> asyncio.subprocess.Process:
        log = self._directory.log_file(node.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *self._words(node),
                stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        state = {"pid": process.pid, "started_at": time.time(), "restarts": restarts}
        try:
            write_atomic(self._directory.state_file(node.name), json.dumps(state))
        except OSError as error:
            # The disk is full, perhaps, which is when nodes end. It runs; `metanode status` does not know it.
            say(f"{node.name} runs as process {process.pid}, which is not written down: {error}")
        return process

    def _words(self, node: NodePlan | ProgramPlan) -> tuple[str, ...]:
        """What Python runs."""
        if isinstance(node, ProgramPlan):
            return (node.module, *node.arguments)
        return ("metanode.node", str(self._directory.node(node.name)))

    async def _wait(self, process: asyncio.subprocess.Process) -> int:
        """Wait for the node's end, and bring it about when the supervisor stops."""
        ended = asyncio.ensure_future(process.wait())  # noqa: TID251 - raced with an event, awaited below
        stopping = asyncio.ensure_future(self._stopping.wait())  # noqa: TID251 - the same
        try:
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                process.terminate()
                await asyncio.wait({ended}, timeout=STOP_TIMEOUT_S)
                if not ended.done():
                    process.kill()
            return await ended
        finally:
            stopping.cancel()
            if process.returncode is None:
                # Cancelled: what nobody supervises does not stay.
                process.terminate()

    async def _bound_logs(self) -> None:
        """Look at the size of all logs now and then, until the supervisor stops.

        The copy of one that is begun is ended also when this is cancelled: its thread is waited for by `asyncio.run`, before the lock is given back.
        """
        told_at: dict[Path, float] = {}
        while not self._stopping.is_set():
            for log in self._directory.path.glob("logs/*.log"):
                if self._stopping.is_set():
                    return
                try:
                    # In a thread: 32 MiB take a slow disk seconds, in which nodes may end.
                    await asyncio.to_thread(bound_log, log, bytes_max=LOG_BYTES_MAX)
                except OSError as error:
                    # A reset has taken the file, or somebody else owns it: not a reason to stop the nodes.
                    if time.monotonic() - told_at.get(log, -math.inf) >= LOG_TOLD_INTERVAL_S:
                        told_at[log] = time.monotonic()
                        say(f"{log} is not bounded: {error.strerror}")
            await self._pause(LOG_CHECK_INTERVAL_S)

    def _end_with_owner(self) -> None:
        """Stop when the process that `run/owner` names has ended, however it ends."""
        try:
            owner = int(self._directory.owner_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        try:
            descriptor = os.pidfd_open(owner)
        except ProcessLookupError:
            self._directory.owner_file.unlink()
            self._stop()
            return

        def end() -> None:
            asyncio.get_running_loop().remove_reader(descriptor)
            # Who starts the network of this directory later does not inherit it.
            self._directory.owner_file.unlink(missing_ok=True)
            say(f"the owner of this network, process {owner}, has ended; stopping")
            self._stop()

        # A pidfd is readable once its process has ended.
        asyncio.get_running_loop().add_reader(descriptor, end)

    def _end_orphans(self, plan: NetworkPlan) -> None:
        """Stop nodes that a killed supervisor left behind, known by their state files and command lines."""
        for node in plan.processes:
            process = running_node(self._directory, node.name)
            if process is not None:
                say(f"stopping {node.name}, process {process.pid}, left by an earlier supervisor")
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.terminate()
                    _, alive = psutil.wait_procs([process], timeout=STOP_TIMEOUT_S)
                    for stuck in alive:
                        stuck.kill()


def running_node(directory: NetworkDirectory, name: str) -> psutil.Process | None:
    """The process of a node or program as its state file says, if it lives and is really that one."""
    try:
        pid = json.loads(directory.state_file(name).read_text(encoding="utf-8"))["pid"]
        process = psutil.Process(pid)
        home = str(directory.node(name))
        is_ours = any(word == home or word.startswith(f"{home}/") for word in process.cmdline())
        if is_ours and process.status() != psutil.STATUS_ZOMBIE:
            return process
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        pass
    return None


def running_supervisor(directory: NetworkDirectory) -> int | None:
    """The process id of the network's supervisor, when one holds the lock; one that begins is waited for until it has written it."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            with directory.pid_file.open(encoding="utf-8") as file:
                # Shared, so that who asks keeps nobody else from asking.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return None
        except FileNotFoundError:
            return None
        except BlockingIOError:
            with contextlib.suppress(FileNotFoundError):
                text = directory.pid_file.read_text(encoding="utf-8")
                if text.isdecimal():
                    return int(text)
        if time.monotonic() > deadline:
            return None
        time.sleep(LOCK_POLL_S)


def take_lock(directory: NetworkDirectory) -> int:
    """Take the lock that makes this the network's only supervisor, or the one that starts it; its descriptor.

    Raises:
        InvalidInput: when another one runs.
    """
    directory.pid_file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory.pid_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Somebody who only asks has it for a moment.
            if time.monotonic() > deadline:
                running = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
                os.close(descriptor)
                raise InvalidInput(f"{directory.path} has a supervisor already, process {running}") from None
            time.sleep(LOCK_POLL_S)
        else:
            os.ftruncate(descriptor, 0)
            return descriptor


@contextlib.contextmanager
def single(directory: NetworkDirectory, descriptor: int | None = None) -> Iterator[None]:
    """Be the network's only supervisor, by the lock that `descriptor` holds already, or by one of our own.

    Raises:
        InvalidInput: when another one runs.
    """
    held = take_lock(directory) if descriptor is None else descriptor
    try:
        os.pwrite(held, str(os.getpid()).encode(), 0)
        yield
        os.ftruncate(held, 0)
    finally:
        os.close(held)


def bound_log(log: Path, *, bytes_max: int) -> None:
    """Copy the end of a log that is too long to NAME.log.1, and cut it to nothing in place: whoever writes it has it open for appending.

    What is written between the two is lost; moving the file would take it along, and the log would grow on under the other name.
    Without room for a copy it is cut all the same.

    Raises:
        OSError: when it can't be copied for another reason, or not be cut; its lines are all there then.
    """
    size = log.stat().st_size
    if size <= bytes_max:
        return
    old = log.with_name(log.name + ".1")
    # Under a name of its own until it is whole: what was copied the time before is worth more than half of this.
    copy = log.with_name(log.name + ".1.new")
    lost = None
    try:
        if not _copy_end_with_room(log, copy, old, size, bytes_max):
            # Somebody else has cut it just now, and keeps or does not keep what it had.
            copy.unlink()
            return
        copy.replace(old)
    except OSError as error:
        with contextlib.suppress(OSError):
            copy.unlink()
        if error.errno not in NO_ROOM:
            raise
        # This log has helped to fill the disk: room is worth more to the nodes than their old lines.
        lost = error.strerror
        with contextlib.suppress(OSError):
            old.unlink()
    os.truncate(log, 0)
    if lost is not None:
        # Only now is there room for the sentence, too.
        say(f"{log} begins anew, and what it had is not kept: {lost}")


def _copy_end_with_room(log: Path, copy: Path, old: Path, size: int, bytes_max: int) -> int:
    """Copy the end of the log as `_copy_end` does, at the cost of the older lines where nothing else makes room for it."""
    try:
        return _copy_end(log, copy, size, bytes_max)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        old.unlink(missing_ok=True)
        return _copy_end(log, copy, size, bytes_max)


def _copy_end(source: Path, target: Path, size: int, bytes_max: int) -> int:
    """Copy the last lines of so many bytes that have no more than `bytes_max` together; how many bytes that were, 0 when they are gone."""
    with source.open("rb") as read, target.open("wb") as write:
        read.seek(size - bytes_max)
        rest = read.readline(bytes_max)
        bytes_max -= len(rest)
        if bytes_max == 0:
            # No line ends here at all.
            write.write(rest)
        # Not to the end of the file, which its writer may move as fast as it is read.
        while bytes_max > 0 and (piece := read.read(min(bytes_max, LOG_PIECE_BYTES))):
            write.write(piece)
            bytes_max -= len(piece)
        return write.tell()


def describe_exit(code: int) -> str:
    """An exit status in words."""
    if code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"


def say(text: str) -> None:
    """One line for the supervisor's log, if that can be written: on a full disk the nodes go on, and so does who keeps them."""
    with contextlib.suppress(OSError):
        print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}", flush=True)  # noqa: T201 - it is a program


def main() -> int:
    """Supervise the network in the directory named on the command line; the descriptor of its lock may stand behind it."""
    directory = NetworkDirectory(Path(sys.argv[1]).resolve())
    try:
        with single(directory, int(sys.argv[2]) if len(sys.argv) > 2 else None):
            asyncio.run(Supervisor(directory).run())
    except InvalidInput as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
