//! `erigon_`: What Otterscan asks beside its own methods.

use super::{Api, Method, read_at};

/// Sorted by name, for the search.
pub(super) static METHODS: &[Method] = &[read_at(
    "erigon_getHeaderByNumber",
    "(block: Height) -> Header | null",
    "A block's header, for Otterscan.",
    Api::erigon_header_by_number,
)];
