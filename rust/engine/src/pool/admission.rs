//! What can be said about a transaction without the pool's lock: bytes, form, signature, gas, fees.
//!
//! The order of the checks is geth's, so that a transaction with two faults gets the same answer from both. Only blobs, which geth
//! looks at last, are checked first: the transaction goes on without them.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Instant,
};

use alloy_consensus::{
    SignableTransaction, Signed, Transaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702,
    TxEnvelope, TxLegacy,
    transaction::{Recovered, RlpEcdsaDecodableTx, SignerRecoverable},
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use revm::{
    context_interface::cfg::GasParams,
    primitives::{eip3860::MAX_INITCODE_SIZE, eip7825::TX_GAS_LIMIT_CAP, hardfork::SpecId},
};

use super::{
    HeadState, Origin, PoolConfig, PoolError, PooledTransaction,
    account::{Account, AccountCode},
    blobs::{self, BLOB_TYPE, Carried},
    error::InvalidSender,
    transaction::Price,
};

/// A transaction that only the state of its sender in the pool can still refuse.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) transaction: PooledTransaction,
    /// The sender's account and the generation of the head it was read at, if it had to be read.
    pub(super) account: Option<(u64, Account)>,
}

/// The rules that need neither state nor pool.
#[derive(Debug)]
pub(super) struct Admission {
    chain_id: u64,
    transaction_bytes_max: usize,
    tip_min: u128,
    takes_blobs: bool,
    gas: GasParams,
    sequence: AtomicU64,
}

impl Admission {
    pub(super) fn new(config: &PoolConfig, chain_id: u64) -> Self {
        Self {
            chain_id,
            transaction_bytes_max: config.transaction_bytes_max,
            tip_min: config.tip_min,
            takes_blobs: config.takes_blobs,
            gas: GasParams::new_spec(SpecId::OSAKA),
            sequence: AtomicU64::new(0),
        }
    }

    /// The transaction as it stands in a block, and what was sent with it.
    pub(super) fn split(&self, sent: Bytes) -> Result<(Bytes, Option<Carried>), PoolError> {
        match sent.first() {
            Some(&BLOB_TYPE) if self.takes_blobs => {
                blobs::split(&sent).map(|(alone, carried)| (alone, Some(carried)))
            }
            _ => Ok((sent, None)),
        }
    }

    pub(super) fn hash(&self, raw: &[u8]) -> Result<B256, PoolError> {
        if raw.len() > self.transaction_bytes_max {
            // Blobs travel with their transaction: its size is not what is wrong with it.
            if raw.first() == Some(&BLOB_TYPE) && !self.takes_blobs {
                return Err(PoolError::UnsupportedType(BLOB_TYPE));
            }
            return Err(PoolError::Oversized {
                size: raw.len(),
                limit: self.transaction_bytes_max,
            });
        }
        Ok(keccak256(raw))
    }

