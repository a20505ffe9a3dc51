//! The account record: nonce, balance and code hash. The storage root lives in the trie, next to what it is the root of.

use alloy_primitives::{B256, KECCAK256_EMPTY, U256};
use revm::state::AccountInfo;

use crate::{EngineError, Result};

const HAS_CODE: u8 = 1;

/// An account without its storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountRecord {
    pub nonce: u64,
    pub balance: U256,
    pub code_hash: B256,
}

impl Default for AccountRecord {
    fn default() -> Self {
        Self {
            nonce: 0,
            balance: U256::ZERO,
            code_hash: KECCAK256_EMPTY,
        }
    }
}

impl AccountRecord {
    /// Empty in the sense of EIP-161: such an account does not exist after the block that touches it.
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && !self.has_code()
    }

    pub fn has_code(&self) -> bool {
        self.code_hash != KECCAK256_EMPTY
    }

    /// Layout: flags, nonce and balance each as a length byte and big-endian bytes without zeros, code hash if any.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.has_code()) * HAS_CODE);
        put_trimmed(out, &self.nonce.to_be_bytes());
        put_trimmed(out, &self.balance.to_be_bytes::<32>());
        if self.has_code() {
            out.extend_from_slice(self.code_hash.as_slice());
        }
    }

    pub(crate) fn decode(input: &mut &[u8]) -> Result<Self> {
        let flags = take(input, 1)?[0];
        let nonce = u64::try_from(take_trimmed(input, 8)?)
            .map_err(|_| corrupt("an account nonce over 64 bits"))?;
        let balance = take_trimmed(input, 32)?;
        let code_hash = match flags {
            HAS_CODE => B256::from_slice(take(input, 32)?),
            0 => KECCAK256_EMPTY,
            other => return Err(corrupt(&format!("account flags {other}"))),
        };
        Ok(Self {
            nonce,
            balance,
            code_hash,
        })
    }
}

impl From<&AccountInfo> for AccountRecord {
    fn from(info: &AccountInfo) -> Self {
        let code_hash = if info.code_hash.is_zero() {
            KECCAK256_EMPTY
        } else {
            info.code_hash
        };
        Self {
            nonce: info.nonce,
            balance: info.balance,
            code_hash,
        }
    }
}

pub(crate) fn corrupt(what: &str) -> EngineError {
    EngineError::Corruption(format!("stored record: {what}"))
}

/// Cut `count` bytes off the front.
pub(crate) fn take<'a>(input: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    let (head, tail) = input
        .split_at_checked(count)
        .ok_or_else(|| corrupt("ends too early"))?;
    *input = tail;
    Ok(head)
}

/// A length byte and the big-endian number without its leading zeros.
pub(crate) fn put_trimmed(out: &mut Vec<u8>, big_endian: &[u8]) {
    let zeros = big_endian.iter().take_while(|byte| **byte == 0).count();
    let digits = &big_endian[zeros..];
    out.push(digits.len() as u8);
    out.extend_from_slice(digits);
}

pub(crate) fn take_trimmed(input: &mut &[u8], most: usize) -> Result<U256> {
    let length = usize::from(take(input, 1)?[0]);
    if length > most {
        return Err(corrupt("a number that is too long"));
    }
    Ok(U256::from_be_slice(take(input, length)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_account_decodes_to_itself_and_to_nothing_when_cut(nonce: u64, balance: [u8; 32], code: Option<[u8; 32]>) {
            let record = AccountRecord {
                nonce,
                balance: U256::from_be_bytes(balance),
                code_hash: code.map_or(KECCAK256_EMPTY, B256::from),
            };
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            prop_assert_eq!(AccountRecord::decode(&mut &bytes[..]).unwrap(), record);
            for length in 0..bytes.len() {
                prop_assert!(AccountRecord::decode(&mut &bytes[..length]).is_err());
            }
        }
    }
}
