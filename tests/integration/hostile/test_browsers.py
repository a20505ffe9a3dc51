"""Rows 6 to 8: pages of other people, and what the world must not call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.acceptance.processes import free_ports
from tests.integration.hostile import wire
from tests.integration.hostile.bar import holding
from tests.integration.hostile.target import running_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.hostile.target import Target

pytestmark = pytest.mark.timeout(120)

BODY = wire.request("eth_chainId").encode()
FOREIGN_HOSTS = ("evil.example", "evil.example:8545", "localhost.evil.example", "127.0.0.1.evil.example", "", "localhost@evil", "[::1", "0x7f.1")  # fmt: skip
FOREIGN_ORIGINS = (
    "https://evil.example",
    "http://localhost.evil.example",
    "null",
    "https://evil.example:8545",
)
NO_PAGES_ORIGINS = ("file://", "chrome-extension://abcdefghijklmnop", "tauri://localhost")
"""What desktop programs, extensions and files of this machine send: no page of the web can."""
FORM_TYPES = (
    "text/plain", "text/plain; charset=application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
    "text/json", "application/xml", "",
)  # fmt: skip
HIDDEN = (
    "admin_nodeInfo", "admin_addPeer", "admin_peers", "admin_removePeer", "ibft_proposeValidatorVote", "ibft_discardValidatorVote",
    "personal_sign", "personal_unlockAccount", "eth_sign", "eth_sendTransaction", "miner_start", "engine_newPayloadV4",
)  # fmt: skip
"""On no listener that others reach; some exist on the private one, some nowhere."""
HIDDEN_FROM_THE_WORLD = (
    "debug_getRawBlock",
    "debug_getRawTransaction",
    "txpool_content",
    "txpool_status",
    "txpool_inspect",
    *HIDDEN,
)


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A node whose JSON-RPC others may reach."""
    (extra,) = free_ports(1)
    with running_target(
        tmp_path_factory.mktemp("public"),
        network="public_rpc = true",
        server=f'bind_address = "0.0.0.0"\nws_port = {extra}',
    ) as running:
        yield running


def doors(target: Target) -> dict[str, int]:
    """The ports that speak JSON-RPC."""
    return {"open": target.port, "private": target.private_port}


def test_row_06_another_host_and_another_origin_are_forbidden(target: Target, record_property: Any) -> None:
    with holding(target, record=record_property) as bar:
        for name, port in doors(target).items():
            for host in FOREIGN_HOSTS:
                assert bar.saw(wire.post(port, BODY, host=host)).status == 403, (name, host)
                with pytest.raises(ConnectionRefusedError) as refusal:
                    wire.open_websocket(port, host=host)
                assert refusal.value.args[0] == 403, (name, host)
            # The operator's port answers no browser at all.
            for origin in FOREIGN_ORIGINS + (NO_PAGES_ORIGINS if name == "private" else ()):
                for reply in (wire.post(port, BODY, more=f"origin: {origin}\r\n"), preflight(port, origin)):
                    assert bar.saw(reply).status == 403, (name, origin)
                    assert not [header for header in reply.headers if header.startswith("access-control")]
                    assert b"0x539" not in reply.body
                with pytest.raises(ConnectionRefusedError) as refusal:
                    wire.open_websocket(port, more=f"origin: {origin}\r\n")
                assert refusal.value.args[0] == 403, (name, origin)
            for host in ("localhost", "127.0.0.1", f"127.0.0.1:{port}", "[::1]:8545"):
                assert wire.post(port, BODY, host=host).json()["result"] == "0x539", (name, host)
        for origin in NO_PAGES_ORIGINS:
            asked = wire.post(target.port, BODY, more=f"origin: {origin}\r\n")
            assert (asked.status, preflight(target.port, origin).status) == (200, 204), origin
            for reply in (asked, preflight(target.port, origin)):
                assert not [header for header in reply.headers if header.startswith("access-control")], origin
            with wire.open_websocket(target.port, more=f"origin: {origin}\r\n") as websocket:
                assert websocket.ask("eth_chainId")["result"] == "0x539", origin


def preflight(port: int, origin: str) -> wire.Reply:
    """What a browser asks before it posts JSON of another origin."""
    lines = f"host: localhost\r\norigin: {origin}\r\naccess-control-request-method: POST\r\n"
    return wire.exchange(port, f"OPTIONS / HTTP/1.1\r\n{lines}\r\n".encode())


def test_row_07_what_a_form_can_send_is_not_read(target: Target, record_property: Any) -> None:
    # An effect would show: the transaction is malformed, which only who reads it can say.
    body = wire.request("eth_sendRawTransaction", ["0x00"]).encode()
    with holding(target, record=record_property) as bar:
        for kind in FORM_TYPES:
            for name, port in doors(target).items():
                reply = bar.saw(wire.exchange(port, wire.head(len(body), content_type=kind) + body))
                assert (reply.status, reply.headers["connection"]) == (415, "close"), (name, kind, reply)
                assert b"jsonrpc" not in reply.body


def test_row_08_what_is_not_offered_reads_like_what_does_not_exist(
    target: Target, public: Target, record_property: Any
) -> None:
    with holding(public, record=record_property) as bar, holding(target, record=record_property):
        for at, methods in ((public, HIDDEN_FROM_THE_WORLD), (target, HIDDEN)):
            unknown = bar.saw(wire.ask(at.port, "eth_nothingHere"))
            assert unknown.code == -32601
            template = unknown.message
            with wire.open_websocket(at.port) as websocket:
                for method in methods:
                    for params in ((), [{"any": "thing"}], ["0x1", True]):
                        reply = bar.saw(wire.ask(at.port, method, params))
                        assert reply.status == unknown.status
                        assert (reply.code, reply.message) == (
                            -32601,
                            template.replace("eth_nothingHere", method),
                        )
                        assert websocket.ask(method, params) == reply.json()
            modules = wire.ask(at.port, "rpc_modules").json()["result"]
            assert "admin" not in modules
        assert not {"debug", "txpool", "trace", "ots"} & set(modules_of(public))
        assert wire.ask(public.private_port, "admin_peers").json()["result"] == []


def modules_of(target: Target) -> dict[str, str]:
    """The namespaces on offer."""
    found: dict[str, str] = target.call("rpc_modules")
    return found
