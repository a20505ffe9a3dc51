from __future__ import annotations

from dataclasses import replace

import pytest

from metanode.errors import InvalidInput
from sdk.testnet.deployment.plan import (
    NETWORK_NAME,
    P2P_PORT_BASE,
    PORT_MAX,
    PRESETS,
    NetworkSpec,
    plan_network,
)
from sdk.testnet.deployment.render import render_node_config

ENODE = "enode://" + "ab" * 64 + "@127.0.0.1:30305"


def test_validator_n_has_the_ports_that_the_documents_promise() -> None:
    plan = plan_network(NetworkSpec(validator_count=5))

    assert [node.rpc_port for node in plan.nodes] == [8545, 8546, 8547, 8548, 8549]
    assert [node.p2p_port for node in plan.nodes] == [30304, 30305, 30306, 30307, 30308]
    assert [node.metrics_port for node in plan.nodes] == [9100, 9101, 9102, 9103, 9104]


def test_an_offset_moves_every_port() -> None:
    plain, moved = plan_network(NetworkSpec()), plan_network(NetworkSpec(port_offset=100))

    for before, after in zip(plain.nodes, moved.nodes, strict=True):
        assert {use: port + 100 for use, port in before.ports.items()} == after.ports


def test_no_two_nodes_share_a_port_even_with_followers() -> None:
    plan = plan_network(NetworkSpec(validator_count=7)).with_node("follower").with_node("follower")

    ports = [port for node in plan.nodes for port in node.ports.values()]

    assert [node.name for node in plan.nodes[-2:]] == ["follower-1", "follower-2"]
    assert len(ports) == len(set(ports))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"validator_count": 0}, "validators: found 0; expected 1 to 100"),
        ({"validator_count": 101}, "validators: found 101"),
        ({"chain_id": 0}, "chain id: found 0"),
        ({"chain_id": 2**53}, "chain id: found 9007199254740992; expected 1 to 2\\^53 - 1"),
        ({"block_time_s": 0}, "block time: found 0 s"),
        ({"network_name": "My Net"}, "network: found 'My Net'; expected 1 to 64 lower-case letters"),
        ({"network_name": 'a"b'}, "network: found"),
        ({"network_name": ""}, "network: found ''"),
        ({"network_name": "a" * 65}, "network: found"),
        ({"port_offset": 60_000}, "port offset: found 60000, .*; expected -8544 to 35228"),
        ({"port_offset": -8_545}, "port offset: found -8545"),
    ],
)
def test_an_impossible_network_is_refused_with_the_field(change: dict[str, int], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        plan_network(replace(NetworkSpec(), **change))


def test_the_names_of_networks_are_those_that_a_configuration_takes() -> None:
    from metanode.node.config import NetworkSection  # noqa: PLC0415 - for this test

    (rule,) = (
        part.pattern
        for part in NetworkSection.model_fields["network_id"].metadata
        if hasattr(part, "pattern")
    )

    assert rule == f"^{NETWORK_NAME.pattern}$"


def test_the_last_port_is_taken_and_none_beyond() -> None:
    offset = PORT_MAX - P2P_PORT_BASE - 1
    plan = plan_network(NetworkSpec(validator_count=1, port_offset=offset))

    assert plan.nodes[0].p2p_port == PORT_MAX
    with pytest.raises(InvalidInput, match="port offset: found 35231"):
        plan.with_node("follower")


def test_the_presets_are_the_networks_of_the_documents() -> None:
    assert (PRESETS["parvyom-testnet-v1"].chain_id, PRESETS["parvyom-testnet-v1"].gas_limit) == (
        1337,
        8_000_000,
    )
    assert (PRESETS["moderntensor-testnet"].chain_id, PRESETS["moderntensor-testnet"].validator_count) == (
        9999,
        5,
    )


def test_a_validator_s_configuration_reads_as_written() -> None:
    plan = plan_network(NetworkSpec(validator_count=2))

    text = render_node_config(plan, plan.nodes[0], bootstrap_nodes=[ENODE], coinbase="0x" + "12" * 20)

    assert (
        text
        == f"""\
# validator-1 of metanode-local; written by `metanode up`.
[network]
network = "local"
chain_id = 1337
network_id = "metanode-local"
public_rpc = false
cors_origins = ["*"]

[server]
bind_address = "127.0.0.1"
rpc_port = 8545
private_port = 18545
metrics_port = 9100
connections_max = 1000

[p2p]
listen_address = "127.0.0.1:30304"
bootstrap_nodes = [
    "{ENODE}",
]

[validator]
enabled = true
validator_key = "keystore:validator.json"
coinbase = "0x{"12" * 20}"
"""
    )


def test_every_rendered_configuration_loads(tmp_path) -> None:
    from metanode.node.config import load_config  # noqa: PLC0415 - for this test

    plan = (
        plan_network(NetworkSpec(validator_count=2, bind_address="0.0.0.0"))
        .with_node("follower")
        .with_node("candidate")
    )
    for node in plan.nodes:
        file = tmp_path / f"{node.name}.toml"
        file.write_text(render_node_config(plan, node, bootstrap_nodes=[], coinbase=None))

        config, warnings = load_config([file], {})

        assert config.server.rpc_port == node.rpc_port
        assert config.validator.enabled == (node.role != "follower")
        assert config.network.public_rpc
        assert warnings == ()
