"""Answers are compared exactly, but for the message of an error, by requests to the real server."""

import json

import httpx
import pytest
from tests.conformance.chains import opened, plain_genesis
from tests.conformance.suites.calls import system_contracts
from tests.conformance.suites.json_rpc import find_difference, judge_exchange, served, without_message
from tests.conformance.verdicts import Mismatch


@pytest.mark.parametrize(
    ("found", "expected", "is_schema", "difference"),
    [
        ({"a": 1}, {"a": 1}, False, None),
        ({"a": 1}, {"a": 2}, False, "a: found 1, expected 2"),
        ({"a": 1}, {"a": 2}, True, None),
        ({"a": 1}, {"a": "2"}, True, 'a: found 1, expected "2"'),
        ({"a": {}}, {"a": {"b": 1}}, True, "a lacks b"),
        ({"a": {}}, {"a": {"deleteStrategy": {}}}, True, None),
        ({"a": {}}, {"a": {"deleteStrategy": {}}}, False, "a lacks deleteStrategy"),
        ({"a": 1, "b": 2}, {"a": 1}, False, "the answer has b too"),
        ({"a": [1]}, {"a": [1, 2]}, False, "a has 1 entries, expected 2"),
        ({"a": [1]}, {"a": [1, 2]}, True, None),
        ({"a": [{"b": "0x01"}]}, {"a": [{"b": "0x1"}]}, False, 'a.0.b: found "0x01", expected "0x1"'),
        ({"a": None}, {"a": False}, False, "a: found null, expected false"),
        ({"a": 1}, {"a": True}, False, "a: found 1, expected true"),
        ({"a": False}, {"a": 0}, True, "a: found false, expected 0"),
        ({"a": 0.0}, {"a": 0}, False, None),
    ],
)
def test_the_first_difference_is_named(
    found: object, expected: object, is_schema: bool, difference: str | None
) -> None:
    assert find_difference(found, expected, is_schema=is_schema, path="") == difference


def test_only_the_message_of_an_error_is_left_out() -> None:
    answer = {"id": 1, "error": {"code": -32000, "message": "x", "data": "0x"}}
    assert without_message(answer) == {"id": 1, "error": {"code": -32000, "data": "0x"}}


def exchange(method: str, answer: object) -> str:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": []}
    return f"// a comment\n>> {json.dumps(request)}\n<< {json.dumps(answer)}\n"


def test_requests_are_answered_by_the_server_of_a_node() -> None:
    genesis = plain_genesis("Osaka", chain_id=77, alloc=system_contracts())
    with opened(genesis) as engine, served(engine) as url, httpx.Client() as client:
        judge_exchange(client, url, exchange("eth_chainId", {"jsonrpc": "2.0", "id": 1, "result": "0x4d"}))
        with pytest.raises(Mismatch, match=r'result: found "0x4d", expected "0x4e"'):
            judge_exchange(
                client, url, exchange("eth_chainId", {"jsonrpc": "2.0", "id": 1, "result": "0x4e"})
            )
        missing = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "another text"}}
        judge_exchange(client, url, exchange("eth_nothing", missing))
