"""Transactions: whether one is valid under the rules of each fork, and what is signed.

A transaction of the official tests is run under each fork on a state whose only account is its sender. Those of ethers.js are put into a block that is
right but for what comes of running it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.conformance.chains import opened, plain_genesis
from tests.conformance.suites.calls import system_contracts
from tests.conformance.suites.wycheproof import ORDER
from tests.conformance.transitions import run
from tests.conformance.verdicts import Mismatch, Verdict, each, expect_equal, named

from metanode import _engine
from metanode.chain.trie import EMPTY_ROOT, ordered_root
from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey, recover_address
from metanode.errors import InvalidEncoding
from metanode.primitives import rlp

GAS_LIMIT: Final = 2**63 - 1
"""Of the block: no transaction is over it that is not over the rules."""
BALANCE_WEI: Final = 2**255
LIST: Final = b"\xc0"
"""The least first byte of a list, which a transaction without a type is."""
EMPTY_OMMERS: Final = keccak256(b"\xc0")
OVER_ALL_FUNDS: Final = "overflow payment in transaction"
CHECKED_BEFORE: Final = frozenset(
    {"parent_hash", "number", "timestamp", "gas_limit", "base_fee", "transactions_root"}
)
"""Refusals of the block around the transaction: a fault of this file."""


def judge(file: Path) -> Iterator[Verdict]:
    """The cases of a file of transaction tests."""
    return each(json.loads(file.read_bytes()).items(), judge_transaction)


def judge_transaction(test: Mapping[str, Any]) -> None:
    """One transaction, under each fork that the test names."""
    raw = bytes.fromhex(test["txbytes"][2:])
    wrong = [
        f"{network}: {difference}"
        for network, expected in test["result"].items()
        if (difference := difference_under(network, raw, expected))
    ]
    if wrong:
        raise Mismatch("; ".join(wrong))


def difference_under(network: str, raw: bytes, expected: Mapping[str, str]) -> str | None:
    """What the engine says otherwise than the test, if anything."""
    alloc = {}
    if "sender" in expected:
        alloc[expected["sender"]] = {"balance": hex(BALANCE_WEI), "nonce": hex(nonce_of(raw))}
    env = {
        "number": "0x1", "timestamp": "0xc", "gasLimit": hex(GAS_LIMIT), "coinbase": "0x" + bytes(20).hex(),
        "difficulty": "0x20000", "baseFeePerGas": "0x0", "excessBlobGas": "0x0",
    }  # fmt: skip
    found = run(network, alloc=alloc, env=env, transactions=[raw])
    for rejected in found["rejected"]:
        # More than an account can hold is a matter of funds, which these tests leave out: it is valid otherwise.
        if "exception" not in expected and not is_of_funds(rejected):
            return f"refused as {rejected['code']} ({rejected['message']})"
    for accepted in found["accepted"]:
        if "exception" in expected:
            return f"accepted, expected {expected['exception']}"
        for name in ("hash", "sender", "intrinsicGas"):
            if int(accepted[name], 16) != int(expected[name], 16):
                return f"{name}: found {accepted[name]}, expected {expected[name]}"
    return None


def is_of_funds(rejected: Mapping[str, str]) -> bool:
    """Whether a transaction is refused for costing more than its sender has."""
    return rejected["code"] == "transaction_funds" or OVER_ALL_FUNDS in rejected["message"]


def block_of(engine: _engine.Engine, raws: Sequence[bytes]) -> bytes:
    """A block of Cancun with these transactions."""
    fields: list[rlp.Item] = [
        engine.head().hash,
        EMPTY_OMMERS,
        bytes(20),
        bytes(32),
        ordered_root(raws),
        EMPTY_ROOT,
        bytes(256),
        b"",
        rlp.integer(1),
        rlp.integer(GAS_LIMIT),
        b"",
        rlp.integer(12),
        b"",
        bytes(32),
        bytes(8),
        b"",
        EMPTY_ROOT,
        b"",
        b"",
        bytes(32),
    ]
    items = (raw if raw[:1] >= LIST else rlp.encode(raw) for raw in raws)
    body = rlp.list_of_encoded(b"".join(items)) + b"\xc0\xc0"
    return rlp.list_of_encoded(rlp.encode(fields) + body)


def nonce_of(raw: bytes) -> int:
    """The nonce of a transaction that is valid."""
    is_typed = raw[0] < 0xC0
    try:
        fields = rlp.decode(raw[1:] if is_typed else raw)
    except InvalidEncoding as error:
        raise Mismatch(f"no transaction: {error}") from error
    assert isinstance(fields, list)
    nonce = fields[1] if is_typed else fields[0]
    assert isinstance(nonce, bytes)
    return int.from_bytes(nonce, "big")


FORMS: Final = {"Legacy": b"", "Eip155": b"", "Berlin": b"\x01", "London": b"\x02", "Cancun": b"\x03"}
"""The forms of one transaction in the cases of ethers.js, with the byte that each begins with."""


def judge_signing(file: Path) -> Iterator[Verdict]:
    """Transactions of ethers.js in five forms: our RLP and keys make the same bytes, and the engine's decoder takes them."""
    return each(named(json.loads(file.read_bytes())), judge_forms)


