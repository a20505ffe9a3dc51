"""What the supervisor does beside its processes, and what does not make it leave them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from metanode.errors import InvalidInput
from sdk.testnet.deployment.apply import local, supervisor
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.apply.supervisor import (
    LOG_BYTES_MAX,
    LOG_CHECK_INTERVAL_S,
    LOG_TOLD_INTERVAL_S,
    Supervisor,
    bound_log,
    running_supervisor,
    single,
    take_lock,
)
from sdk.testnet.deployment.plan import NetworkPlan, NetworkSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

ROOT = Path(__file__).resolve().parents[3]
NODE = "validator-1"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NetworkDirectory:
    """A network of one node, which is any program that stays."""
    found = NetworkDirectory(tmp_path / "net")
    local.create_network(found, NetworkSpec(validator_count=1))
    program = ("http.server", "--bind", "127.0.0.1", "0")
    monkeypatch.setattr(Supervisor, "_words", lambda _self, _node: program)
    return found


@contextlib.asynccontextmanager
async def supervising(directory: NetworkDirectory) -> AsyncIterator[Supervisor]:
    """A supervisor at work, which ends its node when the block ends."""
    loop = asyncio.get_running_loop()
    at_work = Supervisor(directory)
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        tasks.create_task(at_work.run())
        try:
            yield at_work
        finally:
            at_work._stop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.remove_signal_handler(number)


async def until(condition: Callable[[], Any]) -> Any:
    """What the condition gives, as soon as it gives something."""
    while not (found := condition()):
        await asyncio.sleep(0.02)
    return found


def running(directory: NetworkDirectory) -> int | None:
    """The process id that is written down for the node."""
    file = directory.state_file(NODE)
    return json.loads(file.read_text())["pid"] if file.exists() else None


def test_a_plan_that_is_damaged_later_leaves_the_nodes_running(
    directory: NetworkDirectory, capfd: pytest.CaptureFixture[str]
) -> None:
    async def check() -> None:
        async with supervising(directory) as at_work:
            pid = await until(lambda: running(directory))
            directory.plan_file.write_text("{")
            said = ""

            def is_said() -> bool:
                nonlocal said
                said += capfd.readouterr().out
                return "its plan is not read" in said

            at_work._reload.set()
            await until(is_said)

            assert psutil.pid_exists(pid)
        assert not psutil.pid_exists(pid)

    asyncio.run(check())


def test_a_full_disk_ends_neither_the_supervisor_nor_what_it_starts(
    directory: NetworkDirectory, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def check() -> None:
        def write(_path: Path, _text: str) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(supervisor, "write_atomic", write)
        said = ""

        def is_said() -> bool:
            nonlocal said
            said += capfd.readouterr().out
            return "which is not written down: [Errno 28]" in said

        async with supervising(directory):
            await until(is_said)
            pid = int(said.partition("runs as process ")[2].partition(",")[0])
            assert psutil.pid_exists(pid)
        assert not psutil.pid_exists(pid)

    asyncio.run(check())


def test_a_process_that_cant_be_started_is_tried_again(
    directory: NetworkDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        start, tries = asyncio.create_subprocess_exec, []

        async def refuse_once(*words: Any, **settings: Any) -> asyncio.subprocess.Process:
            tries.append(words)
            if len(tries) == 1:
                raise BlockingIOError(11, "Resource temporarily unavailable")
            return await start(*words, **settings)

        monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse_once)
        async with supervising(directory):
            assert await until(lambda: running(directory))
        assert len(tries) == 2

    asyncio.run(check())


def test_a_log_that_is_too_long_begins_anew_under_the_hands_of_its_writer(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    with log.open("ab", buffering=0) as output:
        output.write(b"old line\n" * 10)
        bound_log(log, bytes_max=50)
        output.write(b"new line\n")

    assert log.read_bytes() == b"new line\n"
    assert (tmp_path / "node.log.1").read_bytes() == b"old line\n" * 5


def test_what_is_kept_of_a_long_log_is_its_last_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    log.write_bytes(b"".join(b"line %3d\n" % number for number in range(1_000)))

    bound_log(log, bytes_max=50)

    assert log.read_bytes() == b""
    # Five lines of nine bytes; of a sixth only the end would have had room.
    assert (tmp_path / "node.log.1").read_bytes() == b"".join(
        b"line %3d\n" % number for number in range(995, 1_000)
    )


def test_a_line_without_an_end_is_bounded_too(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    log.write_bytes(b"x" * 1_000)

    bound_log(log, bytes_max=50)

    assert log.read_bytes() == b""
    assert (tmp_path / "node.log.1").read_bytes() == b"x" * 50


def test_a_log_that_can_t_be_copied_is_cut_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on a full disk, which the log itself has filled."""
    log = tmp_path / "node.log"
    log.write_bytes(b"old line\n" * 10)
    (tmp_path / "node.log.1").write_bytes(b"older line\n")
    (tmp_path / "node.log.1.new").symlink_to("/dev/full")

    bound_log(log, bytes_max=50)

    assert log.read_bytes() == b""
    assert list(tmp_path.iterdir()) == [log]
    assert "what it had is not kept: No space left on device" in capsys.readouterr().out