    /// Decode and check; then recover the sender, which is nine tenths of the time.
    pub(super) fn examine(
        &self,
        raw: Bytes,
        hash: B256,
        origin: Origin,
        gas_limit: u64,
    ) -> Result<PooledTransaction, PoolError> {
        let envelope = match raw.split_first() {
            Some((&BLOB_TYPE, fields)) if self.takes_blobs => {
                decode_fields::<TxEip4844>(fields, hash).map(TxEnvelope::from)
            }
            _ => decode(&raw, hash),
        }?;
        self.check_form(&envelope, gas_limit)?;
        let chain_id = envelope.chain_id().ok_or(PoolError::Unprotected)?;
        if chain_id != self.chain_id {
            return Err(PoolError::InvalidSender(InvalidSender::ChainId {
                have: chain_id,
                want: self.chain_id,
            }));
        }
        let sender = envelope
            .recover_signer()
            .map_err(|_| PoolError::InvalidSender(InvalidSender::Signature))?;
        self.check_gas_and_fees(&envelope)?;

        let is_blobs = envelope.is_eip4844();
        let price = Price::of(&envelope);
        let gas_cost = U256::from(price.fee).saturating_mul(U256::from(envelope.gas_limit()));
        Ok(PooledTransaction {
            cost: gas_cost
                .saturating_add(blob_cost(&envelope))
                .saturating_add(envelope.value()),
            transaction: Recovered::new_unchecked(envelope, sender),
            raw,
            hash,
            // Without its blobs no peer would take it.
            origin: if is_blobs { Origin::Gossip } else { origin },
            added: Instant::now(),
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed),
            price,
            authorities: Box::default(),
            announced: AtomicBool::new(false),
        })
    }

    fn check_form(&self, transaction: &TxEnvelope, gas_limit: u64) -> Result<(), PoolError> {
        // Said before all else, as geth's RPC does: such a transaction is valid on every chain.
        if matches!(transaction, TxEnvelope::Legacy(legacy) if legacy.tx().chain_id.is_none()) {
            return Err(PoolError::Unprotected);
        }
        // EIP-3860.
        if transaction.is_create() && transaction.input().len() > MAX_INITCODE_SIZE {
            return Err(PoolError::InitCodeOversized {
                size: transaction.input().len(),
                limit: MAX_INITCODE_SIZE,
            });
        }
        // EIP-7825.
        if transaction.gas_limit() > TX_GAS_LIMIT_CAP {
            return Err(PoolError::GasLimitTooHigh {
                cap: TX_GAS_LIMIT_CAP,
                gas: transaction.gas_limit(),
            });
        }
        if transaction.gas_limit() > gas_limit {
            return Err(PoolError::ExceedsBlockGasLimit);
        }
        let price = Price::of(transaction);
        if price.tip > price.fee {
            return Err(PoolError::TipAboveFeeCap);
        }
        Ok(())
    }

    fn check_gas_and_fees(&self, transaction: &TxEnvelope) -> Result<(), PoolError> {
        // EIP-2681.
        if transaction.nonce() == u64::MAX {
            return Err(PoolError::NonceMax);
        }
        let (accounts, slots) = transaction.access_list().map_or((0, 0), |list| {
            (
                list.len() as u64,
                list.iter().map(|item| item.storage_keys.len() as u64).sum(),
            )
        });
        let authorizations = transaction.authorization_list().map_or(0, <[_]>::len);
        let needed = self.gas.initial_tx_gas(
            transaction.input(),
            transaction.is_create(),
            accounts,
            slots,
            authorizations as u64,
            None,
        );
        let gas = transaction.gas_limit();
        if gas < needed.initial_regular_gas {
            return Err(PoolError::IntrinsicGas {
                gas,
                needed: needed.initial_regular_gas,
            });
        }
        // EIP-7623.
        if gas < needed.floor_gas {
            return Err(PoolError::FloorDataGas {
                gas,
                needed: needed.floor_gas,
            });
        }
        let tip = Price::of(transaction).tip;
        if tip < self.tip_min {
            return Err(PoolError::TipTooLow {
                tip,
                needed: self.tip_min,
            });
        }
        if transaction.is_eip7702() && authorizations == 0 {
            return Err(PoolError::NoAuthorizations);
        }
        Ok(())
    }
}

/// The most that the blobs can cost.
fn blob_cost(transaction: &TxEnvelope) -> U256 {
    let gas = U256::from(transaction.blob_gas_used().unwrap_or_default());
    gas.saturating_mul(U256::from(
        transaction.max_fee_per_blob_gas().unwrap_or_default(),
    ))
}

/// What the sender's account alone says. Checked before an EIP-7702 list is recovered, which may cost 20 ms.
pub(super) fn check_account(
    transaction: &PooledTransaction,
    account: &Account,
) -> Result<(), PoolError> {
    // EIP-3607.
    if let AccountCode::Contract { bytes } = account.code {
        return Err(PoolError::SenderNotEoa {
            address: transaction.sender(),
            code_bytes: bytes,
        });
    }
    let nonce = transaction.nonce();
    if nonce < account.nonce {
        return Err(PoolError::NonceTooLow {
            next: account.nonce,
            nonce,
        });
    }
    if transaction.cost > account.balance {
        return Err(PoolError::InsufficientFunds {
            balance: account.balance,
            cost: transaction.cost,
        });
    }
    Ok(())
}

