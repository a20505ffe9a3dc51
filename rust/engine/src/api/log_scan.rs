//! Logs found in a block: of one as it is kept the receipts are walked over, and only what matches is decoded.

use alloy_primitives::{Address, B256, keccak256};
use alloy_rlp::{Decodable, Header as RlpHeader};

use super::log_json::{FoundLog, LogsJson};
use crate::{EngineError, Result, store::StoredBlock};

/// The block that the logs belong to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) number: u64,
    pub(super) hash: B256,
    pub(super) timestamp: u64,
}

/// Append the logs of a decoded block that `wanted` takes, in order.
pub(super) fn collect(
    stored: &StoredBlock,
    wanted: impl Fn(&Address, &[B256]) -> bool,
    found: &mut LogsJson,
) {
    let block = &stored.block;
    let mut log_index = 0;
    for ((index, receipt), transaction) in (0..).zip(&stored.receipts).zip(&block.transactions) {
        for log in receipt.logs() {
            if wanted(&log.address, log.topics()) {
                found.push(&FoundLog {
                    address: &log.address,
                    topics: log.topics(),
                    data: &log.data.data,
                    block_hash: block.hash,
                    block_number: block.header.number,
                    block_timestamp: block.header.timestamp,
                    transaction_hash: *transaction.hash(),
                    transaction_index: index,
                    log_index,
                });
            }
            log_index += 1;
        }
    }
}

/// Append the logs of a block that `wanted` takes, in order.
pub(super) fn scan(
    body: &[u8],
    receipts: &[u8],
    place: Place,
    wanted: impl Fn(&Address, &[B256]) -> bool,
    found: &mut LogsJson,
) -> Result<()> {
    walk(body, receipts, place, wanted, found)
        .map_err(|error| EngineError::Corruption(format!("stored block {}: {error}", place.number)))
}

fn walk(
    body: &[u8],
    mut receipts: &[u8],
    place: Place,
    wanted: impl Fn(&Address, &[B256]) -> bool,
    found: &mut LogsJson,
) -> alloy_rlp::Result<()> {
    let mut list = RlpHeader::decode_bytes(&mut receipts, true)?;
    let mut topics = Vec::with_capacity(4);
    let (mut transaction_index, mut log_index) = (0, 0);
    while !list.is_empty() {
        let mut logs = logs_of_receipt(&mut list)?;
        let mut transaction_hash = None;
        while !logs.is_empty() {
            let mut log = RlpHeader::decode_bytes(&mut logs, true)?;
            let address = Address::decode(&mut log)?;
            let mut encoded = RlpHeader::decode_bytes(&mut log, true)?;
            topics.clear();
            while !encoded.is_empty() {
                topics.push(B256::decode(&mut encoded)?);
            }
            if wanted(&address, &topics) {
                let hash = match transaction_hash {
                    Some(hash) => hash,
                    None => hash_of_transaction(body, transaction_index)?,
                };
                transaction_hash = Some(hash);
                let data = RlpHeader::decode_bytes(&mut log, false)?;
                found.push(&FoundLog {
                    address: &address,
                    topics: &topics,
                    data,
                    block_hash: place.hash,
                    block_number: place.number,
                    block_timestamp: place.timestamp,
                    transaction_hash: hash,
                    transaction_index: transaction_index as u64,
                    log_index,
                });
            }
            log_index += 1;
        }
        transaction_index += 1;
    }
    Ok(())
}

/// The encoded logs of the next receipt: a list, or for typed transactions a string with a byte before the list.
fn logs_of_receipt<'a>(list: &mut &'a [u8]) -> alloy_rlp::Result<&'a [u8]> {
    let header = RlpHeader::decode(list)?;
    let (item, rest) = list
        .split_at_checked(header.payload_length)
        .ok_or(alloy_rlp::Error::InputTooShort)?;
    *list = rest;
    let mut fields = item;
    if !header.list {
        let (_, mut typed) = item.split_first().ok_or(alloy_rlp::Error::InputTooShort)?;
        fields = RlpHeader::decode_bytes(&mut typed, true)?;
    }
    // Status or state root, cumulative gas, bloom.
    for _ in 0..3 {
        RlpHeader::decode_bytes(&mut fields, false)?;
    }
    RlpHeader::decode_bytes(&mut fields, true)
}

/// The hash of a transaction: of the list that a legacy one is, of what the string of a typed one holds.
fn hash_of_transaction(mut body: &[u8], index: usize) -> alloy_rlp::Result<B256> {
    let mut list = RlpHeader::decode_bytes(&mut body, true)?;
    for at in 0.. {
        let whole = list;
        let header = RlpHeader::decode(&mut list)?;
        let (payload, rest) = list
            .split_at_checked(header.payload_length)
            .ok_or(alloy_rlp::Error::InputTooShort)?;
        if at == index {
            let encoded = if header.list {
                &whole[..whole.len() - rest.len()]
            } else {
                payload
            };
            return Ok(keccak256(encoded));
        }
        list = rest;
    }
    Err(alloy_rlp::Error::InputTooShort)
}
