"""Cases that code in the EVM answers: precompiles, contracts, addresses of new contracts, hashes. All are asked with `eth_call`."""

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from eth_abi import abi
from eth_abi.packed import encode_packed
from tests.conformance.chains import ask, plain_genesis
from tests.conformance.verdicts import Mismatch, Verdict, each, expect_equal, named

from metanode import _engine
from metanode.chain.predeploys import load_predeploys
from metanode.crypto.hashing import keccak256

CALLED: Final = "0x00000000000000000000000000000000000c0de0"
"""Where a case's code stands for one call."""
GAS: Final = hex(50_000_000)

PRECOMPILES: Final = {
    "ecrecover": 0x01, "modexp": 0x05, "modexp_eip2565": 0x05, "modexp_eip7883": 0x05,
    "bn256add": 0x06, "bn256scalarmul": 0x07, "bn256pairing": 0x08, "blake2f": 0x09, "pointevaluation": 0x0A,
    "blsg1add": 0x0B, "blsg1mul": 0x0C, "blsg1multiexp": 0x0C, "blsg2add": 0x0D, "blsg2mul": 0x0E, "blsg2multiexp": 0x0E,
    "blspairing": 0x0F, "blsmapg1": 0x10, "blsmapg2": 0x11, "p256verify": 0x100,
}  # fmt: skip
"""Addresses by the names that go-ethereum gives the files, which writes `blake2F` and `fail-blake2f`: in small letters. Multiplication is the
multi-exponentiation of one pair (EIP-2537)."""
SHA256: Final = 0x02
RIPEMD160: Final = 0x03
IDENTITY: Final = 0x04
IDENTITY_GAS: Final = 15
"""Of an empty input. Source: Yellow Paper, appendix E."""
FORK_OF_GAS: Final = {"modexp": "Byzantium", "modexp_eip2565": "Berlin"}
"""Files whose gas is that of the rules before today's; all others are asked under Osaka."""


@functools.cache
def chain_of(network: str) -> _engine.Engine:
    """A chain in memory, kept for the life of the process."""
    if network == "Osaka":
        genesis = plain_genesis(network, alloc=system_contracts())
    else:
        genesis = plain_genesis(network)
    return _engine.Engine.open(json.dumps(genesis).encode(), threads=1, chain_import=True)


def system_contracts() -> dict[str, Any]:
    """What must be in the genesis of an Osaka chain."""
    return {
        "0x" + one.address.hex(): {"balance": "0x0", "nonce": "0x1", "code": "0x" + one.code.hex()}
        for one in load_predeploys()
    }


def call(
    data: bytes, *, code: bytes | None = None, to: str | None = CALLED, nonce: int = 1, network: str = "Osaka"
) -> bytes:
    """The output of a call; raises Mismatch when it fails."""
    request: dict[str, Any] = {"input": "0x" + data.hex(), "gas": GAS}
    params: list[Any] = [request, "latest"]
    if to is not None:
        request["to"] = to
    if code is not None:
        params.append({to: {"code": "0x" + code.hex(), "nonce": hex(nonce)}})
    answer = ask(chain_of(network), "eth_call", *params)
    if "error" in answer:
        raise Mismatch(f"eth_call: {answer['error']['code']} {answer['error']['message']}")
    return bytes.fromhex(answer["result"][2:])


def precompile(address: int, data: bytes, network: str = "Osaka") -> tuple[bool, int, bytes]:
    """Whether a precompile succeeds, the gas that it takes with what stands around it, and its output."""
    code = bytes.fromhex(
        "366000600037"  # the input to memory
        "5a"  # gas before
        "60006000366000" + f"61{address:04x}" + "5afa"
        "5a"  # gas after
        "9190600052"  # success to 0
        "03602052"  # the difference to 32
        "3d600060403e3d6040016000f3"  # the output to 64; all of it back
    )
    output = call(data, code=code, network=network)
    return bool(int.from_bytes(output[:32], "big")), int.from_bytes(output[32:64], "big"), output[64:]


def judge_precompiles(file: Path) -> Iterator[Verdict]:
    """Inputs with outputs and gas, or with the failure that they must end in."""
    name = file.stem.removeprefix("fail-").lower()
    network = FORK_OF_GAS.get(name, "Osaka")

    def judge(case: Mapping[str, Any]) -> None:
        if name not in PRECOMPILES:
            raise Mismatch(f"{file.name}: expected the name of a precompile, one of {', '.join(PRECOMPILES)}")
        try:
            _, around, _ = precompile(IDENTITY, b"", network)
            succeeded, gas, output = precompile(PRECOMPILES[name], bytes.fromhex(case["Input"]), network)
        except _engine.InvalidInput as error:
            raise Mismatch(f"the engine runs no chain under the rules of {network}: {error}") from error
        if "ExpectedError" in case:
            expect_equal("success", succeeded, expected=False)
            return
        expect_equal("success", succeeded, expected=True)
        expect_equal("output", output.hex(), case["Expected"])
        expect_equal("gas", gas - around + IDENTITY_GAS, case["Gas"])

    return each(named(json.loads(file.read_bytes())), judge)


