"""Writes the pages of docs/reference that say what the code says: `python tools/reference.py` (`make docs`).

configuration.md from the configuration's model, metrics.md from the registry of metrics, logs.md from the catalogue of events, cli.md and toolkit-testnet.md
from the commands' own declarations, json-rpc.md and openrpc.json from those of the methods, in the compiled engine and here, openapi.json from the
community API's. A test compares the files with what this would write.
"""

from __future__ import annotations

import inspect
import json
import sys
import types
import typing
from pathlib import Path
from typing import Any

import typer.main
from annotated_types import Ge, Gt, Le, Lt, MaxLen
from pydantic import BaseModel, SecretStr

from metanode import _engine
from metanode.cli.program import app
from metanode.node.config import AdvertisedAddress, HostPort, NodeConfig
from metanode.p2p.enode import Enode
from metanode.primitives.types import Address
from metanode.rpc.admin import NodeAdministration, admin_methods
from metanode.rpc.ibft import ChainReader, ibft_methods
from metanode.rpc.method import declarations
from metanode.telemetry.events import GROUPS
from metanode.telemetry.metrics import node_metrics
from sdk.testnet.command.program import app as toolkit
from sdk.testnet.services.api import ApiConfig, make_app, openapi_of
from sdk.testnet.services.store import Store

if typing.TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"

INTRODUCTION = """\
# Configuration

One or more TOML files, given to `metanode node`; later files override earlier ones key by key. `${NAME}` takes an
environment variable, `${NAME:-value}` one with a default. Unknown keys are errors with a suggestion, and every problem is
reported at once. This page is generated from the code (`make docs`).
"""

WORDS = {int: "integer", str: "text", bool: "true or false", Path: "path", SecretStr: "text, secret"}


METRICS_INTRODUCTION = """\
# Metrics

`/metrics` of a node (`server.metrics_port`; in a local network validator *n* has 9099+*n*) in Prometheus' text format. The `ethereum_` and
`besu_` names are aliases for Besu's Grafana dashboards; `process_*` and `python_*` come from the client library. Labels are bounded: no
addresses of users, no hosts, no hashes; `method` is a method that the node serves or `other`, `code` one of the standard error codes or
`other`, `validator` a member of the set. Counters begin at 0 with the process. This page is generated from the code (`make docs`).

Not here, because a node cannot know it: how often the process was restarted (`metanode_process_restarts_total`, by what supervises it), and
the clock against NTP (`metanode_clock_offset_seconds` has the source `peers` only). The metrics of faucet, explorer and other services
belong to those.
"""

LOGS_INTRODUCTION = """\
# Log events

A node writes one line an event to stdout, for people or, with `log.format = "json"`, as one JSON object. Every line has `event`, `level` and
`timestamp` (UTC), and `exception` where there is a trace. `log.level` leaves out what is less urgent. Texts of others are cut at 400
characters; secrets are never written. This page is generated from the code (`make docs`).
"""

CLI_INTRODUCTION = """\
# Commands

What goes wrong is one sentence on stderr and exit code 1; a wrong option is exit code 2, Ctrl-C 130. With `--json` stdout is one JSON document and
nothing else (of `metanode logs`, one a line); progress, warnings and questions go to stderr. This page is generated from the code (`make docs`).
"""

TOOLKIT_INTRODUCTION = """\
# The testnet command

`testnet` (the same as `python -m sdk.testnet`) does from a shell what the toolkit does from Python: the genesis of a network, its deployment, its faucet's
ledger, a bootstrap node, monitoring, blocks to look at, and the services. What goes wrong is one sentence on stderr, or one for each problem, and exit code 1; a wrong option is exit
code 2, Ctrl-C 130. With `--json` stdout is one JSON document and nothing else; progress, warnings and logs go to stderr. `metanode` is the command for one node and
for a network to develop on ([cli.md](cli.md)).

    testnet deploy --apply local       # files, keys, and the network as processes on this machine
    testnet status                     # heights, peers, and the claims that the faucet still pays
    testnet down

From Python: [genesis](toolkit-genesis.md), [faucet](toolkit-faucet.md), [a network in a test](../guide/network-in-a-test.md) and
[its pytest plugin](../guide/testing-with-testnet.md). This page is generated from the code (`make docs`).
"""

