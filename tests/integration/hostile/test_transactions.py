"""Rows 17 and 18: transactions that are none, and more than a pool can hold."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.acceptance.processes import slowness, wait_until
from tests.integration.hostile import wire
from tests.integration.hostile.bar import holding
from tests.integration.hostile.target import (
    CHAIN_ID,
    SENDERS,
    flood_key,
    rich_key,
    running_target,
    sealed,
    signed,
)

from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import ORDER, PrivateKey
from metanode.primitives import rlp
from metanode.primitives.hexadecimal import encode_data

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.integration.hostile.target import Target

pytestmark = pytest.mark.timeout(180)

GWEI = 10**9
KEY = rich_key(1)
POOR = PrivateKey(keccak256(b"nobody has funded this account"))
BAD_SIGNATURE = "invalid sender: invalid transaction v, r, s values"
BATCH = 100
QUEUED_MAX = 8_192
FLOOD_EACH = 10
DELEGATIONS = 600
"""Authorizations of one transaction: what the gas of one pays for, 25,000 each."""


def typed(kind: int, fields: Sequence[rlp.Item]) -> bytes:
    """A typed transaction of these fields, signed."""
    prefix = bytes([kind])
    return prefix + sealed(KEY, prefix, fields)


def fields(**changed: rlp.Item) -> list[rlp.Item]:
    """Those of a good EIP-1559 transfer, in their order, but for the changed ones."""
    good: dict[str, rlp.Item] = {
        "chain_id": rlp.integer(CHAIN_ID), "nonce": b"", "tip": rlp.integer(GWEI), "fee": rlp.integer(100 * GWEI),
        "gas": rlp.integer(21_000), "to": b"\x42" * 20, "value": b"\x01", "data": b"", "access_list": [],
    }  # fmt: skip
    assert changed.keys() <= good.keys(), changed.keys()
    return list((good | changed).values())


def with_signature(parity: rlp.Item, r: int, s: int) -> bytes:
    """A good transaction under a signature that was not made by anybody's key."""
    return b"\x02" + rlp.encode([*fields(), parity, rlp.integer(r), rlp.integer(s)])


def high_s() -> bytes:
    """A good signature with the other s, which EIP-2 forbids."""
    signature = KEY.sign(keccak256(b"\x02" + rlp.encode(fields())))
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    return with_signature(rlp.integer(1 - signature[64]), r, ORDER - s)


def legacy(v: int | bytes) -> bytes:
    """A legacy transfer with this v, whatever signature."""
    plain: list[rlp.Item] = [b"", rlp.integer(GWEI), rlp.integer(21_000), b"\x42" * 20, b"\x01", b""]
    return rlp.encode([*plain, v if isinstance(v, bytes) else rlp.integer(v), b"\x01" * 32, b"\x01" * 32])


