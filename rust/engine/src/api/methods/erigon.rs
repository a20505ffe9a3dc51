//! `erigon_`: What Otterscan asks beside its own methods.

use super::{Api, Method, read};

/// Sorted by name, for the search.
pub(super) static METHODS: &[Method] = &[read(
    "erigon_getHeaderByNumber",
    "(block: Height) -> Header | null",
    "A block's header, for Otterscan.",
    Api::erigon_header_by_number,
)];
