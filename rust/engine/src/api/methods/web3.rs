//! `web3_`: The client itself.

use super::{Api, Method, read};

/// Sorted by name, for the search.
pub(super) static METHODS: &[Method] = &[
    read(
        "web3_clientVersion",
        "() -> Text",
        "Name, version, system and language of the node.",
        Api::client_version,
    ),
    read(
        "web3_sha3",
        "(data: Data) -> Hash",
        "keccak256 of the data.",
        Api::sha3,
    ),
];
