"""Rules for every test run: skips are accounted for, and say how to enable what was skipped. And networks of real processes."""

from __future__ import annotations

import fnmatch
import os
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import settings
from tests.acceptance.processes import free_offset
from tests.everything import LONGEST
from tests.second_look import SKIPS_REFUSED
from tests.skips import FILE, Skips

from sdk.testnet.deployment.apply import local
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import PRESETS, NetworkPlan, NetworkSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

# Without configuration an error in the node under test draws all its local variables: seconds on a busy machine.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

LOGGING = structlog.get_config()

# An example that takes longer than 200 ms is a busy machine's, not a fault; pytest-timeout bounds the whole test.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")

# A network that a test starts by the command has no services beside its nodes, unless the test asks for them.
os.environ.setdefault("METANODE_SERVICES", "0")

ALLOWED_SKIPS = tomllib.loads((Path(__file__).parent / "allowed_skips.toml").read_text()).get("skip", [])
IN_CI = os.environ.get("CI") == "true"


def is_allowed(test_id: str, reason: str) -> bool:
    """Whether `allowed_skips.toml` lists this test with this reason."""
    return any(fnmatch.fnmatch(test_id, entry["id"]) and entry["reason"] in reason for entry in ALLOWED_SKIPS)


def skips(terminal: pytest.TerminalReporter) -> Iterator[tuple[str, str]]:
    """Each skipped test's id and reason."""
    for report in terminal.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        yield report.nodeid, reason.removeprefix("Skipped: ")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first; else the order stays as it was drawn."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skip that nobody allowed is a failure."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if not IN_CI or terminal is None or hasattr(session.config, "workerinput"):
        return
    if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and any(
        not is_allowed(test_id, reason) for test_id, reason in skips(terminal)
    ):
        session.exitstatus = SKIPS_REFUSED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was skipped, once per reason, or leave it to `make test`; the reasons name the command that enables them."""
    found = Skips(reason for _, reason in skips(terminalreporter))
    if file := os.environ.get(FILE):
        found.add_to(Path(file))
    elif found:
        terminalreporter.section("skipped groups")
        for line in found.lines():
            terminalreporter.line(line)
    refused = [(i, r) for i, r in skips(terminalreporter) if IN_CI and not is_allowed(i, r)]
    for test_id, reason in refused:
        terminalreporter.line(f"NOT ALLOWED in CI (tests/allowed_skips.toml): {test_id}: {reason}", red=True)


@dataclass(frozen=True)
class RunningNetwork:
    """A network of real processes that has finalized its first block."""

    directory: NetworkDirectory
    plan: NetworkPlan

    @property
    def http_url(self) -> str:
        return self.url(0)

    @property
    def ws_url(self) -> str:
        return self.http_url.replace("http:", "ws:")

    def url(self, index: int) -> str:
        return f"http://127.0.0.1:{self.plan.nodes[index].rpc_port}"


def start(path: Path, **changes: object) -> RunningNetwork:
    """Make and start a network on ports of its own, and wait until it finalizes."""
    directory = NetworkDirectory(path)
    spec: NetworkSpec = replace(PRESETS["metanode-local"], port_offset=free_offset(), **changes)
    plan = local.create_network(directory, spec)
    local.start_network(directory)
    local.wait_network_ready(directory)
    return RunningNetwork(directory, plan)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A test, or a fixture of a file, that silences or redirects the log does so for itself only: others read theirs."""
    structlog.configure(**LOGGING)
    yield
    structlog.configure(**LOGGING)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, for one file of tests: while Playwright runs, no test of its process can start an event loop."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - for tests of pages only

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield found
        found.close()


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    """One network for all tests that do not hurt it."""
    running = start(tmp_path_factory.mktemp("network"))
    yield running
    local.stop_network(running.directory)


@pytest.fixture
def own_network(tmp_path: Path) -> Iterator[RunningNetwork]:
    """A network of the test's own, to hurt."""
    running = start(tmp_path)
    yield running
    local.stop_network(running.directory)
