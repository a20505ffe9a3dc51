"""Accounts, tokens and contracts."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from metanode.errors import InvalidInput, MetanodeError, Unavailable
from metanode.rpc.errors import JSONRPCError
from sdk.testnet.services.api import answers, parts
from sdk.testnet.services.api import documents as d
from sdk.testnet.services.api.parts import Given, Listed, first_of, found, read_address
from sdk.testnet.services.queries import addresses, contracts, tokens, transactions
from sdk.testnet.services.store.meanings import TokenKind
from sdk.testnet.services.told import told_quantity

router = APIRouter(responses=parts.PROBLEMS)

AddressText = Annotated[
    str, Path(max_length=60, description="0x and 40 digits; mixed case has to be the EIP-55 checksum.")
]
KindText = Annotated[str | None, Query(max_length=10, description="erc20, erc721 or erc1155.")]
Block = Annotated[int | None, Query(ge=0, le=2**63 - 1)]
_KINDS = {"erc20": TokenKind.ERC20, "erc721": TokenKind.ERC721, "erc1155": TokenKind.ERC1155}


def _kinds(text: str | None) -> tuple[TokenKind, ...]:
    chosen = first_of(tuple(_KINDS), text, "kind")
    return tuple(TokenKind) if chosen is None else (_KINDS[chosen],)


@router.get("/addresses/{address}", tags=["addresses"])
async def get_address(api: Given, address: AddressText) -> d.Address:
    """An account; its balance and nonce are the node's of now. One that no block has named is an account too."""
    raw = read_address(address)

    def look() -> addresses.AddressRow | None:
        with api.store.look() as connection:
            return addresses.get_address(connection, raw)

    row = await asyncio.to_thread(look)
    balance = nonce = None
    try:
        balance = told_quantity(await api.node.call("eth_getBalance", answers.hex_of(raw), "latest"))
        nonce = told_quantity(await api.node.call("eth_getTransactionCount", answers.hex_of(raw), "latest"))
    except (Unavailable, JSONRPCError):
        pass
    return answers.address(raw, row, balance, nonce)


@router.get("/addresses/{address}/transactions", tags=["addresses"])
def address_transactions(
    api: Given, listed: Listed, address: AddressText, from_block: Block = None, to_block: Block = None
) -> d.ListOf[d.Transaction]:
    """What an account sent, was sent, or was created by."""
    raw = read_address(address)
    with api.store.look() as connection:
        page = transactions.account_transactions_page(
            connection, raw, listed.which, first_block=from_block, last_block=to_block
        )
        row = addresses.get_address(connection, raw) if listed.with_total else None
        total = row.transaction_count if row and from_block is to_block is None else None
        return d.ListOf[d.Transaction](**listed.answer(connection, page, answers.transaction, total))


@router.get("/addresses/{address}/transfers", tags=["addresses"])
def address_transfers(
    api: Given,
    listed: Listed,
    address: AddressText,
    kind: KindText = None,
    token: Annotated[str | None, Query(max_length=60, description="Of this contract only.")] = None,
) -> d.ListOf[d.Transfer]:
    """Tokens that an account got and gave."""
    raw, contract = read_address(address), None if token is None else read_address(token)
    with api.store.look() as connection:
        page = addresses.account_transfers_page(
            connection, raw, listed.which, kinds=_kinds(kind), token=contract
        )
        row = addresses.get_address(connection, raw) if listed.with_total else None
        total = row.transfer_count if row and kind is token is None else None
        return d.ListOf[d.Transfer](**listed.answer(connection, page, answers.transfer, total))


@router.get("/addresses/{address}/internal", tags=["addresses"])
def address_internal(api: Given, listed: Listed, address: AddressText) -> d.ListOf[d.InternalCall]:
    """Value that an account got and gave inside transactions."""
    with api.store.look() as connection:
        page = addresses.account_internal_calls_page(connection, read_address(address), listed.which)
        return d.ListOf[d.InternalCall](**listed.answer(connection, page, answers.internal_call))


@router.get("/addresses/{address}/logs", tags=["addresses"])
def address_logs(api: Given, listed: Listed, address: AddressText) -> d.ListOf[d.Log]:
    """Events that a contract emitted."""
    with api.store.look() as connection:
        page = addresses.account_logs(connection, read_address(address), listed.which)
        return d.ListOf[d.Log](**listed.answer(connection, page, answers.log))


@router.get("/addresses/{address}/tokens", tags=["addresses"])
def address_tokens(
    api: Given, listed: Listed, address: AddressText, kind: KindText = None
) -> d.ListOf[d.Holding]:
    """Tokens that an account has."""
    with api.store.look() as connection:
        page = addresses.account_tokens(connection, read_address(address), listed.which, kinds=_kinds(kind))
        return d.ListOf[d.Holding](**listed.answer(connection, page, answers.holding))


@router.get("/addresses/{address}/nfts", tags=["addresses"])
def address_nfts(api: Given, listed: Listed, address: AddressText) -> d.ListOf[d.Holding]:
    """ERC-721 and ERC-1155 tokens that an account has."""
    kinds = (TokenKind.ERC721, TokenKind.ERC1155)
    with api.store.look() as connection:
        page = addresses.account_tokens(connection, read_address(address), listed.which, kinds=kinds)
        return d.ListOf[d.Holding](**listed.answer(connection, page, answers.holding))


