"""Asks nodes for what a diagnosis goes by, all at once and each for a bounded time; of a local network also its processes, keys and logs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import psutil

from metanode.errors import InvalidInput, MetanodeError
from metanode.rpc.client import open_client
from metanode.rpc.errors import MethodNotFound, NodeUnreachable
from sdk.testnet.deployment.apply.supervisor import running_node, running_supervisor
from sdk.testnet.diagnosis.facts import LocalNetwork, NetworkFacts, NodeFacts, ProcessFacts, Trouble
from sdk.testnet.diagnosis.reading import printable, read_accusations, read_consensus, read_wishes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from sdk.testnet.deployment.apply.layout import NetworkDirectory
    from sdk.testnet.deployment.plan import NodePlan

TIMEOUT_S: Final = 4.0
"""A node answers from memory; one that takes longer is no less in trouble than one that does not."""
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
"""The consensus state of 500 validators and 100 proofs have half a megabyte."""
LOG_TAIL_BYTES: Final = 8_192
LINES_LOOKED_AT: Final = 8
"""At the end of a log: what a node says when it ends, and a start after it."""
_ERROR: Final = re.compile(
    r"^error: |\[(?:error|critical) *\]|\"level\": ?\"(?:error|critical)\"|^[\w.]+(?:Error|Exception)\b"
)
"""The program's last sentence, an entry of that level, the end of a traceback. A warning with an `error=` in it is none."""
WORDS_MAX: Final = 300
"""Characters of a log's end that are repeated."""

_CALLS: Final[list[tuple[str, Sequence[Any]]]] = [
    ("web3_clientVersion", []),
    ("ibft_getConsensusState", []),
    ("ibft_getEvidence", []),
    ("ibft_getPendingVotes", []),
]


def collect_urls(urls: Iterable[str]) -> NetworkFacts:
    """Ask nodes by their RPC addresses; raises InvalidInput for what is no http URL."""
    found = list(dict.fromkeys(urls))
    for url in found:
        check_url(url)
    return NetworkFacts(nodes=asyncio.run(ask_nodes([NodeFacts(name=url, url=url) for url in found])))


def check_url(url: str) -> None:
    """Raise InvalidInput for what is no http URL."""
    try:
        parts = urlsplit(url)
        is_http = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_http = False
    if not is_http:
        raise InvalidInput(
            f"found {url[:200]!r}; expected the URL of a node's RPC, such as http://127.0.0.1:8545"
        )


def collect_local(directory: NetworkDirectory, *, command: str, start: str) -> NetworkFacts:
    """Ask every node of a local network, and look at those that do not answer.

    `command` says how a command is typed for this network, with `{}` for its name, and `start` is what starts it. Raises InvalidInput when there is no network.
    """
    plan = directory.load_plan()
    nodes = [_look(directory, node) for node in plan.nodes]
    local = LocalNetwork(
        path=str(directory.path),
        is_supervised=running_supervisor(directory) is not None,
        command=command,
        start=start,
    )
    return NetworkFacts(nodes=asyncio.run(ask_nodes(nodes)), local=local)


def _look(directory: NetworkDirectory, node: NodePlan) -> NodeFacts:
    """What is seen of a local node without asking it."""
    home = directory.node(node.name)
    process = running_node(directory, node.name)
    restarts = _restarts(directory, node.name)
    trouble, up_s, last_words = None, None, None
    if process is None or restarts:
        last_words = _last_words(directory.log_file(node.name), only_errors=process is not None)
    if process is None:
        trouble = Trouble.NOT_RUNNING
    else:
        with contextlib.suppress(psutil.Error):
            trouble = Trouble.SUSPENDED if process.status() == psutil.STATUS_STOPPED else None
            up_s = max(0.0, time.time() - process.create_time())
    return NodeFacts(
        name=node.name,
        url=node.private_url,
        role=node.role,
        key=_key(home),
        home=str(home),
        trouble=trouble,
        process=ProcessFacts(
            pid=None if process is None else process.pid,
            restarts=restarts,
            last_words=last_words,
            up_s=up_s,
        ),
    )


