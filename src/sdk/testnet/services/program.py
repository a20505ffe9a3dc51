"""The program that runs the services of a network: all in one process, or some of them alone.

    python -m sdk.testnet.services.program CONFIG [NAME ...]

`run_services` is the same for other programs. Sockets are taken first, so that who asks meanwhile waits instead of being refused; what can't run stops
the program with a sentence. On SIGTERM streams are ended, answers under way are finished, and the process ends within five seconds; what waits longer,
for a database that hangs, is given up as a kill would.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from metanode.errors import InvalidInput, MetanodeError
from metanode.telemetry.logs import configure_logs
from sdk.testnet.services.composition import Composition
from sdk.testnet.services.configuration import ServicesConfig
from sdk.testnet.services.connections import raise_file_limit
from sdk.testnet.services.failures import leaves_of
from sdk.testnet.services.serving import serve_site, stop_on_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence

log = structlog.get_logger(__name__)

SERVICES: Final = ("indexer", "explorer", "faucet", "api", "gateway", "bootstrap")
"""What can run, each alone too. The dashboard is a page of the explorer."""
ALL: Final = "all"
GIVE_UP_S: Final = 8
"""From a signal to the end of a process that is not done: less than the ten seconds after which Docker kills one. A change that a hanging server
holds would take minutes; whatever is cut short is as after a kill, and made again."""


def run_services(
    config: ServicesConfig | Path | str,
    names: Sequence[str] = (),
    *,
    upon_ready: Callable[[Mapping[str, str]], None] = lambda _: None,
) -> None:
    """Run services until SIGTERM or SIGINT: those that are named, or all that the configuration has.

    `upon_ready` is told the host:port of each once all can be reached.

    Ends the process, with status 1, when it is not done `GIVE_UP_S` after the signal.

    Raises:
        InvalidInput: when the configuration or a name is wrong; a line for each problem.
        Unavailable: when a port can't be had, or a database does not answer.
    """
    found = config if isinstance(config, ServicesConfig) else ServicesConfig.load(config)
    chosen = choose(found, names)
    try:
        with _giving_up() as begin:
            asyncio.run(serve_services(found, chosen, upon_signal=begin, upon_ready=upon_ready))
    except BaseExceptionGroup as group:
        leaves = leaves_of(group)
        if all(isinstance(leaf, MetanodeError) for leaf in leaves):
            raise leaves[0] from None
        raise


def choose(config: ServicesConfig, names: Sequence[str]) -> tuple[str, ...]:
    """Return the services to run, in the order of `SERVICES`; raises InvalidInput for one that is not known or not configured."""
    names = ["explorer" if name == "dashboard" else name for name in names]
    unknown = [name for name in names if name not in (*SERVICES, ALL)]
    if unknown:
        raise InvalidInput(
            f"service: found {unknown[0]!r:.60}; expected some of {', '.join(SERVICES)}, or {ALL}"
        )
    configured = {
        "indexer": True,
        "explorer": config.explorer.enabled,
        "faucet": config.faucet is not None and config.faucet.enabled,
        "api": config.api is not None and config.api.enabled,
        "gateway": config.gateway is not None and config.gateway.enabled,
        "bootstrap": config.bootstrap_settings is not None,
    }
    if not names or ALL in names:
        return tuple(name for name in SERVICES if configured[name])
    missing = [name for name in names if not configured[name]]
    if missing:
        raise InvalidInput(
            f"service: {missing[0]} has no table [{missing[0]}] in the configuration, or is not enabled"
        )
    return tuple(name for name in SERVICES if name in names)


async def serve_services(
    config: ServicesConfig,
    names: Sequence[str],
    *,
    stop: asyncio.Event | None = None,
    upon_signal: Callable[[], None] = lambda: None,
    upon_ready: Callable[[Mapping[str, str]], None] = lambda _: None,
) -> None:
    """Run services until `stop` is set, a signal comes, or one of them can't go on.

    Raises:
        MetanodeError: why one can't: an index or nodes of another chain.
    """
    stop = stop or asyncio.Event()
    refused: list[MetanodeError] = []

    async def until_refused(run: Coroutine[Any, Any, None]) -> None:
        """What can't go on ends the others well: its reason is a sentence, and theirs would be traces."""
        try:
            await run
        except MetanodeError as error:
            refused.append(error)
            stop.set()

    raise_file_limit()
    async with AsyncExitStack() as stack:
        stack.enter_context(stop_on_signals(stop, upon_signal))
        composition = Composition(config, stack, is_watching=not {"explorer", "api"}.isdisjoint(names))
        for name in names:
            await composition.add(name)
        composition.add_metrics()
        composition.add_network_check()
        for site in composition.sites:
            log.info("service_listening", name=site.name, address=site.address)
        # The sockets are there: who connects from now on is answered, or waits a moment.
        upon_ready(composition.addresses)
        async with asyncio.TaskGroup() as tasks:
            beside = [tasks.create_task(until_refused(run), name=name) for name, run in composition.tasks()]
            serving = [
                tasks.create_task(serve_site(site, stop), name=f"site {site.name}")
                for site in composition.sites
            ]
            serving += [
                tasks.create_task(serve(stop), name=f"serve {name}") for name, serve in composition.servers
            ]
            await stop.wait()
            # Answers under way may still need what runs beside them.
            if serving:
                await asyncio.wait(serving)
            for task in beside:
                task.cancel()
    log.info("services_stopped")
    if refused:
        raise refused[0]


@contextmanager
def _giving_up() -> Iterator[Callable[[], None]]:
    """What to call when the process is to end: it does, unless this block is left in time."""
    timers: list[threading.Timer] = []

    def begin() -> None:
        timer = threading.Timer(GIVE_UP_S, _give_up)
        timer.daemon = True
        timers.append(timer)
        timer.start()

    try:
        yield begin
    finally:
        for timer in timers:
            timer.cancel()


def _give_up() -> None:
    log.error(
        "services_given_up", after_s=GIVE_UP_S, consequence="what was begun is made again at the next start"
    )
    sys.stdout.flush()
    os._exit(1)


def main() -> int:
    """Run what the command line says; 0 after SIGTERM, 1 with a sentence when it can't be."""
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)  # noqa: T201 - it is a program
        return 2
    configure_logs(level="info", output_format="json" if not sys.stdout.isatty() else "console")
    try:
        run_services(Path(sys.argv[1]), sys.argv[2:])
    except MetanodeError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the same
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is closed; taking the interpreter's many modules apart would only make others wait, seconds on a busy machine.
    os._exit(status)
