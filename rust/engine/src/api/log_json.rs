//! The answer of `eth_getLogs`, written while logs are found: an answer is megabytes of hex, and goes into one buffer.

use std::ops::Range;

use alloy_primitives::{Address, B256, hex};
use serde_json::value::RawValue;

use super::{Answer, RpcError};

/// A log and its place in the chain, as a search shows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct FoundLog<'a> {
    pub(super) address: &'a Address,
    pub(super) topics: &'a [B256],
    pub(super) data: &'a [u8],
    pub(super) block_hash: B256,
    pub(super) block_number: u64,
    pub(super) block_timestamp: u64,
    pub(super) transaction_hash: B256,
    pub(super) transaction_index: u64,
    pub(super) log_index: u64,
}

/// An array of logs, as far as it is written.
#[derive(Debug)]
pub(super) struct LogsJson {
    /// `[`, and each log with a comma after it.
    text: Vec<u8>,
    logs: Vec<Written>,
}

/// Where a log is in the chain, and where in the text it begins.
#[derive(Debug, Clone, Copy)]
struct Written {
    place: (u64, u64),
    begin: usize,
}

impl Default for LogsJson {
    fn default() -> Self {
        Self {
            text: vec![b'['],
            logs: Vec::new(),
        }
    }
}

impl LogsJson {
    pub(super) fn len(&self) -> usize {
        self.logs.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Write a log, with the members and in the form of alloy's `Log`.
    pub(super) fn push(&mut self, log: &FoundLog<'_>) {
        let out = &mut self.text;
        self.logs.push(Written {
            place: (log.block_number, log.log_index),
            begin: out.len(),
        });
        push_data(out, b"{\"address\":", log.address.as_slice());
        out.extend_from_slice(b",\"topics\":");
        let mut before: &[u8] = b"[";
        for topic in log.topics {
            push_data(out, before, topic.as_slice());
            before = b",";
        }
        out.extend_from_slice(if log.topics.is_empty() { b"[]" } else { b"]" });
        push_data(out, b",\"data\":", log.data);
        push_data(out, b",\"blockHash\":", log.block_hash.as_slice());
        push_quantity(out, b",\"blockNumber\":", log.block_number);
        push_quantity(out, b",\"blockTimestamp\":", log.block_timestamp);
        let hash = log.transaction_hash.as_slice();
        push_data(out, b",\"transactionHash\":", hash);
        push_quantity(out, b",\"transactionIndex\":", log.transaction_index);
        push_quantity(out, b",\"logIndex\":", log.log_index);
        out.extend_from_slice(b",\"removed\":false},");
    }

    /// Put the logs after the first `kept` into the chain's order.
    pub(super) fn sort_after(&mut self, kept: usize) {
        let unsorted = &self.logs[kept..];
        if unsorted.is_sorted_by_key(|log| log.place) {
            return;
        }
        let ends = self.logs[kept + 1..].iter().map(|log| log.begin);
        let ends = ends.chain([self.text.len()]);
        let mut pieces: Vec<((u64, u64), Range<usize>)> = unsorted
            .iter()
            .zip(ends)
            .map(|(log, end)| (log.place, log.begin..end))
            .collect();
        pieces.sort_unstable_by_key(|(place, _)| *place);
        let mut text = Vec::with_capacity(self.text.len());
        text.extend_from_slice(&self.text[..unsorted[0].begin]);
        self.logs.truncate(kept);
        for (place, range) in pieces {
            let begin = text.len();
            self.logs.push(Written { place, begin });
            text.extend_from_slice(&self.text[range]);
        }
        self.text = text;
    }

    pub(super) fn into_answer(self) -> Answer {
        let mut text = self.text;
        if !self.logs.is_empty() {
            text.pop();
        }
        text.push(b']');
        let text =
            String::from_utf8(text).map_err(|error| RpcError::internal(error.to_string()))?;
        RawValue::from_string(text).map_err(|error| RpcError::internal(error.to_string()))
    }
}

/// Bytes as DATA.
fn push_data(out: &mut Vec<u8>, name: &[u8], bytes: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b"\"0x");
    let begin = out.len();
    out.resize(begin + 2 * bytes.len(), b'0');
    // It has just the room that it needs.
    let _ = hex::encode_to_slice(bytes, &mut out[begin..]);
    out.push(b'"');
}

/// A number as QUANTITY: no zeros before it.
fn push_quantity(out: &mut Vec<u8>, name: &[u8], number: u64) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(name);
    out.extend_from_slice(b"\"0x");
    let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
    let digit = |place: u32| DIGITS[(number >> (4 * place)) as usize & 15];
    out.extend((0..digits).rev().map(digit));
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Bytes, Log as PlainLog};
    use alloy_rpc_types_eth::Log;
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn any_log() -> impl Strategy<Value = Log> {
        let content = (
            any::<[u8; 20]>(),
            vec(any::<[u8; 32]>(), 0..5),
            vec(any::<u8>(), 0..100),
        );
        let place = (any::<[[u8; 32]; 2]>(), any::<[u64; 2]>(), 0..9_u64);
        (content, place).prop_map(|((address, topics, data), (hashes, numbers, block))| {
            let topics = topics.into_iter().map(B256::new).collect();
            Log {
                inner: PlainLog::new_unchecked(Address::new(address), topics, Bytes::from(data)),
                block_hash: Some(B256::new(hashes[0])),
                block_number: Some(block),
                block_timestamp: Some(numbers[0]),
                transaction_hash: Some(B256::new(hashes[1])),
                transaction_index: Some(numbers[1]),
                log_index: Some(0),
                removed: false,
            }
        })
    }

    /// Of a log of `any_log`, which has a place: alloy's type is that of pending logs too, so that each part of it may be missing there.
    fn push(found: &mut LogsJson, log: &Log) {
        found.push(&FoundLog {
            address: &log.inner.address,
            topics: log.inner.topics(),
            data: &log.inner.data.data,
            block_hash: log.block_hash.unwrap(),
            block_number: log.block_number.unwrap(),
            block_timestamp: log.block_timestamp.unwrap(),
            transaction_hash: log.transaction_hash.unwrap(),
            transaction_index: log.transaction_index.unwrap(),
            log_index: log.log_index.unwrap(),
        });
    }

    proptest! {
        #[test]
        fn logs_are_written_byte_for_byte_as_those_of_subscriptions(
            mut logs in vec(any_log(), 0..9),
            kept in 0_usize..9,
        ) {
            let mut found = LogsJson::default();
            for (index, log) in (0..).zip(&mut logs) {
                log.log_index = Some(index);
                push(&mut found, log);
            }
            prop_assert_eq!(found.len(), logs.len());
            let kept = kept.min(logs.len());
            found.sort_after(kept);
            logs[kept..].sort_by_key(|log| (log.block_number, log.log_index));
            let answer = found.into_answer().unwrap();
            prop_assert_eq!(answer.get(), serde_json::to_string(&logs).unwrap());
        }
    }

    #[test]
    fn numbers_have_no_zeros_before_them() {
        for number in [0, 1, 15, 16, 255, 256, u64::MAX / 16, u64::MAX] {
            let mut out = Vec::new();
            push_quantity(&mut out, b"", number);
            assert_eq!(out, format!("\"{number:#x}\"").as_bytes());
        }
    }
}
