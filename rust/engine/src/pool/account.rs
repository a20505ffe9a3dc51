//! What the pool asks of the state: an account's nonce, balance and kind of code.

use alloy_primitives::{Address, U256};
use revm::{DatabaseRef, database::BundleState, primitives::KECCAK_EMPTY};

use crate::{EngineError, Result};

/// What an account has for code; it decides whether and how many transactions it may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccountCode {
    #[default]
    None,
    /// An EIP-7702 delegation: the account may send, one transaction at a time.
    Delegation,
    /// A contract of `bytes` bytes: it has no key, so EIP-3607 refuses its transactions.
    Contract { bytes: usize },
}

/// An account as the pool sees it. An absent account is the default one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    pub nonce: u64,
    /// In wei.
    pub balance: U256,
    pub code: AccountCode,
}

/// The state at one block. A view of the store is one; tests use a map.
pub trait AccountReader: Send + Sync {
    fn account(&self, address: Address) -> Result<Account>;
}

impl<T> AccountReader for T
where
    T: DatabaseRef<Error = EngineError> + Send + Sync,
{
    fn account(&self, address: Address) -> Result<Account> {
        let Some(info) = self.basic_ref(address)? else {
            return Ok(Account::default());
        };
        let code = if info.code_hash == KECCAK_EMPTY || info.code_hash.is_zero() {
            AccountCode::None
        } else {
            let bytecode = match info.code {
                Some(bytecode) => bytecode,
                None => self.code_by_hash_ref(info.code_hash)?,
            };
            if bytecode.is_eip7702() {
                AccountCode::Delegation
            } else {
                AccountCode::Contract {
                    bytes: bytecode.original_bytes().len(),
                }
            }
        };
        Ok(Account {
            nonce: info.nonce,
            balance: info.balance,
            code,
        })
    }
}

/// The accounts that a block changed, as they are after it. One with code is left to be read: what kind of code it is,
/// the changes do not tell.
pub fn changed_accounts(
    bundle: &BundleState,
) -> impl Iterator<Item = (Address, Option<Account>)> + '_ {
    bundle.state.iter().map(|(address, changed)| {
        let account = match &changed.info {
            None => Some(Account::default()),
            Some(info) if info.is_empty_code_hash() => Some(Account {
                nonce: info.nonce,
                balance: info.balance,
                code: AccountCode::None,
            }),
            Some(_) => None,
        };
        (*address, account)
    })
}
