"""Rows of the index as documents of the API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from metanode.crypto.addresses import format_address
from sdk.testnet.services.api import documents as d
from sdk.testnet.services.store.meanings import TokenKind, Traces

if TYPE_CHECKING:
    from sdk.testnet.services.explorer.pending import Waiting
    from sdk.testnet.services.queries import (
        addresses,
        blocks,
        consensus,
        contracts,
        moves,
        parties,
        statistics,
        tokens,
        transactions,
        validators,
    )

KINDS: Final = {TokenKind.ERC20: "ERC-20", TokenKind.ERC721: "ERC-721", TokenKind.ERC1155: "ERC-1155"}


def hex_of(value: bytes) -> str:
    """Return 0x and lower-case digits."""
    return "0x" + value.hex()


def time_of(timestamp: int) -> str:
    """Return RFC 3339 in UTC."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_of(status: statistics.IndexStatus) -> d.AsOf:
    """Return which state an answer is of."""
    return d.AsOf(block=status.number, indexed_at=time_of(status.indexed_at))


def party(row: parties.Party) -> d.Party:
    """Return an account in another document."""
    return d.Party(address=format_address(row.address), name=row.name, is_contract=row.is_contract)


def waiting(row: Waiting) -> d.WaitingTransaction:
    """Return a transaction of a pool."""
    return d.WaitingTransaction(
        hash=row.hash or None,
        sender=row.sender,
        recipient=row.recipient or None,
        nonce=row.nonce,
        value_wei=str(row.value_wei),
        max_fee_per_gas_wei=str(row.fee_cap_wei),
        method_id=None if row.method_id is None else hex_of(row.method_id),
        is_executable=row.is_executable,
    )


def maybe_party(row: parties.Party | None) -> d.Party | None:
    """The same of nobody."""
    return None if row is None else party(row)


def _maybe_hex(value: bytes | None) -> str | None:
    return None if value is None else hex_of(value)


def _maybe_number(value: int | None) -> str | None:
    return None if value is None else str(value)


def block(row: blocks.BlockRow) -> d.Block:
    """Return a block."""
    return d.Block(
        number=row.number,
        hash=hex_of(row.hash),
        parent_hash=hex_of(row.parent_hash),
        consensus_hash=_maybe_hex(row.consensus_hash),
        timestamp=row.timestamp,
        time=time_of(row.timestamp),
        proposer=maybe_party(row.proposer),
        fee_recipient=party(row.fee_recipient),
        round=row.round,
        proposal_round=row.proposal_round,
        validators_count=row.validators_count,
        seals_count=row.seals_count,
        is_canonical=row.is_canonical,
        gas_used=row.gas_used,
        gas_limit=row.gas_limit,
        base_fee_wei=str(row.base_fee_wei),
        fees_wei=str(row.fees_wei),
        burnt_wei=str(row.burnt_wei),
        transaction_count=row.transaction_count,
        failed_count=row.failed_count,
        log_count=row.log_count,
        transfer_count=row.transfer_count,
        internal_count=row.internal_count,
        size_bytes=row.size_bytes,
        has_traces=row.traces is not Traces.UNAVAILABLE,
        extra_data=hex_of(row.extra_data),
        state_root=hex_of(row.state_root),
        seals_invalid=row.seals_invalid,
        withdrawal_count=row.withdrawal_count,
        logs_missing=row.logs_missing,
    )


def seal(row: consensus.SealRow) -> d.Seal:
    """Return a commit seal."""
    return d.Seal(validator=party(row.validator), signature=hex_of(row.signature), is_valid=row.is_valid)


def skip(row: consensus.SkipRow) -> d.Skip:
    """Return a round that did not decide."""
    return d.Skip(number=row.number, round=row.round, validator=party(row.validator))


def vote(row: consensus.VoteRow) -> d.Vote:
    """Return a vote."""
    return d.Vote(number=row.number, voter=party(row.voter), subject=party(row.subject), add=row.add)


def set_change(row: consensus.SetChangeRow) -> d.SetChange:
    """Return a change of the set."""
    return d.SetChange(number=row.number, validator=party(row.validator), added=row.added)


def transaction(row: transactions.TransactionRow, data: bytes | None = None) -> d.Transaction:
    """Return a transaction, with its input where it is given."""
    return d.Transaction(
        hash=hex_of(row.hash),
        block=row.number,
        index=row.index,
        timestamp=row.timestamp,
        time=time_of(row.timestamp),
        sender=party(row.sender),
        recipient=maybe_party(row.recipient),
        created=maybe_party(row.created),
        nonce=row.nonce,
        value_wei=str(row.value_wei),
        method_id=_maybe_hex(row.method_id),
        type=row.type,
        succeeded=row.succeeded,
        gas_limit=row.gas_limit,
        gas_used=row.gas_used,
        gas_price_wei=str(row.gas_price_wei),
        fee_wei=str(row.fee_wei),
        log_count=row.log_count,
        transfer_count=row.transfer_count,
        internal_count=row.internal_count,
        revert=_maybe_hex(row.revert),
        direction=None if row.direction is None else row.direction.name.lower(),
        input=_maybe_hex(data),
    )


