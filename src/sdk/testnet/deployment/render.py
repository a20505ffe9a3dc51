"""Texts of a planned network: what each node's configuration file says. Pure, golden-tested."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk.testnet.deployment.plan import NetworkPlan, NodePlan


def render_node_config(
    plan: NetworkPlan,
    node: NodePlan,
    *,
    bootstrap_nodes: Sequence[str],
    coinbase: str | None,
    advertised_address: str | None = None,
    password_file: str | None = None,
    written_by: str = "metanode up",
) -> str:
    """The TOML file of one node. `bootstrap_nodes` are enode addresses of the others; with an `advertised_address` it looks for no more.

    Its password is beside its keystore, or where `password_file` says.
    """
    spec = plan.spec
    lines = [
        f"# {node.name} of {spec.network_name}; written by `{written_by}`.",
        "[network]",
        'network = "local"',
        f"chain_id = {spec.chain_id}",
        f'network_id = "{spec.network_name}"',
        f"public_rpc = {_boolean(spec.bind_address not in ('127.0.0.1', '::1'))}",
        'cors_origins = ["*"]',
        "",
        "[server]",
        f'bind_address = "{spec.bind_address}"',
        f"rpc_port = {node.rpc_port}",
        f"private_port = {node.private_port}",
        f"metrics_port = {node.metrics_port}",
        "connections_max = 1000",
        "",
        "[p2p]",
        f'listen_address = "{spec.bind_address}:{node.p2p_port}"',
        *(
            []
            if advertised_address is None
            else [f'advertised_address = "{advertised_address}"', "discovery = false"]
        ),
        "bootstrap_nodes = [",
        *(f'    "{enode}",' for enode in bootstrap_nodes),
        "]",
    ]
    if node.role != "follower":
        lines += ["", "[validator]", "enabled = true", 'validator_key = "keystore:validator.json"']
        if password_file is not None:
            lines.append(f"password_file = {json.dumps(password_file)}")
        if coinbase is not None:
            lines.append(f'coinbase = "{coinbase}"')
    return "\n".join(lines) + "\n"


def _boolean(value: bool) -> str:  # noqa: FBT001 - a value to print, not a switch
    return "true" if value else "false"
