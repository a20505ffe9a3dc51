"""The pytest plugin: fixtures that give a test a real network. Loaded by pytest wherever this distribution is installed.

- `testnet`: one network for the whole run, also when xdist spreads it over processes; to use, not to hurt.
- `testnet_account`: an account with 10,000 tokens on it that no other test has.
- `own_testnet`: four validators of the test's own, to kill and to part.
- `testnet_factory`: as many networks as the test wants, with `Testnet`'s arguments; all are gone after it.

It imports nothing of ours before a test asks for a network: other projects' runs pay nothing for it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sdk.testnet.deployment.apply.accounts import FundedAccount
    from sdk.testnet.ephemeral import Testnet
    from sdk.testnet.ephemeral.sharing import Run

VALIDATORS: Final = 4
BLOCK_TIME_S: Final = 1
"""The shortest: tests wait for blocks."""
CHAIN_ID: Final = 1337
_RUN: Final = pytest.StashKey[dict[str, Any]]()
_WORKER_INPUT: Final = "metanode_run"
"""Under this name xdist hands the run to its workers."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """What a project may set in its configuration of pytest."""
    parser.addini(
        "testnet_validators", f"validators of the shared network (default {VALIDATORS})", default=None
    )
    parser.addini(
        "testnet_block_time", f"its block period in whole seconds (default {BLOCK_TIME_S})", default=None
    )
    parser.addini("testnet_chain_id", f"its chain id (default {CHAIN_ID})", default=None)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker what run it belongs to: the network is of the process that starts the workers."""
    node.workerinput[_WORKER_INPUT] = _describe_run(node.config)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End the shared network; workers leave that to the process that started them."""
    described = config.stash.get(_RUN, None)
    if described is not None and not hasattr(config, "workerinput") and Path(described["folder"]).exists():
        _run_of(config).end()


@pytest.fixture(scope="session")
def testnet(pytestconfig: pytest.Config) -> Testnet:
    """A real network that all tests of the run share, in all its processes; `kill`, `partition` and the like are refused."""
    return _run_of(pytestconfig).join()


@pytest.fixture
def testnet_account(pytestconfig: pytest.Config, testnet: Testnet) -> FundedAccount:
    """An account with 10,000 tokens on the shared network that no other test of the run has: `address`, `private_key`."""
    assert testnet.rpc_url
    return _run_of(pytestconfig).take_account()


@pytest.fixture
def testnet_factory() -> Iterator[Callable[..., Testnet]]:
    """Start a network of the test's own: `testnet_factory(validators=7)`, with the arguments of `Testnet`; it ends with the test."""
    from sdk.testnet.ephemeral import Testnet  # noqa: PLC0415 - for who asks only

    with contextlib.ExitStack() as stack:

        def make(validators: int = VALIDATORS, **settings: Any) -> Testnet:
            settings = {"block_time_s": BLOCK_TIME_S, "in_memory": True} | settings
            return stack.enter_context(Testnet(validators, **settings))

        yield make


@pytest.fixture
def own_testnet(testnet_factory: Callable[..., Testnet]) -> Testnet:
    """Four validators of the test's own: nodes to kill and to restart, links to part."""
    return testnet_factory()


def _run_of(config: pytest.Config) -> Run:
    from sdk.testnet.ephemeral.sharing import Run  # noqa: PLC0415 - for who asks only

    return Run.from_dict(_describe_run(config))


def _describe_run(config: pytest.Config) -> dict[str, Any]:
    """The fields of the run of this process: its own, or that of the process whose xdist worker it is."""
    described = config.stash.get(_RUN, None) or getattr(config, "workerinput", {}).get(_WORKER_INPUT)
    if described is None:
        memory = "/dev/shm"  # noqa: S108 - a directory of our own is made in it
        place = memory if os.access(memory, os.W_OK | os.X_OK) else tempfile.gettempdir()
        described = {
            "folder": str(Path(place) / f"metanode-testnet-run-{os.getpid()}-{os.urandom(4).hex()}"),
            "owner_pid": os.getpid(),
            "validators": _number(config, "testnet_validators", VALIDATORS),
            "block_time_s": _number(config, "testnet_block_time", BLOCK_TIME_S),
            "chain_id": _number(config, "testnet_chain_id", CHAIN_ID),
        }
    config.stash[_RUN] = described
    return described


def _number(config: pytest.Config, name: str, default: int) -> int:
    """A setting; raises pytest.UsageError when it is no whole number."""
    text = config.getini(name)
    if text is None or text == "":
        return default
    try:
        return int(text)
    except ValueError:
        raise pytest.UsageError(f"{name}: found {text!r:.60}; expected a whole number") from None
