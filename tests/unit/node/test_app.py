"""What the composition root says before it opens anything."""

from __future__ import annotations

from typing import Any

import pytest

from metanode.node.app import _rpc_warnings
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
    ],
)
def test_a_public_rpc_that_no_name_reaches_is_told(
    network: dict[str, Any], server: dict[str, Any], *, warns: bool
) -> None:
    found = _rpc_warnings(NodeConfig.model_validate({"network": network, "server": server}))

    assert len(found) == warns
    assert all("server.allowed_hosts" in warning and "403" in warning for warning in found)
