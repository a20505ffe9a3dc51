"""What there is to call, as the running node itself describes it (`rpc_discover`), and what of the chain can be named in a call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st
from tests.acceptance.processes import wait_until
from tests.integration.hostile import wire
from tests.integration.hostile.fuzzing.mutation import mutated
from tests.integration.hostile.fuzzing.schema import Schemas
from tests.integration.hostile.logs import send_logs
from tests.integration.hostile.target import LOGGER, rich_key, signed

from metanode.primitives.hexadecimal import encode_data

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.integration.hostile.fuzzing.schema import Schema
    from tests.integration.hostile.target import Target

LOOPBACK_ENODES: Final = tuple(
    f"enode://{byte * 64}@{host}" for byte in ("ab", "00") for host in ("127.0.0.1:9", "[::1]:9", "127.0.0.1:0", "127.0.0.1")
)  # fmt: skip
"""A fuzzer that made addresses up would call strangers."""
DIALS: Final = ("admin_addPeer",)
"""Methods whose parameters are taken from `LOOPBACK_ENODES` only, and not mutated letter by letter."""
ON_HEAD: Final = ("testing_buildBlockV1",)
"""Methods whose first parameter has to be the newest block to come to anything."""
HEAD: Final = "0x" + "4ead" * 16
"""Stands for the newest block's hash, which is another one each second, until a call is sent."""
TAKES_TRANSACTION: Final = ("eth_sendRawTransaction",)
"""Methods whose parameter is half of the time a transaction that the pool takes. `eth_sendRawTransactionSync` waits a block for each, and draws it among the rest."""
FRESH: Final = "0x02" + "f4e5" * 20
"""Stands, with four digits, for a signed transaction that nobody has sent yet, with the next nonce of its account, until a call is sent. The digits mean
nothing: Hypothesis draws no value twice."""
FUTURE: Final = "0xffffffff"
"""A time after every block of now, and a number that no block has."""
SENT: Final = 8
EVERYTHING: Final = 'namespaces = ["eth", "net", "web3", "rpc", "txpool", "debug", "trace", "ots", "erigon", "ibft", "testing"]'
"""The configuration with which the open port offers all that is not the operator's: by default it has no `testing`, and the private one never has."""


@dataclass(frozen=True)
class Method:
    """One method of the document."""

    name: str
    params: tuple[tuple[Schema, bool], ...]
    """The schema of each, and whether it is required."""
    result: Schema
    is_open: bool = False
    """Whether the open port alone offers it; all others are on the private one."""

    def strategy(self, schemas: Schemas) -> st.SearchStrategy[list[Any]]:
        """Parameters that fit; optional ones are left out from the end."""
        if self.name in DIALS:
            return st.tuples(st.sampled_from(LOOPBACK_ENODES)).map(list)
        required = sum(is_required for _, is_required in self.params)
        values = [schemas.values(schema) for schema, _ in self.params]
        if self.name in ON_HEAD:
            values[0] = st.just(HEAD) | values[0]
        if self.name in TAKES_TRANSACTION:
            values[0] = st.integers(0, 0xFFFF).map(lambda number: f"{FRESH}{number:04x}") | values[0]
        return st.integers(required, len(values)).flatmap(lambda count: st.tuples(*values[:count]).map(list))


@dataclass(frozen=True)
class Surface:
    """All methods of a listener."""

    methods: tuple[Method, ...]
    schemas: Schemas
    known: tuple[str, ...]

    def valid(self, method: Method) -> st.SearchStrategy[Any]:
        """Parameters that fit the schema."""
        return method.strategy(self.schemas)

    def mutated(self, method: Method) -> st.SearchStrategy[Any]:
        """Parameters that almost fit."""
        if method.name in DIALS:
            return st.sampled_from(
                [[], [None], [1], ["enode://"], ["enode://x@127.0.0.1:9"], [LOOPBACK_ENODES[0]] * 2, {}, "x"]
            )
        return mutated(method.strategy(self.schemas), self.known)

    def only(self, names: Sequence[str]) -> Surface:
        """The methods whose name begins with one of these; all without one."""
        kept = tuple(each for each in self.methods if not names or each.name.startswith(tuple(names)))
        return replace(self, methods=kept)


