"""What the composition root says before it opens anything."""

from __future__ import annotations

from typing import Any

import pytest

from metanode.node.app import _rpc_hosts, _rpc_warnings
from metanode.node.config import NodeConfig


@pytest.mark.parametrize(
    ("network", "server", "warns"),
    [
        ({}, {}, False),
        ({}, {"bind_address": "0.0.0.0"}, False),
        ({"public_rpc": True}, {"bind_address": "127.0.0.1"}, False),
        ({"public_rpc": True}, {"bind_address": "0.0.0.0"}, True),
        ({"public_rpc": True}, {"bind_address": "::"}, True),
        ({"public_rpc": True}, {"bind_address": "0.0.0.0", "allowed_hosts": ("rpc.example.org",)}, False),
        ({"public_rpc": True, "cors_origins": ("*",)}, {"bind_address": "0.0.0.0"}, False),
    ],
)
def test_a_public_rpc_that_no_name_reaches_is_told(
    network: dict[str, Any], server: dict[str, Any], *, warns: bool
) -> None:
    found = _rpc_warnings(NodeConfig.model_validate({"network": network, "server": server}))

    assert len(found) == warns
    assert all("server.allowed_hosts" in warning and "403" in warning for warning in found)


@pytest.mark.parametrize(
    ("network", "server", "hosts"),
    [
        ({}, {}, ("localhost",)),
        ({"cors_origins": ("https://wallet.example",)}, {}, ("localhost",)),
        ({"cors_origins": ("*",)}, {}, ("*",)),
        ({"cors_origins": ("*",)}, {"allowed_hosts": ("rpc.example.org",)}, ("rpc.example.org",)),
    ],
)
def test_an_rpc_that_lets_every_page_in_answers_to_every_name(
    network: dict[str, Any], server: dict[str, Any], hosts: tuple[str, ...]
) -> None:
    assert _rpc_hosts(NodeConfig.model_validate({"network": network, "server": server})) == hosts
