//! Strict RLP, roots of small tries, keccak256: pure functions of bytes.
//!
//! The Python side hashes, encodes and decodes in every layer and for every message; this is the one implementation of it. Nothing
//! here knows Python, the engine or a clock.

pub mod rlp;
pub mod trie;

/// The hash of everything on the chain: the Keccak before FIPS 202.
pub fn keccak256(data: &[u8]) -> [u8; 32] {
    alloy_primitives::keccak256(data).0
}

/// The text of this crate: what identifies its behaviour to those who keep results of it.
pub const SOURCES: [&str; 3] = [
    include_str!("lib.rs"),
    include_str!("rlp.rs"),
    include_str!("trie.rs"),
];
