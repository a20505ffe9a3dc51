//! Blob transactions as clients send them: with blobs, commitments and proofs (EIP-4844, and EIP-7594 from Osaka on).
//!
//! Networks of our own have none. The network of an imported chain has: there they are taken like others, and what came with
//! them is checked and dropped, since nothing here serves it or builds blocks with it. So they are not forwarded either.

use alloy_consensus::{Signed, Transaction, TxEip4844Variant, TxEnvelope};
use alloy_eips::{
    eip2718::{Decodable2718, Eip2718Error, Encodable2718},
    eip4844::{BlobTransactionValidationError, env_settings::EnvKzgSettings},
};
use alloy_primitives::Bytes;

use super::{PoolError, admission::describe};

/// The type of transactions that have blobs (EIP-4844).
pub(super) const BLOB_TYPE: u8 = 3;

/// Of a transaction with what comes with it, as geth's pool has it: six blobs of 128 KiB, and their proofs.
pub(super) const SENT_BYTES_MAX: usize = 1 << 20;

/// EIP-7594.
const BLOBS_MAX: usize = 6;

/// What came with a transaction, to be checked when nothing cheaper speaks against it.
#[derive(Debug)]
pub(super) struct Carried(TxEip4844Variant);

impl Carried {
    /// Check blobs, commitments and proofs against the transaction's hashes: milliseconds for each blob.
    pub(super) fn check(&self) -> Result<(), PoolError> {
        self.0
            .validate(EnvKzgSettings::Default.get())
            .map_err(|error| {
                PoolError::Blobs(match error {
                    BlobTransactionValidationError::MissingSidecar => {
                        "missing sidecar in blob transaction".to_owned()
                    }
                    other => format!("invalid blobs: {other}"),
                })
            })
    }
}

/// Take a transaction, as it stands in a block, from what came with it.
pub(super) fn split(sent: &[u8]) -> Result<(Bytes, Carried), PoolError> {
    if sent.len() > SENT_BYTES_MAX {
        return Err(PoolError::Oversized {
            size: sent.len(),
            limit: SENT_BYTES_MAX,
        });
    }
    let TxEnvelope::Eip4844(signed) =
        TxEnvelope::decode_2718_exact(sent).map_err(|error| match error {
            Eip2718Error::RlpError(error) => describe(error),
            _ => PoolError::UnknownType,
        })?
    else {
        return Err(PoolError::UnknownType);
    };
    let blobs = signed.blob_versioned_hashes().map_or(0, <[_]>::len);
    if blobs == 0 {
        return Err(PoolError::Blobs("blobless blob transaction".to_owned()));
    }
    if blobs > BLOBS_MAX {
        return Err(PoolError::Blobs(format!(
            "too many blobs in transaction: have {blobs}, permitted {BLOBS_MAX}"
        )));
    }
    let (whole, signature, hash) = signed.into_parts();
    let alone = TxEip4844Variant::TxEip4844(whole.tx().clone());
    let alone = TxEnvelope::Eip4844(Signed::new_unchecked(alone, signature, hash));
    Ok((alone.encoded_2718().into(), Carried(whole)))
}
