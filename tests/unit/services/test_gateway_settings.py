"""What `[gateway]` may say, and what the compiled part is told of it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from metanode import _engine
from metanode.errors import InvalidInput, Unavailable
from metanode.rpc.gateway import SenderRate
from sdk.testnet.services.gateway.service import Place, make_config, make_gateway
from sdk.testnet.services.gateway.settings import (
    DEFAULT_METHODS,
    DEFAULT_WEIGHTS,
    NEVER,
    NEVER_METHODS,
    GatewaySettings,
    read_settings,
)


def place(**changes: Any) -> Place:
    return Place(
        **{
            "bind_address": "127.0.0.1",
            "port": 0,
            "public_url": "",
            "trusted_proxies": ("127.0.0.0/8",),
            "nodes": ("http://127.0.0.1:1",),
            "chain_id": 1337,
            **changes,
        }
    )


def test_only_what_is_listed_is_answered_and_all_of_it_exists() -> None:
    described = {method["name"] for method in json.loads(_engine.openrpc_document([]))["methods"]}

    assert {name for name in DEFAULT_METHODS if not name.startswith("ibft_")} <= described
    assert {name.split("_")[0] for name in DEFAULT_METHODS} == {"eth", "net", "web3", "rpc", "ibft"}
    assert not DEFAULT_METHODS & NEVER_METHODS
    assert set(DEFAULT_WEIGHTS) <= DEFAULT_METHODS
    settings = GatewaySettings(extra_methods=("debug_traceTransaction",), refused_methods=("eth_getLogs",))
    assert settings.methods == DEFAULT_METHODS - {"eth_getLogs"} | {"debug_traceTransaction"}
    assert settings.all_weights["debug_traceTransaction"] == 50
    assert GatewaySettings(weights={"eth_call": 3}).all_weights["eth_call"] == 3


@pytest.mark.parametrize("namespace", NEVER)
def test_methods_of_a_nodes_operator_are_served_by_no_gateway(namespace: str) -> None:
    with pytest.raises(InvalidInput, match=rf"extra_methods: {namespace}_x is for the operator"):
        GatewaySettings(extra_methods=(f"{namespace}_x",))


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"log_block_max": 1}, r"log_block_max: no such setting; did you mean log_blocks_max\?"),
        ({"batch_items_max": "50"}, "batch_items_max: expected a whole number, found '50'"),
        ({"batch_items_max": True}, "batch_items_max: expected a whole number, found True"),
        ({"batch_items_max": 0}, "batch_items_max: expected 1 to 1,000, found 0"),
        ({"extra_methods": "debug_x"}, "extra_methods: expected a list of texts, found 'debug_x'"),
        ({"extra_methods": ("eth_sign",)}, "extra_methods: eth_sign is for the operator"),
        ({"extra_methods": ("no method",)}, "extra_methods: expected names such as eth_call, found 'no method'"),
        ({"refused_methods": ("eth_cal",)}, "refused_methods: 'eth_cal' is not answered anyway"),
        ({"weights": 7}, "weights: expected a table of whole numbers, found 7"),
        ({"weights": {"eth_call": 0}}, "weights.eth_call: expected 1 to 1,000,000, found 0"),
        ({"calls_per_second": {"eth_call": 1.5}}, r"calls_per_second.eth_call: expected 1 to 1,000,000, found 1.5"),
        ({"burst_units": 5}, "burst_units: expected at least units_per_second"),
        ({"units_per_second_of_all": 199}, r"units_per_second_of_all: expected 0 or at least units_per_second \(200\), found 199"),
        ({"units_per_second_of_all": -1}, "units_per_second_of_all: expected 0 to 10,000,000, found -1"),
        ({"transactions_per_minute_of_sender": 0.5}, "transactions_per_minute_of_sender: expected a whole number, found 0.5"),
        ({"transactions_per_minute_of_sender": -1}, "transactions_per_minute_of_sender: expected 0 to 1,000,000, found -1"),
        ({"burst_transactions_of_sender": 0}, "burst_transactions_of_sender: expected 1 to 1,000,000, found 0"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_told_by_its_key(table: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        read_settings(table)


def test_pages_of_the_web_may_ask_what_others_can_reach_and_not_what_is_on_loopback() -> None:
    for changes, open_to_all in (
        ({}, False),
        ({"bind_address": "0.0.0.0"}, True),
        ({"public_url": "https://rpc.example.org"}, True),
    ):
        (listener,) = make_config(place(**changes), GatewaySettings()).listeners
        assert (listener.cors_origins == ("*",)) is open_to_all, changes
        assert (listener.hosts == ("*",)) is open_to_all
    _, second = make_config(place(), GatewaySettings(websocket_port=8546, hosts=("a",))).listeners
    assert (second.port, second.http, second.hosts) == (8546, False, ("a",))


def test_a_client_all_together_and_a_sender_have_rates_and_nought_is_none() -> None:
    config = make_config(place(), GatewaySettings(calls_per_second={"eth_getLogs": 2}))
    allowance = config.allowance
    assert (allowance.units_per_second, allowance.weights["eth_getLogs"]) == (200, 20)
    assert allowance.calls_per_second == {"eth_getLogs": 2}
    assert allowance.units_per_second_of_all == 10_000
    assert config.sender_rate == SenderRate(transactions_per_minute=600, burst_transactions=600)
    unlimited = make_config(
        place(),
        read_settings(
            {"units_per_second": 0, "units_per_second_of_all": 0, "transactions_per_minute_of_sender": 0}
        ),
    )
    assert (unlimited.allowance.units_per_second, unlimited.allowance.units_per_second_of_all) == (0, 0)
    assert unlimited.sender_rate is None


def test_strangers_are_held_to_the_rate_of_all_and_this_machine_is_not() -> None:
    settings = {"units_per_second": 1, "burst_units": 900, "units_per_second_of_all": 1}
    gateway = make_gateway(place(), read_settings(settings | {"weights": {"eth_chainId": 900}}))
    try:
        ((host, port),) = gateway.addresses

        def ask(headers: dict[str, str]) -> httpx.Response:
            body = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
            return httpx.post(f"http://{host}:{port}", json=body, headers=headers)

        statuses = [ask({"x-forwarded-for": user}).status_code for user in ("203.0.113.7", "203.0.113.8")]
        assert statuses == [200, 429]
        assert ask({}).json()["result"] == "0x539"
        assert gateway.statistics()["calls"]["over_rate_of_all"] == 1
    finally:
        gateway.stop()


@pytest.mark.parametrize("per_minute", [0, 7])
def test_the_compiled_part_takes_a_rate_of_senders_and_none(per_minute: int) -> None:
    gateway = make_gateway(place(), GatewaySettings(transactions_per_minute_of_sender=per_minute))
    try:
        assert gateway.statistics()["network"]["over_rate_of_sender"] == 0
        assert gateway.statistics()["calls"]["over_rate_of_all"] == 0
    finally:
        gateway.stop()


def test_a_gateway_starts_without_its_nodes_and_says_what_it_cannot_have() -> None:
    gateway = make_gateway(place(), GatewaySettings())
    try:
        ((_, port),) = gateway.addresses
        counters = gateway.statistics()
        assert [node["up"] for node in counters["network"]["nodes"]] == [False]
        with pytest.raises(Unavailable, match=f"127.0.0.1:{port}"):
            make_gateway(place(port=port), GatewaySettings())
    finally:
        gateway.stop()
    with pytest.raises(InvalidInput, match="without TLS") as refused:
        make_gateway(place(nodes=("https://user:canary@node",)), GatewaySettings())
    assert "canary" not in str(refused.value)