def log(row: moves.LogRow) -> d.Log:
    """Return an event."""
    return d.Log(
        block=row.number,
        log_index=row.log_index,
        transaction_index=row.transaction_index,
        transaction_hash=hex_of(row.transaction_hash),
        timestamp=row.timestamp,
        contract=party(row.contract),
        topics=[hex_of(topic) for topic in row.topics],
        data=hex_of(row.data),
    )


def token_ref(row: moves.TokenRef) -> d.TokenRef:
    """Return a token in another document."""
    return d.TokenRef(
        contract=party(row.contract),
        kind=KINDS[row.kind],
        name=row.name,
        symbol=row.symbol,
        decimals=row.decimals,
    )


def transfer(row: moves.TransferRow) -> d.Transfer:
    """Return a move of tokens."""
    return d.Transfer(
        block=row.number,
        log_index=row.log_index,
        sub_index=row.sub_index,
        transaction_hash=hex_of(row.transaction_hash),
        timestamp=row.timestamp,
        token=token_ref(row.token),
        sender=party(row.sender),
        recipient=party(row.recipient),
        amount=str(row.amount),
        token_id=_maybe_number(row.token_number),
        direction=None if row.direction is None else row.direction.name.lower(),
    )


def internal_call(row: moves.InternalRow) -> d.InternalCall:
    """Return a call inside a transaction."""
    return d.InternalCall(
        block=row.number,
        transaction_hash=hex_of(row.transaction_hash),
        timestamp=row.timestamp,
        trace_path=row.trace_path,
        kind=row.kind.name.lower(),
        sender=party(row.sender),
        recipient=maybe_party(row.recipient),
        value_wei=str(row.value_wei),
        error=row.error,
        direction=None if row.direction is None else row.direction.name.lower(),
    )


def address(
    raw: bytes, row: addresses.AddressRow | None, balance_wei: int | None, nonce: int | None
) -> d.Address:
    """Return an account, known to the index or not."""
    return d.Address(
        address=format_address(raw),
        name=row.name if row else None,
        is_contract=row.is_contract if row else False,
        balance_wei=_maybe_number(balance_wei),
        nonce=nonce,
        creator=maybe_party(row.creator) if row else None,
        creation_transaction=_maybe_hex(row.creation_transaction) if row else None,
        first_block=row.first_block if row else None,
        last_block=row.last_block if row else None,
        transaction_count=row.transaction_count if row else 0,
        transfer_count=row.transfer_count if row else 0,
        internal_count=row.internal_count if row else 0,
        log_count=row.log_count if row else 0,
        proposed_count=row.proposed_count if row else 0,
        token_count=row.token_count if row else 0,
    )


def holding(row: addresses.HoldingRow) -> d.Holding:
    """Return tokens that an account has."""
    return d.Holding(
        token=token_ref(row.token),
        token_id=_maybe_number(row.token_number),
        amount=str(row.amount),
        is_consistent=row.is_consistent,
    )


def token(row: tokens.TokenRow) -> d.Token:
    """Return a token."""
    return d.Token(
        contract=party(row.contract),
        kind=KINDS[row.kind],
        name=row.name,
        symbol=row.symbol,
        decimals=row.decimals,
        transfer_count=row.transfer_count,
        holder_count=row.holder_count,
        supply=str(row.supply),
        is_consistent=row.is_consistent,
        first_block=row.first_block,
    )


def holder(row: tokens.HolderRow) -> d.Holder:
    """Return who holds a token."""
    return d.Holder(
        account=party(row.account), token_id=_maybe_number(row.token_number), amount=str(row.amount)
    )


def contract(row: contracts.ContractRow) -> d.Contract:
    """Return a contract."""
    return d.Contract(
        contract=party(row.contract),
        code_hash=_maybe_hex(row.code_hash),
        code_size_bytes=row.code_size_bytes,
        created_at=row.created_at,
        match=row.match,
        verified_name=row.verified_name,
        compiler_version=row.compiler_version,
        language=row.language,
    )


def validator(row: validators.ValidatorRow) -> d.Validator:
    """Return a validator."""
    return d.Validator(
        account=party(row.account),
        is_member=row.is_member,
        since_number=row.since_number,
        last_active=row.last_active,
        proposed_count=row.proposed_count,
        sealed_count=row.sealed_count,
        seal_share=row.seal_share,
        missed_turns=row.missed_turns,
        vote_count=row.vote_count,
        last_proposed=row.last_proposed,
        last_sealed=row.last_sealed,
        last_missed=row.last_missed,
    )


def point(row: statistics.StatisticsRow) -> d.Point:
    """Return sums of an hour or a day."""
    return d.Point(
        start=row.start,
        time=time_of(row.start),
        block_count=row.block_count,
        transaction_count=row.transaction_count,
        failed_count=row.failed_count,
        transfer_count=row.transfer_count,
        contract_count=row.contract_count,
        new_account_count=row.new_account_count,
        active_account_count=row.active_account_count,
        gas_used=row.gas_used,
        gas_limit=row.gas_limit,
        fees_wei=str(row.fees_wei),
        base_fee_mean_wei=str(row.base_fee_mean_wei),
        block_time_s=row.block_time_s,
        late_blocks=row.late_blocks,
    )