def judge_forms(case: Mapping[str, Any]) -> None:
    """One transaction in its five forms."""
    key = PrivateKey(bytes.fromhex(case["privateKey"][2:]))
    # Without a chain there is no form of EIP-155.
    raws = {form: raw for form in FORMS if (raw := bytes.fromhex(case[f"signed{form}"][2:]))}
    for form, raw in raws.items():
        prefix = FORMS[form]
        fields = fields_of(form, case["transaction"])
        signature = key.sign(keccak256(prefix + rlp.encode(fields)))
        expect_equal(f"signed{form}", prefix + rlp.encode(signed(form, fields, signature)), raw)
        signer = recover_address(keccak256(prefix + rlp.encode(fields)), signature)
        expect_equal(f"sender of signed{form}", signer, key.address)
    with opened(plain_genesis("Cancun", alloc=system_contracts(), gas_limit=GAS_LIMIT)) as engine:
        try:
            engine.validate(block_of(engine, list(raws.values())), [])
        except _engine.InvalidBlock as refusal:
            # Nobody here can pay: that is found out after all five were decoded and their signers recovered.
            if refusal.code in ("rlp", "transaction_signature", *CHECKED_BEFORE):
                raise Mismatch(f"refused as {refusal.code} ({refusal.detail})") from refusal


def signed(form: str, fields: list[rlp.Item], signature: bytes) -> list[rlp.Item]:
    """The fields with the signature behind them."""
    parity = signature[64]
    numbers = [rlp.integer(int.from_bytes(signature[start : start + 32], "big")) for start in (0, 32)]
    if form == "Legacy":
        return [*fields, rlp.integer(27 + parity), *numbers]
    if form == "Eip155":
        chain_id = fields[6]
        assert isinstance(chain_id, bytes)
        return [*fields[:6], rlp.integer(35 + 2 * int.from_bytes(chain_id, "big") + parity), *numbers]
    return [*fields, rlp.integer(parity), *numbers]


def fields_of(form: str, given: Mapping[str, Any]) -> list[rlp.Item]:
    """What is signed of a transaction in one form."""

    def number(name: str) -> bytes:
        value = given.get(name) or 0
        return rlp.integer(int(value, 16) if isinstance(value, str) else value)

    to = bytes.fromhex((given.get("to") or "0x")[2:])
    if form == "Cancun":
        # A blob transaction creates no contract.
        to = to or bytes(20)
    rest: list[rlp.Item] = [
        number("gasLimit"),
        to,
        number("value"),
        bytes.fromhex(given.get("data", "0x")[2:]),
    ]
    if form in ("Legacy", "Eip155"):
        fields = [number("nonce"), number("gasPrice"), *rest]
        return fields if form == "Legacy" else [*fields, number("chainId"), b"", b""]
    fees = ["gasPrice"] if form == "Berlin" else ["maxPriorityFeePerGas", "maxFeePerGas"]
    entries: list[rlp.Item] = [
        [bytes.fromhex(entry["address"][2:]), [bytes.fromhex(key[2:]) for key in entry["storageKeys"]]]
        for entry in given.get("accessList") or []
    ]
    fields = [number("chainId"), number("nonce"), *map(number, fees), *rest, entries]
    if form == "Cancun":
        hashes: list[rlp.Item] = [bytes.fromhex(one[2:]) for one in given.get("blobVersionedHashes") or []]
        fields += [number("maxFeePerBlobGas"), hashes]
    return fields


def judge_signed(file: Path) -> Iterator[Verdict]:
    """`txtest.json`: two transactions with their encodings before and after signing."""

    def judge_encodings(case: Mapping[str, Any]) -> None:
        key = PrivateKey(bytes.fromhex(case["key"]))
        numbers = [case["nonce"], case["gasprice"], case["startgas"]]
        fields: list[rlp.Item] = [*map(rlp.integer, numbers), bytes.fromhex(case["to"])]
        fields += [rlp.integer(case["value"]), bytes.fromhex(case["data"])]
        # It was written before EIP-155, with three empty fields where a signature comes.
        expect_equal("unsigned", rlp.encode([*fields, b"", b"", b""]).hex(), case["unsigned"])
        decoded = rlp.decode(bytes.fromhex(case["signed"]))
        assert isinstance(decoded, list)
        expect_equal("fields", decoded[:6], fields)
        v, r, s = (item for item in decoded[6:] if isinstance(item, bytes))
        number, parity = int.from_bytes(s, "big"), v[0] - 27
        if number > ORDER // 2:
            # Written before EIP-2, which leaves one of two signatures that say the same.
            number, parity = ORDER - number, 1 - parity
        signature = r.rjust(32, b"\0") + number.to_bytes(32, "big") + bytes((parity,))
        expect_equal("sender", recover_address(keccak256(rlp.encode(fields)), signature), key.address)

    cases = json.loads(file.read_bytes())
    return each(((str(index), case) for index, case in enumerate(cases)), judge_encodings)