JSON_RPC_INTRODUCTION = """\
# JSON-RPC methods

Every method that a node answers, by namespace. Which listener offers which namespace, how blocks, calls, filters and subscriptions behave, limits
and error codes: [json-rpc-server.md](json-rpc-server.md). The same as an OpenRPC document for programs: [openrpc.json](openrpc.json); `rpc_discover` gives
the document of the listener that is asked. `?` marks a parameter that may be left out, `[]` an array. This page is generated from the code
(`make docs`).
"""


def pages() -> dict[Path, str]:
    """Every generated page by its file."""
    document = openrpc()
    return {
        REFERENCE / "openrpc.json": json.dumps(document, indent=1) + "\n",
        REFERENCE / "json-rpc.md": json_rpc_page(document),
        REFERENCE / "openapi.json": json.dumps(openapi(), indent=1, sort_keys=True) + "\n",
        REFERENCE / "configuration.md": configuration_page(),
        REFERENCE / "metrics.md": metrics_page(),
        REFERENCE / "logs.md": logs_page(),
        REFERENCE / "cli.md": cli_page(),
        REFERENCE / "toolkit-testnet.md": toolkit_page(),
    }


def openapi() -> dict[str, Any]:
    """The OpenAPI document of the community API."""
    # The paths are only described here, not served.
    store = Store("sqlite://")
    config = ApiConfig(network_name="any", chain_id=1, public_url="http://any")
    try:
        return openapi_of(make_app(store=store, node=typing.cast("Any", None), config=config))
    finally:
        store.close()


def openrpc() -> dict[str, Any]:
    """The OpenRPC document of all that a node answers."""
    # The methods are only described here, not called.
    chain, node = typing.cast("ChainReader", None), typing.cast("NodeAdministration", None)
    ours = {**ibft_methods(chain), **admin_methods(node)}
    document: dict[str, Any] = json.loads(_engine.openrpc_document(declarations(ours)))
    return document


def json_rpc_page(document: dict[str, Any]) -> str:
    """The page of JSON-RPC methods."""
    namespaces: dict[str, list[dict[str, Any]]] = {}
    for method in document["methods"]:
        namespaces.setdefault(method["tags"][0]["name"], []).append(method)
    parts = [JSON_RPC_INTRODUCTION]
    for namespace, methods in namespaces.items():
        parts.append(f"## `{namespace}_`\n\n| method | parameters | result | |\n|---|---|---|---|")
        parts.extend(_method_row(method) for method in methods)
        parts.append("")
    parts.append("## Types\n\n| type | |\n|---|---|")
    parts.extend(_type_row(name, schema) for name, schema in document["components"]["schemas"].items())
    return "\n".join(parts) + "\n"


def _method_row(method: dict[str, Any]) -> str:
    parameters, _, result = method["x-signature"].removeprefix("(").partition(") -> ")
    shown = [f"`{text}`" if text else "" for text in (parameters, result)]
    parameters, result = (text.replace("|", "\\|") for text in shown)
    return f"| `{method['name']}` | {parameters} | {result} | {method['summary']} |"