/// Read the sender's account at `head` and, for type 4, recover the authorities.
pub(super) fn read_state(
    transaction: &mut PooledTransaction,
    head: &HeadState,
) -> Result<Account, PoolError> {
    let account = head
        .accounts
        .account(transaction.sender())
        .map_err(PoolError::State)?;
    check_account(transaction, &account)?;
    if let Some(list) = transaction.transaction.authorization_list() {
        // An authorization that nobody signed is skipped by the protocol, so it reserves nobody.
        let authorities: Vec<Address> = list
            .iter()
            .filter_map(|authorization| authorization.recover_authority().ok())
            .collect();
        transaction.authorities = authorities.into_boxed_slice();
    }
    Ok(account)
}

/// Decode EIP-2718 bytes; nothing may follow. The hash is that of the bytes, which are canonical if they decode.
pub(crate) fn decode(raw: &[u8], hash: B256) -> Result<TxEnvelope, PoolError> {
    let Some((&first, rest)) = raw.split_first() else {
        return Err(PoolError::Malformed(
            "typed transaction too short".to_owned(),
        ));
    };
    match first {
        0xc0.. => decode_fields::<TxLegacy>(raw, hash).map(TxEnvelope::Legacy),
        _ if rest.is_empty() => Err(PoolError::Malformed(
            "typed transaction too short".to_owned(),
        )),
        1 => decode_fields::<TxEip2930>(rest, hash).map(TxEnvelope::Eip2930),
        2 => decode_fields::<TxEip1559>(rest, hash).map(TxEnvelope::Eip1559),
        BLOB_TYPE => Err(PoolError::UnsupportedType(BLOB_TYPE)),
        4 => decode_fields::<TxEip7702>(rest, hash).map(TxEnvelope::Eip7702),
        0x80.. => Err(PoolError::Malformed("rlp: expected input list".to_owned())),
        _ => Err(PoolError::UnknownType),
    }
}

fn decode_fields<T>(mut payload: &[u8], hash: B256) -> Result<Signed<T>, PoolError>
where
    T: RlpEcdsaDecodableTx + SignableTransaction<alloy_primitives::Signature>,
{
    let (transaction, signature) = T::rlp_decode_with_signature(&mut payload).map_err(describe)?;
    if !payload.is_empty() {
        return Err(PoolError::Malformed(
            "rlp: input contains more than one value".to_owned(),
        ));
    }
    Ok(Signed::new_unchecked(transaction, signature, hash))
}

/// geth's words for what the decoder found.
pub(super) fn describe(error: alloy_rlp::Error) -> PoolError {
    use alloy_rlp::Error;
    let text = match error {
        // A `v` that is no parity: 0 or 1 in typed transactions, 27, 28 or from 35 in the others.
        Error::Custom(_) => return PoolError::InvalidSender(InvalidSender::Signature),
        Error::Overflow => "rlp: input string too long".to_owned(),
        Error::LeadingZero => "rlp: non-canonical integer (leading zero bytes)".to_owned(),
        Error::InputTooShort => "rlp: value size exceeds available input length".to_owned(),
        Error::NonCanonicalSingleByte | Error::NonCanonicalSize => {
            "rlp: non-canonical size information".to_owned()
        }
        Error::UnexpectedLength => "rlp: input string has wrong size".to_owned(),
        Error::UnexpectedString => "rlp: expected input list".to_owned(),
        Error::UnexpectedList => "rlp: expected input string or byte".to_owned(),
        Error::ListLengthMismatch { expected, got } if got > expected => {
            "rlp: too few elements".to_owned()
        }
        Error::ListLengthMismatch { .. } => "rlp: input list has too many elements".to_owned(),
    };
    PoolError::Malformed(text)
}
