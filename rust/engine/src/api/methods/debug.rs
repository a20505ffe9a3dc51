//! `debug_`: What is read for debugging.

use super::{Api, Method, heavy, read};

/// Sorted by name, for the search.
pub(super) static METHODS: &[Method] = &[
    read(
        "debug_getRawBlock",
        "(block: BlockId) -> Data",
        "A block as RLP; `0x` for a number that is not there yet.",
        Api::get_raw_block,
    ),
    read(
        "debug_getRawHeader",
        "(block: BlockId) -> Data",
        "A header as RLP; `0x` for a number that is not there yet.",
        Api::get_raw_header,
    ),
    read(
        "debug_getRawReceipts",
        "(block: BlockId) -> Data[] | null",
        "A block's receipts, each as EIP-2718 bytes; `null` for a number that is not there yet.",
        Api::get_raw_receipts,
    ),
    read(
        "debug_getRawTransaction",
        "(hash: Hash) -> Data",
        "A transaction of a block or of the pool as EIP-2718 bytes; `0x` when it is not known.",
        Api::get_raw_transaction_by_hash,
    ),
    heavy(
        "debug_traceBlockByHash",
        "(hash: Hash, options?: TraceOptions | null) -> TransactionTrace[]",
        "What each transaction of a block did.",
        Api::trace_block_by_hash,
    ),
    heavy(
        "debug_traceBlockByNumber",
        "(block: BlockNumber, options?: TraceOptions | null) -> TransactionTrace[]",
        "What each transaction of a block did.",
        Api::trace_block_by_number,
    ),
    heavy(
        "debug_traceCall",
        "(call: Call, block?: BlockId | null, options?: TraceOptions | null) -> Trace",
        "What a call would do, run on the state after a block or before one of its transactions.",
        Api::trace_call,
    ),
    heavy(
        "debug_traceTransaction",
        "(hash: Hash, options?: TraceOptions | null) -> Trace",
        "What a transaction of a block did.",
        Api::trace_transaction,
    ),
];
