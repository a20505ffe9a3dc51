"""Schemathesis asks the API everything that its OpenAPI document allows, and much that it does not: no answer is a fault, each is as described."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

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
from tests.testnet.index_chain import Chain
from tests.testnet.index_runs import index_to

from sdk.testnet import Testnet
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
        chain.do(to="0x" + "a1" * 20, value=1)
        store = Store(f"sqlite:///{tmp_path_factory.mktemp('schema')}/index.db")
        asyncio.run(index_to(store, net.rpc_url, 1))
        with serving(store, net.rpc_url) as url:
            yield url
        store.close()


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
