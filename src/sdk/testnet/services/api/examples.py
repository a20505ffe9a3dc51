"""An example of every answer, made from its schema: real shapes with values as a network has them."""

from __future__ import annotations

from typing import Any, Final

ADDRESS: Final = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
HASH: Final = "0x" + "9c" * 32
TIME: Final = "2026-11-21T12:00:00Z"
_TIMESTAMP: Final = 1_795_262_400
BY_NAME: Final[dict[str, Any]] = {
    "address": ADDRESS,
    "validator": ADDRESS,
    "name": "validator-1",
    "symbol": "TEST",
    "decimals": 18,
    "number": 1_284,
    "block": 1_284,
    "first_block": 1_185,
    "last_block": 1_284,
    "timestamp": _TIMESTAMP,
    "start": _TIMESTAMP // 86_400 * 86_400,
    "time": TIME,
    "since": TIME,
    "resolved_at": TIME,
    "indexed_at": TIME,
    "expires_at": TIME,
    "last_used_at": TIME,
    "round": 0,
    "proposal_round": 0,
    "chain_id": 1_337,
    "currency_symbol": "ETH",
    "block_time_s": 2,
    "gas_used": 21_000,
    "gas_limit": 60_000_000,
    "nonce": 7,
    "type": 2,
    "direction": "out",
    "method_id": "0xa9059cbb",
    "selector": "0xa9059cbb",
    "text": "transfer(address,uint256)",
    "trace_path": "0.1",
    "verdict": "ok",
    "status": "healthy",
    "role": "validator",
    "version": "metanode/0.1.0",
    "sync_status": "synced",
    "severity": "warning",
    "subject": "validator-2",
    "sentence": "Blocks come every 2 s and all validators take part.",
    "impact": "If one more validator fails, the chain stands.",
    "runbook_url": "http://localhost:3000/docs/guide/alerts.html#quorummarginzero",
    "interval": "day",
    "source": "bundled",
    "reasons": [],
    "error": None,
    "revert": None,
    "rpc_url": "http://localhost:8545",
    "ws_url": "ws://localhost:8545",
    "explorer_url": "http://localhost:3000",
    "faucet_url": "http://localhost:8080",
    "api_url": "http://localhost:9545/api/v1",
    "reset_policy": "It may begin anew; the explorer says when.",
    "chainId": "0x539",
    "chainName": "metanode-testnet",
    "nativeCurrency": {"name": "ETH", "symbol": "ETH", "decimals": 18},
    "rpcUrls": ["http://localhost:8545"],
    "blockExplorerUrls": ["http://localhost:3000"],
    "by_method": {"eth_call": 812, "eth_chainId": 96},
    "match": "exact_match",
    "runtime_match": "exact_match",
    "creation_match": "exact_match",
    "state": "verified",
    "before": 0,
    "source_path": "src/Coins.sol",
    "submitted_at": TIME,
    "finished_at": TIME,
    "verified_at": TIME,
    "verified_name": "Coins",
    "compiler_version": "v0.8.28+commit.7893614a",
    "language": "Solidity",
    "title": "Coins",
    "key": "1284",
    "scopes": ["read"],
    "is_valid": True,
    "seals_invalid": 0,
    "logs_missing": 0,
    "failed_count": 0,
    "next": None,
    "total": None,
    "extra_data": "0x",
    "data": "0x",
    "input": "0x",
    "topics": [HASH],
    "signature": "0x" + "1b" * 65,
}
"""What a field of this name holds, in any document where its schema allows it."""
_BY_PATTERN: Final = {
    "^0x[0-9a-f]{64}$": HASH,
    "^0x([0-9a-f]{2})*$": "0x",
    "^0x[0-9a-fA-F]{40}$": ADDRESS,
    "^[0-9]+$": "1000000000000000000",
}


def example_of(schema: dict[str, Any], schemas: dict[str, Any], name: str = "") -> Any:
    """Return a value that a schema describes; `name` is the field's."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas, name)
    if schema.get("examples"):
        return schema["examples"][0]
    kinds = {schema.get("type"), *(one.get("type") for one in schema.get("anyOf", ()))}
    if name in BY_NAME and _is_of(BY_NAME[name], kinds, schema):
        return BY_NAME[name]
    if "anyOf" in schema:
        return example_of(next(one for one in schema["anyOf"] if one.get("type") != "null"), schemas, name)
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {field: example_of(one, schemas, field) for field, one in properties.items()}
        case "array":
            return [example_of(schema.get("items", {}), schemas)]
        case "string":
            return schema.get("enum", [_BY_PATTERN.get(schema.get("pattern", ""), "text")])[0]
        case "integer":
            return 12
        case "number":
            return 0.75
        case "boolean":
            return True
        case _:
            return {}


def _is_of(value: Any, kinds: set[Any], schema: dict[str, Any]) -> bool:
    """Whether a value is of one of these kinds of JSON, and no pattern is in its way."""
    found = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}.get(
        type(value), "null"
    )
    patterns = [one.get("pattern") for one in (schema, *schema.get("anyOf", ())) if one.get("pattern")]
    is_known = not isinstance(value, str) or all(
        _BY_PATTERN.get(pattern) == value or (pattern == "^0x([0-9a-f]{2})*$" and value.startswith("0x"))
        for pattern in patterns
    )
    return (found in kinds or (found == "integer" and "number" in kinds)) and is_known