def judge_abi(file: Path) -> Iterator[Verdict]:
    """Contracts that return a value: compiled, created and called; their output is read and written again by eth-abi."""

    def judge(case: Mapping[str, Any]) -> None:
        runtime = call(bytes.fromhex(case["bytecode"][2:]), to=None)
        output = call(keccak256(b"test()")[:4], code=runtime)
        expect_equal("output", output, bytes.fromhex(case["encoded"][2:]))
        value = abi.decode([case["type"]], output)
        expect_equal("encoding", abi.encode([case["type"]], value), output)

    return each(named(json.loads(file.read_bytes())), judge)


def judge_basic_abi(file: Path) -> Iterator[Verdict]:
    """Arguments with their types and encoding."""

    def judge(case: Mapping[str, Any]) -> None:
        pairs = zip(case["types"], case["args"], strict=True)
        values = [value.encode() if kind.startswith("bytes") else value for kind, value in pairs]
        expect_equal("encoding", abi.encode(case["types"], values).hex(), case["result"])

    return each(json.loads(file.read_bytes()).items(), judge)


def judge_creations(file: Path) -> Iterator[Verdict]:
    """Addresses of contracts by sender and nonce."""

    def judge(case: Mapping[str, Any]) -> None:
        code = bytes.fromhex("600060006000f060005260206000f3")
        for creation in case["creates"]:
            output = call(b"", code=code, to=case["sender"], nonce=creation["nonce"])
            expect_equal(creation["name"], output[12:], bytes.fromhex(creation["address"][2:]))

    return each(((case["sender"], case) for case in json.loads(file.read_bytes())), judge)


def judge_salted_creations(file: Path) -> Iterator[Verdict]:
    """Addresses of contracts by sender, salt and code."""

    def judge(case: Mapping[str, Any]) -> None:
        code = bytes.fromhex("602036038060206000376000359060006000f560005260206000f3")
        for creation in case["creates"]:
            data = bytes.fromhex(creation["salt"][2:] + creation["initCode"][2:])
            output = call(data, code=code, to=case["sender"])
            expect_equal(creation["name"], output[12:], bytes.fromhex(creation["address"][2:]))

    return each(((case["sender"], case) for case in json.loads(file.read_bytes())), judge)


def judge_hashes(file: Path) -> Iterator[Verdict]:
    """Bytes with their hashes."""

    def judge(case: Mapping[str, str]) -> None:
        data = bytes.fromhex(case["data"][2:])
        expect_hashes(data, case)
        expect_equal("sha512", "0x" + hashlib.sha512(data).hexdigest(), case["sha512"])

    return each(named(json.loads(file.read_bytes())), judge)


def judge_packed_hashes(file: Path) -> Iterator[Verdict]:
    """Values, packed by eth-abi, with the hashes that Solidity gives."""

    def judge(case: Mapping[str, Any]) -> None:
        pairs = zip(case["types"], case["values"], strict=True)
        data = b"".join(packed(kind, typed(kind, value)) for kind, value in pairs)
        # Solidity's bytes20 is padded behind.
        expect_hashes(data, {**case, "ripemd160": case["ripemd160"][:42]})

    return each(named(json.loads(file.read_bytes())), judge)


def expect_hashes(data: bytes, case: Mapping[str, str]) -> None:
    """Our keccak256, and the precompiles of the other two."""
    expect_equal("keccak256", "0x" + keccak256(data).hex(), case["keccak256"])
    expect_equal("sha256", "0x" + call(data, to=f"0x{SHA256:040x}").hex(), case["sha256"])
    expect_equal("ripemd160", "0x" + call(data, to=f"0x{RIPEMD160:040x}")[12:].hex(), case["ripemd160"])


def packed(kind: str, value: Any) -> bytes:
    """A value as `abi.encodePacked` writes it. Elements of arrays are padded, which eth-abi leaves out."""
    if not kind.endswith("]"):
        return encode_packed([kind], [value])
    element = kind[: kind.rindex("[")]
    return b"".join(
        packed(element, e) if element.endswith("]") else abi.encode([element], [e]) for e in value
    )


def typed(kind: str, value: Any) -> Any:
    """A value of JSON as eth-abi takes it."""
    if kind.endswith("]"):
        return [typed(kind[: kind.rindex("[")], item) for item in value]
    if "int" in kind and isinstance(value, str):
        return int(value, 0)
    if kind.startswith("bytes") and isinstance(value, str):
        return bytes.fromhex(value[2:])
    return value