def discover(target: Target) -> Surface:
    """Ask the two listeners, which offer everything together; fill the chain with something to ask about first."""
    known = _populate(target)
    on_private, on_open = (
        read_document(wire.ask(port, "rpc_discover").json()["result"], known)
        for port in (target.private_port, target.port)
    )
    there = {each.name for each in on_private.methods}
    more = (replace(each, is_open=True) for each in on_open.methods if each.name not in there)
    return Surface((*on_private.methods, *more), on_private.schemas | on_open.schemas, on_private.known)


def read_document(document: Mapping[str, Any], known: Sequence[str]) -> Surface:
    """The surface that an OpenRPC document describes."""
    methods = tuple(
        Method(
            name=each["name"],
            params=tuple((param["schema"], bool(param.get("required"))) for param in each["params"]),
            result=each["result"]["schema"],
        )
        for each in document["methods"]
    )
    return Surface(
        methods=methods, schemas=Schemas(document["components"]["schemas"], known), known=tuple(known)
    )


def _populate(target: Target) -> list[str]:
    """Send some transactions and wait for them; the hashes, addresses, numbers and transactions that exist now."""
    key = rich_key(5)
    first = target.nonce(key)
    # Creates a contract that reverts, and one that returns its caller.
    codes = (b"\x60\x00\x60\x00\xfd", b"\x33\x5f\x52\x60\x20\x5f\xf3")
    raws = [
        signed(
            key,
            first,
            to=b"",
            data=b"\x66" + codes[0].rjust(7, b"\x5b") + b"\x5f\x52\x60\x07\x60\x19\xf3",
            gas=200_000,
            value_wei=0,
        )
    ]
    raws += [
        signed(key, first + 1 + number, to=LOGGER, data=(3).to_bytes(32, "big"), gas=60_000, value_wei=0)
        for number in range(SENT)
    ]
    sent = [str(target.call("eth_sendRawTransaction", encode_data(raw))) for raw in raws]
    sent.append(send_logs(target, 5))
    receipts = [
        wait_until(lambda each=each: target.call("eth_getTransactionReceipt", each), within_s=30.0, what="the chain has something to ask about")
        for each in sent
    ]  # fmt: skip
    # Stay in the pool: below the base fee, and behind a gap.
    waiting = [signed(rich_key(6), target.nonce(rich_key(6)), fee_wei=2, tip_wei=1), signed(rich_key(7), 50)]
    pooled = [str(target.call("eth_sendRawTransaction", encode_data(raw))) for raw in waiting]
    fresh = [encode_data(signed(rich_key(8), nonce)) for nonce in range(3)]
    blocks = sorted({str(receipt["blockHash"]) for receipt in receipts})
    numbers = ["0x0", "0x1", *sorted({str(receipt["blockNumber"]) for receipt in receipts})]
    made = [str(receipt["contractAddress"]) for receipt in receipts if receipt["contractAddress"]]
    accounts = [
        LOGGER,
        "0x" + "42" * 20,
        "0x" + "00" * 19 + "01",
        "0x" + "00" * 19 + "08",
        encode_data(key.address),
        *made,
    ]
    filters = [
        str(target.call(method, *params))
        for method, params in (("eth_newFilter", [{}]), ("eth_newBlockFilter", []))
    ]
    topics = ["0x" + "00" * 32, "0x" + "00" * 31 + "01"]
    selector_codes = ["0x", "0x5b5f56", "0x5f5ffd", "0x60016000f3", "0xef0100" + "10" * 20]
    return [
        *sent,
        *pooled,
        *fresh,
        *blocks,
        *numbers,
        *accounts,
        *filters,
        *topics,
        *selector_codes,
        "0xffffff",
        FUTURE,
        HEAD,
        FRESH + "0000",
    ]


def fresh_transaction(target: Target) -> str:
    """A transaction that the pool takes now: a transfer, a call or a new contract by turns."""
    key = rich_key(9)
    nonce = target.nonce(key)
    kinds: tuple[dict[str, Any], ...] = (
        {},
        {"to": LOGGER, "data": (1).to_bytes(32, "big"), "gas": 60_000, "value_wei": 0},
        {"to": b"", "data": b"\x5f\x5f\xf3", "gas": 100_000, "value_wei": 0},
    )
    return encode_data(signed(key, nonce, **kinds[nonce % len(kinds)]))
