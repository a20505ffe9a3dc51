"""Schemathesis asks the API everything that its OpenAPI document allows, and much that it does not: no answer is a fault, each is as described.

Etherscan's dialect is one path whose parameters say what is asked, and Sourcify's is described by Sourcify; a document of each is made here, for their
clients need none. Contracts can be verified, by a verifier that works.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
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
from tests.acceptance.processes import wait_until
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


SPEAKER = (Path(__file__).parent / "contracts" / "Speaker.vy").read_text()
INPUT = {"language": "Vyper", "sources": {"Speaker.vy": {"content": SPEAKER}}, "settings": {}}


@dataclass(frozen=True)
class Api:
    """An API, and a contract that is on its chain."""

    url: str
    coins: str

    def ask(self, case: Case, checks: list[Any]) -> None:
        """Ask what was made up; in place of half of the addresses the contract is meant, which nobody would guess."""
        given = (case.path_parameters or {}).get("address")
        if isinstance(given, str) and zlib.crc32(given.encode(errors="replace")) % 2:
            case.path_parameters["address"] = self.coins
        case.call_and_validate(base_url=self.url, checks=checks)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
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
        with serving(store, net.rpc_url, monitor=Monitor(), verifies=True) as url:
            yield Api(url, coins)
        store.close()


class Monitor:
    """Has seen nothing to tell."""

    alerts: tuple[Any, ...] = ()
    events: tuple[Any, ...] = ()

    def get_dashboard_data(self) -> dict[str, Any]:
        return {
            "verdict": {"state": "HEALTHY", "sentence": "", "public_sentence": ""},
            "nodes": [],
            "traffic": {"rpc_calls": {}, "websocket_connections": 0, "gateway": None},
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
def test_no_question_in_etherscan_s_dialect_is_too_strange(api: Api, case: Case) -> None:
    api.ask(case, [not_a_server_error, response_schema_conformance, status_code_conformance])


def _of_sourcify() -> dict[str, Any]:
    """OpenAPI of Sourcify's dialect: its paths, with parameters and bodies that are right, and any others."""
    text: dict[str, Any] = {"type": "string", "maxLength": 80}

    def parameter(name: str, place: str, *values: str) -> dict[str, Any]:
        schema = {"anyOf": [{"enum": list(values)}, text]}
        return {"name": name, "in": place, "required": place == "path", "schema": schema}

    chain = parameter("chain_id", "path", "1337", "1")
    address = parameter("address", "path", "0x" + "a1" * 20, "0x" + "00" * 20)
    job = parameter("verification_id", "path", "00000000-0000-4000-8000-000000000000")
    fields = "all", "abi", "sources,abi", "compilation,deployment,metadata,stdJsonInput,runtimeBytecode", "x"
    submission = {
        "type": "object",
        "properties": {
            "stdJsonInput": {"anyOf": [{"enum": [INPUT]}, {"type": "object"}]},
            "compilerVersion": {"anyOf": [{"enum": ["0.4.3"]}, text]},
            "contractIdentifier": {"anyOf": [{"enum": ["Speaker.vy:Speaker"]}, text]},
            "creationTransactionHash": text,
        },
        "required": ["stdJsonInput", "compilerVersion", "contractIdentifier"],
    }
    refused = _object("customCode", "message", "errorId")

    def operation(answer: dict[str, Any], *parameters: dict[str, Any], status: str = "200") -> dict[str, Any]:
        answers = {
            status: {"description": "done", "content": {"application/json": {"schema": answer}}},
            "405": {"description": "another method"},
        }
        for code in ("400", "404", "409", "413", "429"):
            schema = {"anyOf": [refused, answer]} if code == "404" else refused
            answers[code] = {"description": "refused", "content": {"application/json": {"schema": schema}}}
        return {"parameters": list(parameters), "responses": answers}

    verify = operation(_object("verificationId"), chain, address, status="202")
    verify["requestBody"] = {"required": True, "content": {"application/json": {"schema": submission}}}
    contract = _object("match", "creationMatch", "runtimeMatch", "chainId", "address")
    listed = (
        parameter("limit", "query", "1", "100", "0"),
        parameter("sort", "query", "asc", "desc"),
        parameter("afterMatchId", "query", "1-1"),
    )
    chosen = parameter("fields", "query", *fields), parameter("omit", "query", "abi", "x")
    paths = {
        "/v2/verify/{chain_id}/{address}": {"post": verify},
        "/v2/verify/{verification_id}": {"get": operation(_object("isJobCompleted", "contract"), job)},
        "/v2/contract/{chain_id}/{address}": {"get": operation(contract, chain, address, *chosen)},
        "/v2/contracts/{chain_id}": {"get": operation(_object("results"), chain, *listed)},
    }
    return {"openapi": "3.1.0", "info": {"title": "Sourcify's dialect", "version": "2"}, "paths": paths}


def _object(*required: str) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "additionalProperties": True}


sourcify = schemathesis.openapi.from_dict(_of_sourcify())


@sourcify.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_question_in_sourcify_s_dialect_is_too_strange(api: Api, case: Case) -> None:
    api.ask(case, [not_a_server_error, response_schema_conformance, status_code_conformance])


def test_meanwhile_the_verifier_works(api: Api) -> None:
    """What the strange ones are refused for is theirs: a right one is taken, and verified."""
    body = {"standard_json": INPUT, "compiler_version": "0.4.3", "contract": "Speaker.vy:Speaker"}
    where = f"{api.url}/api/v1/contracts/{api.coins}"

    def is_taken() -> bool:
        sent = httpx.post(f"{where}/verifications", json=body, timeout=20)
        # A strange one may have been this very one.
        assert sent.status_code in {202, 409, 429}, sent.text
        return sent.status_code != 429

    wait_until(is_taken, within_s=60, what="the limit lets one more in")
    wait_until(
        lambda: httpx.get(f"{where}/source", timeout=20).status_code == 200,
        within_s=60,
        what="the source is known",
    )


@schema.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_is_too_strange(api: Api, case: Case) -> None:
    api.ask(
        case,
        [
            not_a_server_error,
            content_type_conformance,
            response_schema_conformance,
            status_code_conformance,
        ],
    )