async def ask_nodes(nodes: Sequence[NodeFacts]) -> tuple[NodeFacts, ...]:
    """The same nodes with what they answer, asked all at once.

    A suspended one is not asked. One without a known process is: it may have been started by hand.
    """
    await _load_client()
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(_ask(node)) for node in nodes]
    return tuple(task.result() for task in asked)


async def _load_client() -> None:
    """Have the HTTP client loaded before the first node's time runs: on a busy machine loading takes seconds, which are not the node's."""
    with socket.socket() as own, contextlib.suppress(MetanodeError):
        # A port that nobody else can have while it is ours, and where nobody listens: the question ends at once.
        own.bind(("127.0.0.1", 0))
        async with open_client(f"http://127.0.0.1:{own.getsockname()[1]}", timeout_s=TIMEOUT_S) as client:
            await client.call("web3_clientVersion")


async def _ask(node: NodeFacts) -> NodeFacts:
    if node.trouble is Trouble.NOT_RUNNING:
        found = await _ask_running(replace(node, trouble=None))
        # Another network may have its ports: only the validator's own key shows that it is this one.
        is_itself = found.consensus is not None and found.consensus.validator == node.key is not None
        return found if is_itself else node
    return node if node.trouble is not None else await _ask_running(node)


async def _ask_running(node: NodeFacts) -> NodeFacts:
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            open_client(node.url, timeout_s=TIMEOUT_S, bytes_max=ANSWER_BYTES_MAX) as client,
        ):
            version, state, evidence, wishes = await client.batch(_CALLS)
    except TimeoutError:
        return _troubled(node, Trouble.MUTE, f"no answer within {TIMEOUT_S:g} s")
    except NodeUnreachable as error:
        detail = str(error).removeprefix(f"{node.url} does not answer: ")
        if error.has_answered:
            return _troubled(node, Trouble.NO_JSON_RPC, detail)
        return _troubled(node, Trouble.MUTE if "Timeout" in detail else Trouble.UNREACHABLE, detail)
    except MetanodeError as error:
        return _troubled(node, Trouble.NO_JSON_RPC, str(error))
    if not isinstance(version, str) or not version.lower().startswith("metanode/"):
        return _troubled(node, Trouble.OTHER_CLIENT, str(version))
    if isinstance(state, MethodNotFound):
        return _troubled(node, Trouble.NOT_OFFERED, str(state))
    if isinstance(state, MetanodeError):
        return _troubled(node, Trouble.MUTE, str(state))
    try:
        return replace(
            node,
            consensus=read_consensus(state),
            accusations=() if isinstance(evidence, MetanodeError) else read_accusations(evidence),
            wishes=None if isinstance(wishes, MetanodeError) else read_wishes(wishes),
        )
    except InvalidInput as error:
        return _troubled(node, Trouble.UNREADABLE, str(error))


def _troubled(node: NodeFacts, trouble: Trouble, detail: str) -> NodeFacts:
    return replace(node, trouble=trouble, detail=printable(detail, WORDS_MAX))


def _key(home: Path) -> str | None:
    """The address that a keystore says it is of."""
    try:
        found = json.loads((home / "validator.json").read_text(encoding="utf-8"))["address"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return "0x" + str(found).lower().removeprefix("0x")


def _restarts(directory: NetworkDirectory, name: str) -> int:
    try:
        return int(json.loads(directory.state_file(name).read_text(encoding="utf-8"))["restarts"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _last_words(log: Path, *, only_errors: bool) -> str | None:
    """The last line of a log that says what went wrong, else its last line, unless only errors are wanted; None when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
            lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return None
    if not lines:
        return None
    errors = [line for line in lines[-LINES_LOOKED_AT:] if _ERROR.search(line)]
    found = errors or ([] if only_errors else lines)
    return printable(found[-1].strip(), WORDS_MAX) if found else None