@router.get("/addresses/{address}/balance-history", tags=["addresses"])
async def balance_history(
    api: Given,
    address: AddressText,
    limit: Annotated[int, Query(ge=1, le=100, description="Blocks of a page.")] = 25,
    before: Annotated[
        int | None, Query(ge=0, le=2**63 - 1, description="`next` of the page before: only blocks below.")
    ] = None,
) -> d.BalanceHistory:
    """Balances after the blocks in which coins of an account may have moved, newest first, as a node tells them."""
    raw = read_address(address)

    def look() -> tuple[tuple[tuple[int, int], ...], d.AsOf]:
        with api.store.look() as connection:
            found = addresses.account_blocks(connection, raw, limit + 1, before=before)
            return found, answers.as_of(parts.known_status(connection))

    places, as_of = await asyncio.to_thread(look)
    places, is_more = places[:limit], len(places) > limit
    balances = (
        await api.node.batch([("eth_getBalance", (answers.hex_of(raw), hex(number))) for number, _ in places])
        if places
        else []
    )
    return d.BalanceHistory(
        items=[
            d.BalancePoint(
                block=number,
                timestamp=timestamp,
                # A refusal is of a state that the node keeps no more.
                balance_wei=None if isinstance(balance, MetanodeError) else str(told_quantity(balance)),
            )
            for (number, timestamp), balance in zip(places, balances, strict=True)
        ],
        next=places[-1][0] if is_more else None,
        as_of=as_of,
    )


@router.get("/tokens", tags=["tokens"])
def list_tokens(api: Given, listed: Listed, kind: KindText = None) -> d.ListOf[d.Token]:
    """Tokens, those with most transfers first."""
    chosen = first_of(tuple(_KINDS), kind, "kind")
    with api.store.look() as connection:
        page = tokens.list_tokens(connection, listed.which, kind=_KINDS[chosen] if chosen else None)
        return d.ListOf[d.Token](**listed.answer(connection, page, answers.token))


@router.get("/tokens/{address}", tags=["tokens"])
def get_token(api: Given, address: AddressText) -> d.Token:
    """One token."""
    with api.store.look() as connection:
        row = tokens.get_token(connection, read_address(address))
        return answers.token(found(row, f"token {address}"))


@router.get("/tokens/{address}/transfers", tags=["tokens"])
def token_transfers(api: Given, listed: Listed, address: AddressText) -> d.ListOf[d.Transfer]:
    """A token's moves."""
    with api.store.look() as connection:
        raw = read_address(address)
        row = found(tokens.get_token(connection, raw), f"token {address}")
        page = tokens.token_transfers(connection, raw, listed.which)
        return d.ListOf[d.Transfer](**listed.answer(connection, page, answers.transfer, row.transfer_count))


@router.get("/tokens/{address}/holders", tags=["tokens"])
def token_holders(api: Given, listed: Listed, address: AddressText) -> d.ListOf[d.Holder]:
    """Who holds a token, those with most first."""
    with api.store.look() as connection:
        raw = read_address(address)
        row = found(tokens.get_token(connection, raw), f"token {address}")
        page = tokens.token_holders(connection, raw, listed.which)
        return d.ListOf[d.Holder](**listed.answer(connection, page, answers.holder, row.holder_count))


@router.get("/tokens/{address}/instances/{token_id}", tags=["tokens"])
def token_instance(
    api: Given, listed: Listed, address: AddressText, token_id: Annotated[str, Path(max_length=78)]
) -> d.ListOf[d.Holder]:
    """Who holds one number of an ERC-721 or ERC-1155."""
    if not (token_id.isascii() and token_id.isdecimal()):
        raise InvalidInput(f"token_id: expected a number in decimal, found {token_id[:80]!r}")
    with api.store.look() as connection:
        raw = read_address(address)
        found(tokens.get_token(connection, raw), f"token {address}")
        page = tokens.instance_holders(connection, raw, int(token_id), listed.which)
        return d.ListOf[d.Holder](**listed.answer(connection, page, answers.holder))


@router.get("/contracts", tags=["contracts"])
def list_contracts(
    api: Given, listed: Listed, verified: Annotated[bool, Query(description="Verified ones only.")] = False
) -> d.ListOf[d.Contract]:
    """Contracts, newest first."""
    with api.store.look() as connection:
        page = contracts.list_contracts(connection, listed.which, verified_only=verified)
        return d.ListOf[d.Contract](**listed.answer(connection, page, answers.contract))


@router.get("/contracts/{address}", tags=["contracts"])
def get_contract(api: Given, address: AddressText) -> d.Contract:
    """One contract."""
    with api.store.look() as connection:
        row = contracts.get_contract(connection, read_address(address))
        return answers.contract(found(row, f"contract {address}"))


@router.get("/contracts/{address}/abi", tags=["contracts"])
def contract_abi(api: Given, address: AddressText) -> list[dict[str, Any]]:
    """The ABI of a verified contract."""
    with api.store.look() as connection:
        row = found(contracts.get_contract(connection, read_address(address)), f"contract {address}")
    abi: list[dict[str, Any]] = json.loads(found(row.abi, f"verified source of {address}"))
    return abi
