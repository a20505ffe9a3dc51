//! `txpool_`: The pool.

use super::{Api, Method, heavy, read};

/// Sorted by name, for the search.
pub(super) static METHODS: &[Method] = &[
    heavy(
        "txpool_content",
        "() -> PoolContent",
        "All transactions of the pool.",
        Api::txpool_content,
    ),
    read(
        "txpool_contentFrom",
        "(address: Address) -> PoolContentFrom",
        "One account's transactions in the pool.",
        Api::txpool_content_from,
    ),
    heavy(
        "txpool_inspect",
        "() -> PoolSummary",
        "All transactions of the pool, a line of text each.",
        Api::txpool_inspect,
    ),
    read(
        "txpool_status",
        "() -> PoolStatus",
        "How many transactions the pool holds.",
        Api::txpool_status,
    ),
];
