//! `ots_`: What the explorer Otterscan asks.

use super::{Api, Method, heavy, read, read_at};

/// Sorted by name, for the search.
pub(super) static METHODS: &[Method] = &[
    read(
        "ots_getApiLevel",
        "() -> Number",
        "The level of Otterscan's interface: 8.",
        Api::ots_api_level,
    ),
    heavy(
        "ots_getBlockDetails",
        "(block: Height) -> BlockDetails | null",
        "A block without its transactions, and what its senders paid.",
        Api::ots_block_details,
    ),
    heavy(
        "ots_getBlockDetailsByHash",
        "(hash: Hash) -> BlockDetails | null",
        "The same by the block's hash.",
        Api::ots_block_details_by_hash,
    ),
    heavy(
        "ots_getBlockTransactions",
        "(block: Height, page: QuantityOrNumber, size: QuantityOrNumber) -> BlockTransactions | null",
        "A page of a block's transactions with receipts; page 0 has the last ones.",
        Api::ots_block_transactions,
    ),
    heavy(
        "ots_getContractCreator",
        "(address: Address) -> ContractCreator | null",
        "Who created a contract, and in which transaction.",
        Api::ots_contract_creator,
    ),
    heavy(
        "ots_getInternalOperations",
        "(hash: Hash) -> InternalOperation[]",
        "Transfers of value inside a transaction, creations and self-destructions.",
        Api::ots_internal_operations,
    ),
    heavy(
        "ots_getTransactionBySenderAndNonce",
        "(sender: Address, nonce: QuantityOrNumber) -> Hash | null",
        "The transaction that used a sender's nonce.",
        Api::ots_transaction_by_sender_and_nonce,
    ),
    heavy(
        "ots_getTransactionError",
        "(hash: Hash) -> Data",
        "What a failed transaction returned; `0x` for one that succeeded.",
        Api::ots_transaction_error,
    ),
    read_at(
        "ots_hasCode",
        "(address: Address, block?: BlockId | null) -> Boolean",
        "Whether an account has code.",
        Api::ots_has_code,
    ),
    heavy(
        "ots_searchTransactionsAfter",
        "(address: Address, block: QuantityOrNumber, size: QuantityOrNumber) -> TransactionPage",
        "Transactions after a block in which an address calls or is called; 0 begins with the first block.",
        Api::ots_search_after,
    ),
    heavy(
        "ots_searchTransactionsBefore",
        "(address: Address, block: QuantityOrNumber, size: QuantityOrNumber) -> TransactionPage",
        "Transactions before a block in which an address calls or is called; 0 begins with the newest block.",
        Api::ots_search_before,
    ),
    heavy(
        "ots_traceTransaction",
        "(hash: Hash) -> CallEntry[]",
        "All calls, creations and self-destructions of a transaction.",
        Api::ots_trace_transaction,
    ),
];
