"""Looks at contracts beside the index: what tokens call themselves, and which code was created. It never holds a block up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidInput, Unavailable
from metanode.primitives.hexadecimal import decode_data, encode_data
from metanode.rpc.errors import JSONRPCError, NodeFault
from sdk.testnet.services.indexer import writing
from sdk.testnet.services.indexer.names import decimals_of_answer, text_of_answer
from sdk.testnet.services.store.meanings import TokenKind, search_key
from sdk.testnet.services.store.tables import accounts, contracts, tokens

if TYPE_CHECKING:
    from sdk.testnet.services.indexer.node import ChainNode
    from sdk.testnet.services.own_thread import OwnThread
    from sdk.testnet.services.store import Store

AT_ONCE: Final = 20
"""Contracts looked at between two looks at the database: a hostile one takes its 200 ms."""
CALL_S: Final = 0.2
"""A name is in storage, and read in well under a millisecond."""
CALL_GAS: Final = hex(500_000)
_NAME, _SYMBOL, _DECIMALS = (
    encode_data(keccak256(signature)[:4]) for signature in (b"name()", b"symbol()", b"decimals()")
)

Names = tuple[str | None, str | None, int | None]


async def probe(node: ChainNode, store: Store, thread: OwnThread) -> tuple[int, bool]:
    """Look at contracts that nobody has looked at; returns how many there were, and whether all answered in time.

    Raises:
        Unavailable: when node or database do not answer.
    """
    waiting = await thread.call(_waiting_tokens, store)
    found: list[tuple[int, Names | None]] = []
    for account_id, address, kind in waiting:
        found.append((account_id, await _ask_names(node, address, kind)))
    if found:
        await thread.call(_write_names, store, found)
    created = await thread.call(_waiting_contracts, store)
    if created:
        codes = await node.call(
            *(("eth_getCode", (encode_data(address), "latest")) for _, address in created)
        )
        rows: list[tuple[int, bytes, int]] = []
        for (account_id, _), answer in zip(created, codes, strict=True):
            if not isinstance(answer, str):
                raise Unavailable("the node does not tell the code of a contract")
            code = decode_data(answer)
            rows.append((account_id, keccak256(code), len(code)))
        await thread.call(_write_codes, store, rows)
    return len(waiting) + len(created), all(names is not None for _, names in found)


async def _ask_names(node: ChainNode, address: bytes, kind: int) -> Names | None:
    """What a contract says; None when it did not in time."""
    wanted = (_NAME, _SYMBOL, _DECIMALS) if kind == TokenKind.ERC20 else (_NAME, _SYMBOL)
    calls = [
        ("eth_call", ({"to": encode_data(address), "data": data, "gas": CALL_GAS}, "latest"))
        for data in wanted
    ]
    try:
        async with asyncio.timeout(CALL_S):
            answers = await node.call(*calls)
    except (TimeoutError, NodeFault, JSONRPCError):
        # Who refuses all three at once says nothing of the contract.
        return None
    raw = [_bytes(answer) for answer in answers]
    decimals = decimals_of_answer(raw[2]) if len(raw) > 2 else None
    return text_of_answer(raw[0]), text_of_answer(raw[1]), decimals


def _bytes(answer: Any) -> bytes:
    """An answer's bytes; none of a refusal."""
    try:
        return decode_data(answer) if isinstance(answer, str) else b""
    except InvalidInput:
        return b""


def _waiting_tokens(store: Store) -> list[tuple[int, bytes, int]]:
    with store.look() as connection:
        rows = connection.execute(
            select(tokens.c.account_id, accounts.c.address, tokens.c.kind)
            .join(accounts, accounts.c.id == tokens.c.account_id)
            .where(tokens.c.probes_left > 0)
            # Who did not answer waits behind all others.
            .order_by(tokens.c.probes_left.desc(), tokens.c.account_id)
            .limit(AT_ONCE)
        )
        return [(row[0], bytes(row[1]), row[2]) for row in rows]


def _waiting_contracts(store: Store) -> list[tuple[int, bytes]]:
    with store.look() as connection:
        rows = connection.execute(
            select(contracts.c.account_id, accounts.c.address)
            .join(accounts, accounts.c.id == contracts.c.account_id)
            .where(contracts.c.code_hash.is_(None))
            .limit(AT_ONCE)
        )
        return [(row[0], bytes(row[1])) for row in rows]


def _write_names(store: Store, found: list[tuple[int, Names | None]]) -> None:
    with store.change() as connection:
        writing.update(
            connection,
            tokens,
            (
                "name = {}",
                "symbol = {}",
                "decimals = {}",
                "probes_left = {}",
                "name_key = {}",
                "symbol_key = {}",
            ),
            ("name", "symbol", "decimals", "probes_left", "name_key", "symbol_key"),
            [
                (account_id, *names, 0, search_key(names[0]), search_key(names[1]))
                for account_id, names in found
                if names is not None
            ],
        )
        writing.update(
            connection,
            tokens,
            ("probes_left = tokens.probes_left - {}",),
            ("probes_left",),
            [(account_id, 1) for account_id, names in found if names is None],
        )


def _write_codes(store: Store, rows: list[tuple[int, bytes, int]]) -> None:
    with store.change() as connection:
        writing.update(
            connection, contracts, ("code_hash = {}", "code_size = {}"), ("code_hash", "code_size"), rows
        )
