"""`testnet deploy` asks for whatever `deploy_testnet` takes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from sdk.testnet import deployment
from sdk.testnet.command.output import run_program
from sdk.testnet.command.program import app
from sdk.testnet.deployment import DeploymentConfig

ASKED: dict[str, tuple[tuple[str, ...], Any]] = {
    "network_name": (("--network", "mine"), "mine"),
    "chain_id": (("--chain-id", "5"), 5),
    "num_validators": (("--validators", "3"), 3),
    "genesis_dir": (("--genesis-dir", "g"), Path("g")),
    "data_dir": (("--data-dir", "d"), Path("d")),
    "output_dir": (("--output", "o"), Path("o")),
    "block_time_s": (("--block-time", "7"), 7),
    "consensus_type": (("--consensus", "ibft"), "ibft"),
    "validator_stake": (("--stake", "2000000"), 2_000_000),
    "faucet_balance": (("--faucet-balance", "9"), 9),
    "accounts": (("--fund", f"0x{'22' * 20}=5"), {f"0x{'22' * 20}": 5}),
    "total_supply": (("--total-supply", "100000000"), 100_000_000),
    "gas_limit": (("--gas-limit", "8000000"), 8_000_000),
    "block_reward_gwei": (("--block-reward", "3"), 3),
    "bind_address": (("--bind-address", "192.0.2.1"), "192.0.2.1"),
    "peers_bind_address": (("--peers-bind-address", "0.0.0.0"), "0.0.0.0"),
    "public_host": (("--public-host", "testnet.example.org"), "testnet.example.org"),
    "public_faucet": (("--no-public-faucet",), False),
    "port_offset": (("--port-offset", "11"), 11),
    "services": (("--service", "faucet"), ("faucet",)),
    "image": (("--image", "my/image"), "my/image"),
    "base_image": (("--base-image", "my/base"), "my/base"),
    "wheel": (("--wheel", "metanode-1.whl"), Path("metanode-1.whl")),
    "webhooks": (("--webhook", "info https://a.example.org/"), ("info https://a.example.org/",)),
    "alertmanager": (("--alertmanager", "alerts:9093"), "alerts:9093"),
    "preset": (("--preset", "parvyom-testnet-v1"), "parvyom-testnet-v1"),
}
"""Each field of the form: what is typed, and what it says."""


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(DeploymentConfig)])
def test_every_field_of_a_deployment_has_an_option(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def take(**fields: Any) -> None:
        given.update(fields)
        raise deployment.DeploymentChange(Path(), ["nothing is written here"])

    monkeypatch.setattr(deployment, "deploy_testnet", take)
    words, value = ASKED[field]

    assert run_program(lambda: app(["deploy", *words, "--json"], standalone_mode=False)) == 1
    assert json.dumps(given[field], default=str) == json.dumps(value, default=str)