def long_log(directory: Path) -> tuple[Path, Path]:
    """A log of twenty lines, and an older one of one."""
    log, old = directory / "node.log", directory / "node.log.1"
    log.write_bytes(b"line\n" * 20)
    old.write_bytes(b"older line\n")
    return log, old


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_older_lines_make_room_for_newer_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    log, old = long_log(tmp_path)
    copy = supervisor._copy_end

    def copy_with_room(*words: Any) -> int:
        if old.exists():
            raise OSError(number, os.strerror(number))
        return copy(*words)

    monkeypatch.setattr(supervisor, "_copy_end", copy_with_room)
    bound_log(log, bytes_max=50)

    assert log.read_bytes() == b""
    assert old.read_bytes() == b"line\n" * 9
    assert set(tmp_path.iterdir()) == {log, old}


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_failure_that_is_no_want_of_room_takes_no_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    log, old = long_log(tmp_path)
    copy = supervisor._copy_end

    def fail(*words: Any) -> int:
        """In the middle of it."""
        copy(*words)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(supervisor, "_copy_end", fail)
    with pytest.raises(OSError, match=os.strerror(number)):
        bound_log(log, bytes_max=50)

    assert log.read_bytes() == b"line\n" * 20
    assert old.read_bytes() == b"older line\n"
    assert set(tmp_path.iterdir()) == {log, old}


def test_a_log_that_somebody_cuts_before_its_copy_takes_no_older_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, old = long_log(tmp_path)
    copy = supervisor._copy_end

    def cut_and_copy(*words: Any) -> int:
        log.write_bytes(b"new line\n")
        return copy(*words)

    monkeypatch.setattr(supervisor, "_copy_end", cut_and_copy)
    bound_log(log, bytes_max=50)

    assert log.read_bytes() == b"new line\n"
    assert old.read_bytes() == b"older line\n"
    assert set(tmp_path.iterdir()) == {log, old}


def test_that_a_log_is_not_bounded_is_said_now_and_then_and_not_at_each_look(
    directory: NetworkDirectory, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervisor, "LOG_CHECK_INTERVAL_S", 0.001)
    looks = 0

    def refuse(_log: Path, *, bytes_max: int) -> None:
        nonlocal looks
        looks += bytes_max > 0
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(supervisor, "bound_log", refuse)

    async def check() -> None:
        async with supervising(directory):
            await until(lambda: looks >= 10)

    asyncio.run(check())
    assert capfd.readouterr().out.count("is not bounded: Permission denied") == 1


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_nodes_are_kept_and_stopped_while_a_log_is_copied(
    directory: NetworkDirectory, monkeypatch: pytest.MonkeyPatch, is_cancelled: bool
) -> None:
    """As by a slow disk. Of several logs that are too long, no further one is begun when the supervisor stops."""
    begun, may_end, ended = threading.Event(), threading.Event(), []
    for name in ("one", "two"):
        directory.log_file(name).parent.mkdir(exist_ok=True)
        directory.log_file(name).touch()

    def copy(log: Path, *, bytes_max: int) -> None:
        begun.set()
        ended.append((may_end.wait(timeout=10), log, bytes_max))

    monkeypatch.setattr(supervisor, "bound_log", copy)

    async def check() -> None:
        at_work = Supervisor(directory)
        task = asyncio.get_running_loop().create_task(at_work.run())
        await until(begun.is_set)
        first = await until(lambda: running(directory))
        psutil.Process(first).kill()
        second = await until(lambda: running(directory) not in (None, first) and running(directory))
        if is_cancelled:
            task.cancel()
            await asyncio.wait([task], timeout=5)
            assert task.cancelled()
        else:
            at_work._stop()
        await until(lambda: not psutil.pid_exists(second))
        assert not ended
        may_end.set()
        await asyncio.wait([task], timeout=5)
        assert task.done()

    asyncio.run(check())
    assert [in_time for in_time, _, _ in ended] == [True]


@contextlib.contextmanager
def full_stdout() -> Iterator[None]:
    """What is said goes to a full disk. Not a fixture: pytest puts its own in place when a test begins."""
    output = open("/dev/full", "w")  # noqa: SIM115, PTH123 - closed below, which fails
    with contextlib.redirect_stdout(output):
        yield
    with contextlib.suppress(OSError):
        output.close()


