//! Batches for peers: one RLP list whose items are EIP-2718 encodings as byte strings. Nobody between two pools looks
//! inside.

use std::sync::Arc;

use alloy_primitives::Bytes;
use alloy_rlp::{Encodable, Header};

use super::{PoolError, PooledTransaction};

/// Room for the header of a list of up to 16 MiB.
const LIST_HEADER_BYTES: usize = 4;

/// Transactions for peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GossipBatch {
    /// An RLP list of byte strings.
    pub list: Bytes,
    /// How many.
    pub count: usize,
}

/// Take transactions into a batch while it stays within `bytes_max`; the first always fits. `None` if there is none.
pub(super) fn encode_batch(
    transactions: &mut std::iter::Peekable<impl Iterator<Item = Arc<PooledTransaction>>>,
    bytes_max: usize,
) -> Option<GossipBatch> {
    let mut payload = Vec::new();
    let mut count = 0;
    while let Some(transaction) = transactions.next_if(|transaction| {
        count == 0
            || LIST_HEADER_BYTES + payload.len() + transaction.raw.as_ref().length() <= bytes_max
    }) {
        transaction.raw.as_ref().encode(&mut payload);
        count += 1;
    }
    if count == 0 {
        return None;
    }
    let mut list = Vec::with_capacity(payload.len() + LIST_HEADER_BYTES);
    Header {
        list: true,
        payload_length: payload.len(),
    }
    .encode(&mut list);
    list.extend_from_slice(&payload);
    Some(GossipBatch {
        list: list.into(),
        count,
    })
}

/// The byte strings of a batch, not copied. Anything but one canonical list of strings is refused as a whole.
pub(crate) fn decode_batch(list: &[u8]) -> Result<Vec<&[u8]>, PoolError> {
    let malformed = |error: alloy_rlp::Error| PoolError::Malformed(format!("rlp: {error}"));
    let mut rest = list;
    let mut payload = Header::decode_bytes(&mut rest, true).map_err(malformed)?;
    if !rest.is_empty() {
        return Err(PoolError::Malformed(
            "rlp: input contains more than one value".to_owned(),
        ));
    }
    let mut raws = Vec::new();
    while !payload.is_empty() {
        raws.push(Header::decode_bytes(&mut payload, false).map_err(malformed)?);
    }
    Ok(raws)
}
