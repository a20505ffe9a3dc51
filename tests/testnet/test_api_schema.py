"""Schemathesis asks the API everything that its OpenAPI document allows, and much that it does not: no answer is a fault, each is as described.

Etherscan's dialect is one path whose parameters say what is asked; a document of it is made here, for its clients need none.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.testnet.api_server import serving
from tests.testnet.index_chain import Chain, call_of, word
from tests.testnet.index_runs import index_to

from sdk.testnet import Testnet
from sdk.testnet.services.api import etherscan
from sdk.testnet.services.indexer.events import TRANSFER
from sdk.testnet.services.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

DOCUMENT = json.loads(
    (Path(__file__).resolve().parents[2] / "docs" / "reference" / "openapi.json").read_text()
)
schema = schemathesis.openapi.from_dict(DOCUMENT).exclude(path_regex="/events$")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with (
        Testnet(validators=1, block_time_s=1, in_memory=True) as net,
        Chain(net.rpc_url, net.accounts[0]) as chain,
    ):
        coins = chain.speaker(b"Coins", "C", 6)
        words = (TRANSFER, word("0x00"), word("0x" + "a1" * 20), word(7))
        chain.send(to=coins, data=call_of("say3(bytes32,bytes32,bytes32,bytes)", *words))
        paid = chain.do(to="0x" + "a1" * 20, value=1)
        head = int(paid["blockNumber"], 16)
        store = Store(f"sqlite:///{tmp_path_factory.mktemp('schema')}/index.db")
        asyncio.run(index_to(store, net.rpc_url, head))
        with serving(store, net.rpc_url, monitor=Monitor()) as url:
            yield url
        store.close()


class Monitor:
    """Has seen nothing to tell."""

    alerts: tuple[Any, ...] = ()
    events: tuple[Any, ...] = ()

    def get_dashboard_data(self) -> dict[str, Any]:
        return {
            "verdict": {"state": "HEALTHY", "sentence": "", "public_sentence": ""},
            "nodes": [],
            "traffic": {"rpc_calls": {}, "websocket_connections": 0},
        }


def _of_dialect() -> dict[str, Any]:
    """OpenAPI of Etherscan's dialect: every action with every parameter, which may be anything."""
    text: dict[str, Any] = {"type": "string", "maxLength": 80}
    shaped = {
        "address": ["0x" + "a1" * 20, "0x" + "00" * 20],
        "contractaddress": ["0x" + "a1" * 20],
        "contractaddresses": ["0x" + "a1" * 20, ","],
        "txhash": ["0x" + "00" * 32],
        "page": ["0", "1", "99999999999999999999"],
        "offset": ["0", "1", "10000"],
        "sort": ["asc", "desc"],
        "startblock": ["0", "1"],
        "endblock": ["99999999", "latest"],
        "fromBlock": ["0"],
        "toBlock": ["latest", "1"],
        "topic0": ["0x" + TRANSFER.hex()],
        "topic1": ["0x" + "00" * 32],
        "topic0_1_opr": ["or", "and"],
        "timestamp": ["0", "99999999999"],
        "closest": ["before", "after"],
        "blockno": ["1", "99999999"],
        "tag": ["latest", "0x1"],
        "chainid": ["1337", "1"],
    }
    parameters = [
        {"name": name, "in": "query", "schema": {"anyOf": [{"enum": values}, text]}}
        for name, values in shaped.items()
    ]
    parameters += [
        {
            "name": part,
            "in": "query",
            "required": True,
            "schema": {"anyOf": [{"enum": sorted({name[place] for name in NAMES})}, text]},
        }
        for place, part in enumerate(("module", "action"))
    ]
    answer = {
        "type": "object",
        "required": ["status", "message", "result"],
        "properties": {"status": {"enum": ["0", "1"]}, "message": {"type": "string"}},
        "additionalProperties": True,
    }
    answers = {
        "200": {"description": "always", "content": {"application/json": {"schema": answer}}},
        "405": {"description": "another method"},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Etherscan's dialect", "version": "1"},
        "paths": {
            "/api": {method: {"parameters": parameters, "responses": answers} for method in ("get", "post")}
        },
    }


NAMES = (*etherscan._ACTIONS, ("account", "balance"), ("account", "balancemulti"))
dialect = schemathesis.openapi.from_dict(_of_dialect())


@dialect.parametrize()
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_question_in_etherscan_s_dialect_is_too_strange(api: str, case: Case) -> None:
    case.call_and_validate(
        base_url=api, checks=[not_a_server_error, response_schema_conformance, status_code_conformance]
    )


@schema.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_is_too_strange(api: str, case: Case) -> None:
    case.call_and_validate(
        base_url=api,
        checks=[
            not_a_server_error,
            content_type_conformance,
            response_schema_conformance,
            status_code_conformance,
        ],
    )