def test_a_supervisor_that_can_t_write_its_own_log_cuts_the_others_and_keeps_its_nodes(
    directory: NetworkDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log is on the same full disk as theirs."""
    monkeypatch.setattr(supervisor, "LOG_BYTES_MAX", 1_000)
    monkeypatch.setattr(supervisor, "LOG_CHECK_INTERVAL_S", 0.01)
    log = directory.log_file("filler")
    log.parent.mkdir(exist_ok=True)
    log.with_name("filler.log.1.new").symlink_to("/dev/full")

    async def check() -> None:
        async with supervising(directory):
            first = await until(lambda: running(directory))
            log.write_bytes(b"line\n" * 1_000)
            await until(lambda: log.stat().st_size == 0)
            assert psutil.pid_exists(first)

            # Of a node's end it says something, too.
            psutil.Process(first).kill()
            await until(lambda: running(directory) not in (None, first))

    with full_stdout():
        asyncio.run(check())


def test_every_log_of_a_network_stays_bounded_while_its_programs_write_on(
    directory: NetworkDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Peers that come and go make a node write lines without end: its own log, or any other here."""
    monkeypatch.setattr(supervisor, "LOG_BYTES_MAX", 100_000)
    monkeypatch.setattr(supervisor, "LOG_CHECK_INTERVAL_S", 0.01)
    logs = [directory.log_file(name) for name in (NODE, "services", "supervisor")]
    kept: list[int] = []
    logs[0].parent.mkdir(exist_ok=True)

    async def write_on() -> None:
        async with supervising(directory):
            for _ in range(20):
                # A fifth of what one log may have; then the supervisor looks again.
                for log in logs:
                    with log.open("ab") as output:
                        output.write((b"x" * 999 + b"\n") * 20)
                await until(lambda: all(log.stat().st_size <= 100_000 for log in logs))
                kept.append(sum(path.stat().st_size for path in directory.path.glob("logs/*")))

    asyncio.run(write_on())

    # 400,000 bytes were written to each; a log and its old one are all that is kept.
    assert 3 * 100_000 < max(kept) <= 3 * 2 * 100_000
    assert {path.name for path in directory.path.glob("logs/*")} == {
        name for log in logs for name in (log.name, f"{log.name}.1")
    }


def test_the_guide_says_how_large_logs_are_and_how_often_they_are_looked_at() -> None:
    text = " ".join((ROOT / "docs" / "guide" / "deploy.md").read_text().split())
    mebibytes, rest = divmod(LOG_BYTES_MAX, 1 << 20)

    assert rest == 0
    assert f"a local process a log and an older one of at most {mebibytes} MiB each" in text
    assert f"so do {mebibytes} MiB while an older log is replaced" in text
    assert f"the last {mebibytes} MiB stay" in text
    assert (LOG_CHECK_INTERVAL_S, LOG_TOLD_INTERVAL_S) == (1, 60)
    assert "are looked at each second" in text
    assert "says once a minute at most" in text


def test_a_second_time_replaces_the_old_lines_and_a_short_log_stays(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    for text in (b"first " * 10, b"second " * 10, b"third"):
        log.write_bytes(text)
        bound_log(log, bytes_max=50)

    assert log.read_bytes() == b"third"
    assert (tmp_path / "node.log.1").read_bytes() == (b"second " * 10)[-50:]
    assert len(list(tmp_path.iterdir())) == 2


def test_who_asks_whether_a_supervisor_runs_keeps_none_from_starting(directory: NetworkDirectory) -> None:
    with single(directory):
        assert running_supervisor(directory) == os.getpid()
    # As who asks has it for a moment, and as several do at once.
    with directory.pid_file.open() as asking, directory.pid_file.open() as another:
        fcntl.flock(asking, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(another, fcntl.LOCK_SH | fcntl.LOCK_NB)
        release = threading.Timer(
            0.1, lambda: [fcntl.flock(file, fcntl.LOCK_UN) for file in (asking, another)]
        )
        release.start()
        with single(directory):
            assert running_supervisor(directory) == os.getpid()
        release.join()
    assert running_supervisor(directory) is None


def test_a_second_supervisor_is_refused_and_the_first_is_named(
    directory: NetworkDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LOCK_TIMEOUT_S", 0.05)
    with (
        single(directory),
        pytest.raises(InvalidInput, match=f"has a supervisor already, process {os.getpid()}"),
    ):
        take_lock(directory)


def test_a_supervisor_that_begins_is_waited_for_and_not_taken_for_none(directory: NetworkDirectory) -> None:
    """Between its lock and its process id."""
    lock = take_lock(directory)
    writing = threading.Timer(0.1, lambda: os.pwrite(lock, b"4711", 0))
    writing.start()

    found = running_supervisor(directory)
    writing.join()
    os.close(lock)

    assert found == 4711
    assert running_supervisor(directory) is None


@pytest.mark.slow
def test_a_network_that_is_stopped_right_after_its_start_is_stopped(tmp_path: Path) -> None:
    """The lock is held from the start on, so that nobody takes a supervisor that imports its modules for one that is not there."""
    directory = NetworkDirectory(tmp_path / "net")
    directory.path.mkdir()
    directory.save_plan(NetworkPlan(spec=NetworkSpec()))

    assert local.start_network(directory)
    assert not local.start_network(directory)
    assert local.stop_network(directory)

    assert not local.is_running(directory)
    assert not local.stop_network(directory)
