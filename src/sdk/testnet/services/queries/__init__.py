"""What pages and interfaces read of the index: plain functions over a connection, which return frozen dataclasses.

    with store.look() as connection:              # one state for all that a page shows; blocks: on a thread
        head = blocks.latest_block(connection)
        page = transactions.list_transactions(connection, Slice(cursor=cursor, limit=25))
    page.items, page.next_cursor

| file | functions | rows |
|---|---|---|
| `blocks` | `latest_block`, `get_block`, `find_block`, `list_blocks`, `recent_blocks`, `block_at`, `block_withdrawals`, `account_withdrawals`, `rewards_in` | `BlockRow`, `WithdrawalRow` |
| `consensus` | `block_consensus`, `seals_of`, `skips_of`, `set_changes_of`, `list_skips`, `list_votes`, `list_set_changes`, `members_of`, `current_members` | `BlockConsensus`, `SealRow`, `SkipRow`, `VoteRow`, `SetChangeRow` |
| `transactions` | `list_transactions`, `block_transactions`, `get_transaction`, `hashes_of_sender`, `transaction_input`, `transaction_logs`, `transaction_transfers`, `transaction_internal_calls` and each with `_page`, `account_transactions_page` | `TransactionRow` |
| `moves` | | `LogRow`, `TransferRow`, `InternalRow`, `TokenRef` |
| `addresses` | `get_address`, `account_transfers_page`, `account_internal_calls_page`, `account_logs`, `account_blocks`, `account_tokens` | `AddressRow`, `HoldingRow` |
| `tokens` | `list_tokens`, `get_token`, `token_transfers`, `token_holders`, `instance_holders`, `token_instances` | `TokenRow`, `HolderRow` |
| `contracts` | `get_contract`, `list_contracts`, `verified_twin`, `find_signatures` | `ContractRow`, `SignatureRow` |
| `validators` | `list_validators`, `get_validator`, `performance` | `ValidatorRow`, `Performance` |
| `search` | `search` | `SearchResult` |
| `statistics` | `index_status`, `totals`, `series`, `activity` (unique and daily active addresses, transactions a day) | `IndexStatus`, `Totals`, `StatisticsRow`, `Activity`, `ActivityDay` |
| `parties` | | `Party`: an account in somebody's row, with `address`, `is_contract`, `name` |
| `paging` | `Slice(cursor, limit, newest_first, skip)` | `Page` |

Addresses and hashes are bytes, amounts integers in the smallest unit, times seconds since 1970. A wrong cursor is InvalidInput; a database that
does not answer is StorageFailed, from `look()`. Nothing here counts rows or skips them, but for `Slice.skip`, which interfaces without cursors need.
"""

from sdk.testnet.services.queries.paging import FIRST, Page, Slice

__all__ = ["FIRST", "Page", "Slice"]