def cases() -> list[tuple[str, bytes, str]]:
    """What is sent, and the text of the refusal; a text that ends in a colon is the beginning of one."""
    good = typed(2, fields())
    return [
        ("nothing", b"", "typed transaction too short"),
        ("a type alone", b"\x02", "typed transaction too short"),
        ("no list", b"\x80" * 3, "rlp: expected input list"),
        ("an empty list", b"\xc0", "rlp:"),
        ("a type and an empty list", b"\x02\xc0", "rlp:"),
        ("a list that promises 2^64 bytes", b"\x02\xff" + b"\xff" * 8, "rlp:"),
        ("a list that promises 4 GiB", b"\xfb\xff\xff\xff\xff" + b"\x80" * 100, "rlp:"),
        ("a hundred thousand lists", b"\xc1" * 100_000, "rlp:"),
        ("cut at the end", good[:-1], "rlp: value size exceeds available input length"),
        ("cut in the middle", good[: len(good) // 2], "rlp: value size exceeds available input length"),
        ("a byte too many", good + b"\x00", "rlp: input contains more than one value"),
        ("a nonce with a leading zero", typed(2, fields(nonce=b"\x00\x01")), "rlp: non-canonical integer (leading zero bytes)"),
        ("a value that is zero as a byte", typed(2, fields(value=b"\x00")), "rlp: non-canonical integer (leading zero bytes)"),
        ("a nonce of nine bytes", typed(2, fields(nonce=b"\x01" * 9)), "rlp: input string too long"),
        ("a value of 33 bytes", typed(2, fields(value=b"\x01" * 33)), "rlp: input string too long"),
        ("an address of 19 bytes", typed(2, fields(to=b"\x42" * 19)), "rlp:"),
        ("a list for the data", typed(2, fields(data=[b"x"])), "rlp: expected input string or byte"),
        ("text for the access list", typed(2, fields(access_list=b"x")), "rlp:"),
        ("a field too many", typed(2, [*fields(), b""]), "rlp:"),
        ("a field too few", typed(2, fields()[:-1]), "rlp:"),
        ("a high s", high_s(), BAD_SIGNATURE),
        ("r is 0", with_signature(b"", 0, 1), BAD_SIGNATURE),
        ("s is 0", with_signature(b"", 1, 0), BAD_SIGNATURE),
        ("r is the order", with_signature(b"", ORDER, 1), BAD_SIGNATURE),
        ("a parity of 2", with_signature(b"\x02", 1, 1), BAD_SIGNATURE),
        ("a parity of 2^64", with_signature(b"\x01" + bytes(8), 1, 1), "rlp:"),
        ("v is 29", legacy(29), BAD_SIGNATURE),
        ("v is 2^63", legacy(2**63), "invalid sender:"),
        ("v is 2^64 - 1", legacy(2**64 - 1), "invalid sender:"),
        ("v is 2^512", legacy(b"\x01" + bytes(64)), "rlp:"),
        ("for every chain", legacy(27), "only replay-protected (EIP-155) transactions allowed over RPC"),
        ("of another chain", typed(2, fields(chain_id=b"\x01")), "invalid sender: invalid chain id for signer: have 1 want 1337"),
        ("of chain 0", typed(2, fields(chain_id=b"")), "invalid sender: invalid chain id for signer: have 0 want 1337"),
        ("type 0x7f", b"\x7f" + good[1:], "transaction type not supported"),
        ("type 0", b"\x00" + good[1:], "transaction type not supported"),
        ("type 3", b"\x03" + good[1:], "transaction type not supported: tx type 3 not supported by this pool"),
        ("129 KB", typed(2, fields(data=b"x" * 132_096)), "oversized data: transaction size"),
        ("a tip above the fee", typed(2, fields(tip=rlp.integer(200 * GWEI))), "max priority fee per gas higher than max fee per gas"),
        ("too little gas", typed(2, fields(gas=rlp.integer(20_999))), "intrinsic gas too low: gas 20999, minimum needed 21000"),
        ("too little gas for its data", typed(2, fields(data=b"x" * 1_000, gas=rlp.integer(40_000))), "insufficient gas for floor data gas cost:"),
        ("more gas than one may have", typed(2, fields(fee=rlp.integer(GWEI), gas=rlp.integer(2**24 + 1))), "transaction gas limit too high (cap: 16777216, tx: 16777217)"),
        ("gas of 2^64 - 1", typed(2, fields(gas=rlp.integer(2**64 - 1))), "tx fee (1844674407370.96 ether) exceeds the configured cap (1.00 ether)"),
        ("gas of 2^64 - 1 for nothing", typed(2, fields(fee=b"", tip=b"", gas=rlp.integer(2**64 - 1))), "transaction gas limit too high"),
        ("too much code", typed(2, fields(to=b"", data=b"\x00" * 49_153, gas=rlp.integer(10**7))), "max initcode size exceeded: code size 49153, limit 49152"),
        ("the last nonce", typed(2, fields(nonce=rlp.integer(2**64 - 1))), "nonce has max value"),
        ("no tip", typed(2, fields(tip=b"")), "transaction gas price below minimum: gas tip cap 0, minimum needed 1"),
        ("a fee of 2^256 - 1", typed(2, fields(fee=b"\xff" * 32)), "rlp:"),
        ("a value of 2^256 - 1", typed(2, fields(value=b"\xff" * 32)), "insufficient funds for gas * price + value: balance"),
        ("no funds", signed(POOR, 0), "insufficient funds for gas * price + value: balance 0, tx cost"),
        ("no authorizations", typed(4, [*fields(gas=rlp.integer(100_000)), []]), "set code tx must have at least one authorization tuple"),
    ]  # fmt: skip


def test_row_17_transactions_that_are_wrong_are_refused_with_the_standard_text(
    target: Target, record_property: Any
) -> None:
    def pool() -> tuple[Any, Any]:
        return target.call("txpool_status"), target.call("txpool_content")

    wait_until(
        lambda: pool()[0]["pending"] == "0x0", within_s=20.0, what="what other tests have sent is in blocks"
    )
    before = pool()
    with holding(target, record=record_property) as bar:
        for desc, raw, text in cases():
            reply = bar.saw(wire.ask(target.port, "eth_sendRawTransaction", [encode_data(raw)]))
            assert reply.code == -32000, (desc, reply.body[:200])
            assert reply.message == text or (reply.message.startswith(text) and text), (desc, reply.message)
            assert len(reply.body) < 500, desc
        for argument, text in (
            ("0x0", "hex string of odd length"), ("02c0", "hex string without 0x prefix"), ("0xzz", "invalid hex string"),
        ):  # fmt: skip
            reply = bar.saw(wire.ask(target.port, "eth_sendRawTransaction", [argument]))
            assert (reply.code, reply.message) == (-32602, f"invalid argument 0: {text}")
        # All together in batches, where signatures are recovered beside each other, and a good one among them is taken.
        good = encode_data(signed(KEY, target.nonce(KEY)))
        wrong = [encode_data(raw) for _, raw, _ in cases() if len(raw) < 10_000]
        calls = [
            wire.request("eth_sendRawTransaction", [raw], number) for number, raw in enumerate([*wrong, good])
        ]
        assert pool() == before, "the pool is as it was"
        answers = wire.post(target.port, "[" + ",".join(calls) + "]").json()
        assert ["error" in answer for answer in answers] == [True] * len(wrong) + [False]
    sent = answers[-1]["result"]
    wait_until(
        lambda: target.call("eth_getTransactionReceipt", sent), within_s=20.0, what="the good one is included"
    )


@pytest.fixture(scope="module")
def flooded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A node of its own: its pool stays full."""
    with running_target(tmp_path_factory.mktemp("flooded")) as running:
        yield running


def submit(target: Target, raws: Sequence[bytes]) -> list[str | None]:
    """Send in batches; the text of each refusal."""
    texts: list[str | None] = []
    for begin in range(0, len(raws), BATCH):
        calls = [
            wire.request("eth_sendRawTransaction", [encode_data(raw)], number)
            for number, raw in enumerate(raws[begin : begin + BATCH])
        ]
        answers = wire.post(target.port, "[" + ",".join(calls) + "]").json()
        texts += [answer.get("error", {}).get("message") for answer in answers]
    return texts


def status(target: Target) -> dict[str, int]:
    """How many transactions the pool has."""
    return {name: int(count, 16) for name, count in target.call("txpool_status").items()}


def authorization(number: int) -> rlp.Item:
    """Somebody's consent to run foreign code."""
    return authorization_of(PrivateKey(keccak256(b"authority %d" % number)))


def authorization_of(key: PrivateKey) -> rlp.Item:
    """The consent of this key's account."""
    content: list[rlp.Item] = [rlp.integer(CHAIN_ID), b"\x10" * 20, b""]
    signature = key.sign(keccak256(b"\x05" + rlp.encode(content)))
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    return [*content, rlp.integer(signature[64]), rlp.integer(r), rlp.integer(s)]


def test_row_18_a_flood_of_the_future_is_capped_and_what_can_run_is_kept(
    flooded: Target, record_property: Any
) -> None:
    """What waits for a nonce never costs a place of what does not; a replacement pays a tenth more; delegations are few."""
    cheap = {"fee_wei": 2, "tip_wei": 1}  # Executable, and in no block: below the base fee.
    executable = [signed(rich_key(number), 0, **cheap) for number in range(2, 8)]
    assert submit(flooded, executable) == [None] * len(executable)
    kept = {encode_data(keccak256(raw)) for raw in executable}
    flood = [
        signed(flood_key(sender), 1 + nonce, value_wei=1)
        for nonce in range(FLOOD_EACH)
        for sender in range(SENDERS)
    ]
    with holding(flooded, record=record_property) as bar:
        begun = time.monotonic()
        texts = submit(flooded, flood)
        record_property("10,000 future transactions, s", round(time.monotonic() - begun, 1))
        full = status(flooded)
        assert full == {"pending": len(executable), "queued": QUEUED_MAX}, (full, set(texts))
        assert texts.count(None) == QUEUED_MAX
        assert {text for text in texts if text} <= {"txpool is full", "transaction underpriced"}, set(texts)
        # Better offers change who waits, not how many.
        richer = [
            signed(flood_key(sender), 20, fee_wei=200 * GWEI, tip_wei=2 * GWEI) for sender in range(SENDERS)
        ]
        submit(flooded, richer)
        assert status(flooded) == full

        for percent, text in ((9, "replacement transaction underpriced"), (10, None)):
            raised = {"fee_wei": 200 * (100 + percent), "tip_wei": 100 * (100 + percent)}
            base = {"fee_wei": 20_000, "tip_wei": 10_000}
            key = rich_key(8 if percent == 9 else 9)
            assert submit(flooded, [signed(key, 0, **base)]) == [None]
            assert submit(flooded, [signed(key, 0, value_wei=2, **raised)]) == [text], percent

        content = bar.saw(flooded.call("txpool_content"))
        found = {one["hash"] for by_nonce in content["pending"].values() for one in by_nonce.values()}
        assert kept <= found, "what can run is kept"
        _delegate(flooded)
        content = flooded.call("txpool_content")
        found = {one["hash"] for by_nonce in content["pending"].values() for one in by_nonce.values()}
        assert kept <= found
        # A transaction that pays is in the next blocks, as if nothing were.
        paying = signed(rich_key(0), 0)
        assert submit(flooded, [paying]) == [None]
        wait_until(
            lambda: flooded.call("eth_getTransactionReceipt", encode_data(keccak256(paying))),
            within_s=10.0,
            what="a transaction that pays is included beside the flood",
        )


def _delegate(target: Target) -> None:
    """Transactions with six hundred authorizations each: the costliest to check; who is named in one has a single transaction."""
    named = rich_key(1)
    lists = [
        [authorization(number * DELEGATIONS + index) for index in range(DELEGATIONS)] for number in range(8)
    ]
    lists[0][0] = authorization_of(named)

    def transaction(sender: int, authorizations: rlp.Item) -> bytes:
        gas = 21_000 + 25_000 * DELEGATIONS + 100_000
        content = fields(gas=rlp.integer(gas), fee=rlp.integer(2), tip=rlp.integer(1))
        return b"\x04" + sealed(flood_key(sender), b"\x04", [*content, authorizations])

    begun = time.monotonic()
    texts = submit(
        target, [transaction(sender, authorizations) for sender, authorizations in enumerate(lists)]
    )
    assert time.monotonic() - begun < 5.0 * slowness()
    assert texts == [None] * len(lists)
    cheap = {"fee_wei": 2, "tip_wei": 1}
    # One by one: what comes together is taken in the order of the nonces.
    assert [submit(target, [signed(named, nonce, **cheap)])[0] for nonce in (5, 0, 1)] == [
        "gapped-nonce tx from delegated accounts",
        None,
        "in-flight transaction limit reached for delegated accounts",
    ]