def _type_row(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    fields = [f"`{key}`" if key in required else f"`{key}?`" for key in schema.get("properties", {})]
    choices = [f"`{choice}`" for choice in schema.get("enum", [])]
    description = schema.get("description", schema.get("type", ""))
    return f"| `{name}` | {' '.join([description, ', '.join(fields or choices)]).strip()} |"


def metrics_page() -> str:
    """The page of metrics, from a registry as a node makes it."""
    metrics = node_metrics(version="", commit="", node="", role="", network="", chain_id=0, genesis="")
    rows = []
    for name, (kind, labels, meaning) in metrics.catalogue().items():
        shown = f"{name}_total" if kind == "counter" else name
        rows.append(f"| `{shown}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {meaning} |")
    return (
        f"{METRICS_INTRODUCTION}\n| name | type | labels | meaning |\n|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )


def logs_page() -> str:
    """The page of log events, from their catalogue."""
    parts = [LOGS_INTRODUCTION]
    for title, events in GROUPS.items():
        rows = [
            f"| `{event.name}` | {', '.join(event.levels)} | {', '.join(f'`{field}`' for field in event.fields)} | {event.meaning} |"
            for event in events
        ]
        parts.append(
            f"## {title}\n\n| event | level | fields | meaning |\n|---|---|---|---|\n"
            + "\n".join(rows)
            + "\n"
        )
    return "\n".join(parts)


def cli_page() -> str:
    """The page of commands, from their declarations."""
    return "\n".join([CLI_INTRODUCTION, *_commands(typer.main.get_command(app), "metanode")])


def toolkit_page() -> str:
    """The page of the toolkit's commands, from their declarations."""
    return "\n".join([TOOLKIT_INTRODUCTION, *_commands(typer.main.get_command(toolkit), "testnet")])


def _commands(command: Any, path: str) -> Iterator[str]:
    if hasattr(command, "commands"):
        for name, child in command.commands.items():
            yield from _commands(child, f"{path} {name}")
        return
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    usage = "".join(f" {one.name.upper()}" if one.required else f" [{one.name.upper()}]" for one in arguments)
    yield f"## `{path}{usage}`\n\n{inspect.cleandoc(command.help or '')}\n"
    if command.params:
        rows = [_parameter(one) for one in command.params]
        yield "| | default | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _parameter(one: Any) -> str:
    is_argument = one.param_type_name == "argument"
    names = one.name.upper() if is_argument else ", ".join((*one.opts, *one.secondary_opts))
    default = one.default if not callable(one.default) else None
    shown = "required" if one.required else "" if default in (None, False, "", ()) else f"`{default}`"
    return f"| `{names}` | {shown} | {one.help or ''} |"


def configuration_page() -> str:
    """The page of the configuration."""
    parts = [INTRODUCTION]
    for name, field in NodeConfig.model_fields.items():
        section = field.annotation
        assert isinstance(section, type)
        assert issubclass(section, BaseModel)
        rows = [_row(key, info) for key, info in section.model_fields.items()]
        parts.append(
            f"## `[{name}]`\n\n{section.__doc__}\n\n| key | type | default | meaning |\n|---|---|---|---|\n"
            + "\n".join(rows)
            + "\n"
        )
    return "\n".join(parts)


def _row(key: str, info: FieldInfo) -> str:
    meaning = " ".join((info.description or "").split())
    return f"| `{key}` | {_type(info)} | {_default(info.default)} | {meaning} |"


def _type(info: FieldInfo) -> str:
    annotation: object = info.annotation
    arguments = [part for part in typing.get_args(annotation) if part is not types.NoneType]
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        (annotation,) = arguments
    text = _plain(annotation)
    bounds = [f"{sign} {value:,}" for part in info.metadata for sign, value in _bounds(part)]
    return text + (f", {' and '.join(bounds)}" if bounds else "")


def _plain(annotation: object) -> str:
    if typing.get_origin(annotation) is typing.Annotated:
        return _plain(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) is tuple:
        return f"list of {_plain(typing.get_args(annotation)[0])}"
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(f'"{choice}"' for choice in typing.get_args(annotation))
    if annotation is Address:
        return "address"
    if annotation is Enode:
        return "enode address"
    if annotation is HostPort:
        return "address:port"
    if annotation is AdvertisedAddress:
        return "host or host:port"
    return WORDS[annotation]  # type: ignore[index]  # a new kind of value needs its word above


def _bounds(part: object) -> list[tuple[str, int]]:
    match part:
        case Ge(ge=value):
            return [("≥", typing.cast("int", value))]
        case Gt(gt=value):
            return [(">", typing.cast("int", value))]
        case Le(le=value):
            return [("≤", typing.cast("int", value))]
        case Lt(lt=value):
            return [("<", typing.cast("int", value))]
        case MaxLen(max_length=value):
            return [("at most", value)]
        case _:
            return []


def _default(value: object) -> str:
    match value:
        case None | ():
            return "none"
        case bool() | int() | str():
            return f"`{json.dumps(value)}`"
        case tuple():
            return f"`{json.dumps(value)}`"
        case _:
            return f"`{value}`"


if __name__ == "__main__":
    for file, text in pages().items():
        file.write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {file}\n")
