"""Chains for cases: a genesis under the rules of a named fork, opened in the engine that every node runs."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from metanode import _engine

FORKS_BY_BLOCK: Final = (
    ("Frontier", ()),
    ("Homestead", ("homesteadBlock",)),
    ("EIP150", ("eip150Block",)),
    ("EIP158", ("eip155Block", "eip158Block")),
    ("Byzantium", ("byzantiumBlock",)),
    ("Constantinople", ("constantinopleBlock",)),
    ("ConstantinopleFix", ("petersburgBlock",)),
    ("Istanbul", ("istanbulBlock",)),
    ("Berlin", ("berlinBlock",)),
    ("London", ("londonBlock",)),
)
"""Names of the rules before the merge, as the official tests write them, and what each adds to the `config` of a genesis."""
FORKS_BY_TIME: Final = (
    ("Paris", ()),
    ("Shanghai", ("shanghaiTime",)),
    ("Cancun", ("cancunTime",)),
    ("Prague", ("pragueTime",)),
    ("Osaka", ("osakaTime",)),
    ("BPO1", ("bpo1Time",)),
    ("BPO2", ("bpo2Time",)),
)
"""The same from the merge on."""
DEPOSIT_CONTRACT: Final = "0x00000000219ab540356cbb839cbe05303d7705fa"
_TRANSITION: Final = re.compile(r"(\w+?)To(\w+?)At(Time15k|5)")
_OTHER_NAMES: Final = {
    "TangerineWhistle": "EIP150", "SpuriousDragon": "EIP158", "Petersburg": "ConstantinopleFix", "MuirGlacier": "Istanbul",
    "ArrowGlacier": "London", "GrayGlacier": "London", "Merge": "Paris",
}  # fmt: skip
"""Names of the same rules; the glaciers only move what is not checked."""
_SCHEDULED: Final = ("cancun", "prague", "osaka", "bpo1", "bpo2")


def fork_config(network: str, *, chain_id: int = 1) -> dict[str, Any]:
    """The `config` of a genesis whose chain follows the rules of `network`, such as "Berlin" or "CancunToPragueAtTime15k"."""
    transition = _TRANSITION.fullmatch(network)
    first, last = transition.group(1, 2) if transition else (network, network)
    first, last = _OTHER_NAMES.get(first, first), _OTHER_NAMES.get(last, last)
    by_block = [name for name, _ in FORKS_BY_BLOCK]
    by_time = [name for name, _ in FORKS_BY_TIME]
    config: dict[str, Any] = {"chainId": chain_id, "depositContractAddress": DEPOSIT_CONTRACT}
    if "Dao" in (first, last):
        config.update(daoForkBlock=0 if first == "Dao" else 5, daoForkSupport=True)
        first, last = ("Homestead" if name == "Dao" else name for name in (first, last))
    start, end = (by_block.index(name) if name in by_block else len(by_block) - 1 for name in (first, last))
    for index, (_, fields) in enumerate(FORKS_BY_BLOCK[: end + 1]):
        config.update(dict.fromkeys(fields, 0 if index <= start else 5))
    if first in by_time:
        config["terminalTotalDifficulty"] = 0
        for index, (_, fields) in enumerate(FORKS_BY_TIME):
            if index <= by_time.index(last):
                config.update(dict.fromkeys(fields, 0 if index <= by_time.index(first) else 15_000))
    elif last not in by_block or first not in by_block:
        raise ValueError(f"the rules of {network!r} have no genesis here")
    return config


def genesis_of(test: Mapping[str, Any]) -> dict[str, Any]:
    """The genesis file of a blockchain test: the fields of its header, its accounts, its forks and their blob schedule."""
    config = {**fork_config(test["network"]), "blobSchedule": blob_schedule(test.get("config", {}))}
    header = test["genesisBlockHeader"]
    fields = (
        "nonce", "timestamp", "extraData", "gasLimit", "difficulty", "mixHash", "coinbase",
        "baseFeePerGas", "excessBlobGas", "blobGasUsed",
    )  # fmt: skip
    return {
        "config": config,
        "alloc": test["pre"],
        **{field: header[field] for field in fields if field in header},
    }


def blob_schedule(config: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """The `blobSchedule` of a genesis, from that of a test's `config`."""
    return {
        fork.lower(): {key: int(blobs[key], 16) for key in ("target", "max", "baseFeeUpdateFraction")}
        for fork, blobs in config.get("blobSchedule", {}).items()
        if fork.lower() in _SCHEDULED
    }


def plain_genesis(
    network: str, *, chain_id: int = 1, alloc: Mapping[str, Any] | None = None, gas_limit: int = 30_000_000
) -> dict[str, Any]:
    """A genesis of our own under the rules of a fork up to Cancun, with nothing in it but `alloc`."""
    config = fork_config(network, chain_id=chain_id)
    is_merged = "terminalTotalDifficulty" in config
    genesis: dict[str, Any] = {
        "config": config,
        "alloc": dict(alloc or {}),
        "nonce": "0x0",
        "timestamp": "0x0",
        "extraData": "0x",
        "gasLimit": hex(gas_limit),
        "difficulty": "0x0" if is_merged else "0x20000",
    }
    if "londonBlock" in config:
        genesis["baseFeePerGas"] = "0x0"
    return genesis


@contextmanager
def opened(genesis: Mapping[str, Any]) -> Iterator[_engine.Engine]:
    """The engine with a chain in memory, which may begin before the merge."""
    engine = _engine.Engine.open(json.dumps(genesis).encode(), threads=1, chain_import=True)
    try:
        yield engine
    finally:
        engine.close()


def ask(engine: _engine.Engine, method: str, *params: object) -> dict[str, Any]:
    """The members `result` or `error` of the engine's answer to a JSON-RPC request."""
    member = engine.rpc(method, json.dumps(params).encode())
    answer: dict[str, Any] = json.loads(b"{" + member + b"}")
    return answer
