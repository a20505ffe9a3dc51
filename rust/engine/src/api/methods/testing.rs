//! `testing_`: for tests of other software; served only where a configuration names the namespace.

use super::{Api, Method, heavy};

/// Sorted by name, for the search.
pub(super) static METHODS: &[Method] = &[heavy(
    "testing_buildBlockV1",
    "(parent: Hash, attributes: PayloadAttributes, transactions?: Data[] | null, extraData?: Data | null) -> BuiltPayload",
    "A block as this node would build it, of exactly these transactions or, without them, of the pool's best; it is not kept.",
    Api::build_block,
)];
