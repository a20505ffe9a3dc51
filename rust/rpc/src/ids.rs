//! Identifiers of subscriptions and filters: hexadecimal, and not to be guessed by other callers.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use alloy_primitives::{hex, keccak256};

/// Gives identifiers that never repeat within a process.
#[derive(Debug)]
pub(crate) struct Identifiers {
    secret: [u8; 32],
    given: AtomicU64,
}

impl Identifiers {
    /// A fresh secret, drawn from the operating system's randomness that seeds `RandomState`.
    pub(crate) fn new() -> Self {
        let mut secret = [0; 32];
        for (index, chunk) in secret.chunks_exact_mut(8).enumerate() {
            chunk.copy_from_slice(&RandomState::new().hash_one(index).to_be_bytes());
        }
        Self {
            secret,
            given: AtomicU64::new(0),
        }
    }

    /// 128 bits in the form geth gives: no leading zeros.
    pub(crate) fn next(&self) -> String {
        let number = self.given.fetch_add(1, Relaxed).to_be_bytes();
        let digest = keccak256([&self.secret[..], &number].concat());
        let text = hex::encode(&digest[..16]);
        format!("0x{}", text.trim_start_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_hexadecimal_and_differ() {
        let (one, other) = (Identifiers::new(), Identifiers::new());
        let ids = [one.next(), one.next(), other.next()];
        assert!(
            ids.iter()
                .all(|id| u128::from_str_radix(&id[2..], 16).is_ok()),
            "{ids:?}"
        );
        assert!(ids[0] != ids[1] && ids[0] != ids[2]);
    }
}
