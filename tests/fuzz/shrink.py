"""Make a scenario that shows a difference smaller: fewer blocks, transactions and accounts, shorter code and data, plainer fields.

Each step tries a smaller scenario and keeps it when the same difference shows; a whole pass without progress ends it.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from tests.fuzz.assembly import JUMPDEST, instructions
from tests.fuzz.scenario import Account, Block, Scenario
from tests.fuzz.transactions import Damage, Transaction

Item = TypeVar("Item")
ATTEMPTS_MAX: Final = 1_500
"""Plays of a smaller scenario: some ten milliseconds each, more where a pairing is in it."""


def shrink(
    scenario: Scenario, shows: Callable[[Scenario], bool], *, attempts_max: int = ATTEMPTS_MAX
) -> Scenario:
    """Return a smaller scenario for which `shows` still holds; the same one when none of what is tried does."""
    attempts = start = 0
    while True:
        for index, smaller in enumerate(_smaller(scenario)):
            if index < start:
                continue  # much like what was tried on the scenario before this one
            if attempts >= attempts_max:
                return scenario
            attempts += 1
            if shows(smaller):
                scenario, start = smaller, index
                break
        else:
            if start == 0:
                return scenario
            start = 0


def size(scenario: Scenario) -> int:
    """How much there is of a scenario: what shrinking brings down."""
    transactions = [transaction for block in scenario.blocks for transaction in block.transactions]
    code = sum(len(account.code) + len(account.storage) for account in scenario.accounts)
    lists = sum(len(t.data) + len(t.access_list) + len(t.authorizations) for t in transactions)
    return code + lists + 100 * len(transactions) + 10 * len(scenario.accounts) + 100 * len(scenario.blocks)


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    change = dataclasses.replace
    for blocks in _without(scenario.blocks):
        if blocks:
            yield change(scenario, blocks=blocks)
    for index, block in enumerate(scenario.blocks):
        for smaller in _smaller_blocks(block):
            yield change(scenario, blocks=_with(scenario.blocks, index, smaller))
    for accounts in _without(scenario.accounts):
        yield change(scenario, accounts=accounts)
    for index, account in enumerate(scenario.accounts):
        for simpler in _smaller_accounts(account):
            yield change(scenario, accounts=_with(scenario.accounts, index, simpler))


def _smaller_blocks(block: Block) -> Iterator[Block]:
    change = dataclasses.replace
    for transactions in _without(block.transactions):
        yield change(block, transactions=transactions)
    for index, transaction in enumerate(block.transactions):
        for simpler in _smaller_transactions(transaction):
            yield change(block, transactions=_with(block.transactions, index, simpler))
    for withdrawals in _without(block.withdrawals):
        yield change(block, withdrawals=withdrawals)
    if block.extra_data:
        yield change(block, extra_data=b"")


def _smaller_transactions(transaction: Transaction) -> Iterator[Transaction]:
    change = dataclasses.replace
    for access_list in _without(transaction.access_list):
        yield change(transaction, access_list=access_list)
    for authorizations in _without(transaction.authorizations):
        yield change(transaction, authorizations=authorizations)
    for index, authorization in enumerate(transaction.authorizations):
        if authorization.damage is not Damage.NONE:
            simpler = change(authorization, damage=Damage.NONE)
            yield change(transaction, authorizations=_with(transaction.authorizations, index, simpler))
    if transaction.value:
        yield change(transaction, value=0)
    if transaction.tip:
        yield change(transaction, tip=0)
    for data in _shorter_code(transaction.data) if transaction.to is None else _shorter(transaction.data):
        yield change(transaction, data=data)


def _smaller_accounts(account: Account) -> Iterator[Account]:
    change = dataclasses.replace
    for storage in _without(account.storage):
        yield change(account, storage=storage)
    for code in _shorter_code(account.code):
        yield change(account, code=code)
    if account.nonce > 1:
        yield change(account, nonce=1)
    if account.balance > 1:
        yield change(account, balance=1)


def _shorter(data: bytes) -> Iterator[bytes]:
    if data:
        yield b""
        yield data[: len(data) // 2]
        if any(data):
            yield bytes(len(data))


def _shorter_code(code: bytes) -> Iterator[bytes]:
    """Without a run of instructions, or with landing places in its stead so that jumps beyond it still arrive."""
    if not code:
        return
    yield b""
    parts = instructions(code)
    length = len(parts) // 2
    while length:
        for start in range(0, len(parts), length):
            gap = parts[start : start + length]
            before, after = b"".join(parts[:start]), b"".join(parts[start + length :])
            yield before + after
            filler = bytes([JUMPDEST]) * sum(map(len, gap))
            if filler != b"".join(gap):
                yield before + filler + after
        length //= 2


def _without(items: Sequence[Item]) -> Iterator[tuple[Item, ...]]:
    """All but a run of items: first without any, then without halves, then without one."""
    length = len(items)
    while length:
        for start in range(0, len(items), length):
            yield (*items[:start], *items[start + length :])
        length //= 2


def _with(items: Sequence[Item], index: int, item: Item) -> tuple[Item, ...]:
    return (*items[:index], item, *items[index + 1 :])
