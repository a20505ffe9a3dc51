//! `trace_`: Traces in Parity's forms.

use super::{Api, Method, heavy};

/// Sorted by name, for the search.
pub(super) static METHODS: &[Method] = &[
    heavy(
        "trace_block",
        "(block: BlockId) -> ParityTrace[] | null",
        "The calls of all transactions of a block.",
        Api::parity_block,
    ),
    heavy(
        "trace_call",
        "(call: Call, types: TraceType[], block?: BlockId | null) -> TraceResults",
        "What a call would do, run on the state after a block.",
        Api::parity_call,
    ),
    heavy(
        "trace_callMany",
        "(calls: TypedCall[], block?: BlockId | null) -> TraceResults[]",
        "What calls would do, each run on what the one before it left.",
        Api::parity_call_many,
    ),
    heavy(
        "trace_filter",
        "(filter: TraceFilter) -> ParityTrace[]",
        "The calls from or to addresses, of at most 100 blocks.",
        Api::parity_filter,
    ),
    heavy(
        "trace_get",
        "(hash: Hash, address: Quantity64[]) -> ParityTrace | null",
        "One call of a transaction, by its place in the tree.",
        Api::parity_get,
    ),
    heavy(
        "trace_rawTransaction",
        "(transaction: Data, types: TraceType[], block?: BlockId | null) -> TraceResults",
        "What a signed transaction would do; it is sent to nobody.",
        Api::parity_raw_transaction,
    ),
    heavy(
        "trace_replayBlockTransactions",
        "(block: BlockId, types: TraceType[]) -> TraceResults[] | null",
        "What each transaction of a block did, with its hash.",
        Api::parity_replay_block_transactions,
    ),
    heavy(
        "trace_replayTransaction",
        "(hash: Hash, types: TraceType[]) -> TraceResults",
        "What a transaction of a block did.",
        Api::parity_replay_transaction,
    ),
    heavy(
        "trace_transaction",
        "(hash: Hash) -> ParityTrace[] | null",
        "The calls of a transaction.",
        Api::parity_transaction,
    ),
];
