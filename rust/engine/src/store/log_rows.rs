//! The logs of one address in one block, as a row of the key-value store: a search by address reads what it answers, and no block.
//!
//! A row: block hash (32), timestamp (8), then for each log: transaction index (4), log index (4), transaction hash (32), count of
//! topics (1), topics (32 each), length of the data (4), data. Numbers are big-endian. An empty row says that there are logs, and
//! that the block has to be read for them.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use alloy_consensus::ReceiptEnvelope;
use alloy_primitives::{Address, B256};

use crate::{
    Block, EngineError, Result,
    state::{corrupt, take},
};

/// Longer rows are left empty. Merging tables copies rows again and again, and a hundred logs of tokens are worth reading a block.
const ROW_BYTES_MAX: usize = 16 << 10;
/// Block hash and timestamp.
const FRONT_BYTES: usize = 40;
/// A log without topics and data.
const LOG_BYTES_MIN: usize = 45;
/// A log has at most four topics.
const TOPICS_MAX: u8 = 4;

/// The rows of a block, one for each address that logged.
#[derive(Debug, Default)]
pub(crate) struct LogRows(BTreeMap<Address, Vec<u8>>);

impl LogRows {
    pub(crate) fn of(block: &Block, receipts: &[ReceiptEnvelope]) -> Self {
        let mut rows: BTreeMap<Address, Vec<u8>> = BTreeMap::new();
        let mut log_index = 0u32;
        for (index, receipt) in (0u32..).zip(receipts) {
            for log in receipt.logs() {
                let row = match rows.entry(log.address) {
                    Entry::Occupied(row) => row.into_mut(),
                    Entry::Vacant(place) => {
                        let mut front = block.hash.to_vec();
                        front.extend_from_slice(&block.header.timestamp.to_be_bytes());
                        place.insert(front)
                    }
                };
                let hash = block
                    .transactions
                    .get(index as usize)
                    .map(|tx| tx.tx_hash());
                let topics = log.topics();
                let length = LOG_BYTES_MIN + 32 * topics.len() + log.data.data.len();
                // Empty from now on, for every row begins with its front.
                if row.is_empty() || row.len() + length > ROW_BYTES_MAX {
                    *row = Vec::new();
                } else if let Some(hash) = hash {
                    row.reserve(length);
                    row.extend_from_slice(&index.to_be_bytes());
                    row.extend_from_slice(&log_index.to_be_bytes());
                    row.extend_from_slice(hash.as_slice());
                    row.push(topics.len() as u8);
                    for topic in topics {
                        row.extend_from_slice(topic.as_slice());
                    }
                    row.extend_from_slice(&(log.data.data.len() as u32).to_be_bytes());
                    row.extend_from_slice(&log.data.data);
                }
                log_index += 1;
            }
        }
        Self(rows)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Address, &Vec<u8>)> {
        self.0.iter()
    }

    /// Bytes in memory, roughly.
    pub(crate) fn weight(&self) -> usize {
        const ROW: usize = 100;
        self.0.values().map(|row| ROW + row.len()).sum()
    }
}

/// The blocks whose rows are on disk.
#[derive(Debug)]
pub(crate) struct KeptRows {
    /// `u64::MAX` while there are none.
    first: AtomicU64,
    last: AtomicU64,
}

impl Default for KeptRows {
    fn default() -> Self {
        Self {
            first: AtomicU64::new(u64::MAX),
            last: AtomicU64::new(0),
        }
    }
}

impl KeptRows {
    pub(crate) fn first(&self) -> Option<u64> {
        let first = self.first.load(Ordering::Acquire);
        (first != u64::MAX).then_some(first)
    }

    /// Disk has the rows from block `first` to block `last`.
    pub(crate) fn keep(&self, first: u64, last: u64) {
        self.last.store(last, Ordering::Release);
        self.first.store(first, Ordering::Release);
    }

    /// Disk has no rows any more of blocks after `last`.
    pub(crate) fn cut(&self, last: u64) {
        self.last.store(last, Ordering::Release);
    }

    pub(crate) fn range(&self) -> Range<u64> {
        match self.first() {
            Some(first) => first..(self.last.load(Ordering::Acquire) + 1).max(first),
            None => 0..0,
        }
    }
}

/// A row as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    pub number: u64,
    bytes: Vec<u8>,
}

/// A log of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowLog<'a> {
    pub block_hash: B256,
    pub timestamp: u64,
    pub transaction_hash: B256,
    pub transaction_index: u32,
    pub log_index: u32,
    pub topics: &'a [B256],
    pub data: &'a [u8],
}

impl LogRow {
    pub(crate) fn new(number: u64, bytes: Vec<u8>) -> Self {
        Self { number, bytes }
    }

    /// Whether the block has to be read for its logs.
    pub fn is_left_out(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Show each log, in the block's order.
    pub fn visit(&self, mut see: impl FnMut(RowLog<'_>)) -> Result<()> {
        let damaged = |_: EngineError| corrupt("a row of logs");
        let mut input = &self.bytes[..];
        if input.is_empty() {
            return Ok(());
        }
        let mut front = take(&mut input, FRONT_BYTES).map_err(damaged)?;
        let block_hash = B256::from_slice(take(&mut front, 32)?);
        let timestamp = take_number::<8>(&mut front).map(u64::from_be_bytes)?;
        let mut topics = Vec::with_capacity(TOPICS_MAX.into());
        while !input.is_empty() {
            let transaction_index = take_number(&mut input).map(u32::from_be_bytes)?;
            let log_index = take_number(&mut input).map(u32::from_be_bytes)?;
            let transaction_hash = B256::from_slice(take(&mut input, 32).map_err(damaged)?);
            let [count] = take_number(&mut input)?;
            if count > TOPICS_MAX {
                return Err(corrupt("a row of logs"));
            }
            let written = take(&mut input, 32 * usize::from(count)).map_err(damaged)?;
            topics.clear();
            topics.extend(written.chunks_exact(32).map(B256::from_slice));
            let length = take_number(&mut input).map(u32::from_be_bytes)?;
            let data = take(&mut input, length as usize).map_err(damaged)?;
            see(RowLog {
                block_hash,
                timestamp,
                transaction_hash,
                transaction_index,
                log_index,
                topics: &topics,
                data,
            });
        }
        Ok(())
    }
}

fn take_number<const N: usize>(input: &mut &[u8]) -> Result<[u8; N]> {
    let bytes = take(input, N).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| corrupt("a row of logs"))
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{Receipt, ReceiptWithBloom, Signed, TxEnvelope, TxLegacy};
    use alloy_primitives::{Bytes, Log, Signature};

    use super::*;

    const TOKEN: Address = Address::repeat_byte(1);
    const OTHER: Address = Address::repeat_byte(2);

    fn log(address: Address, data_bytes: usize) -> Log {
        let topics = vec![B256::repeat_byte(3); data_bytes % 5];
        Log::new_unchecked(address, topics, Bytes::from(vec![7; data_bytes]))
    }

    /// The rows of a block of which each transaction emits some logs.
    fn rows(transactions: &[Vec<Log>]) -> LogRows {
        let hash = B256::repeat_byte(9);
        let signature = Signature::test_signature();
        let sign =
            || TxEnvelope::Legacy(Signed::new_unchecked(TxLegacy::default(), signature, hash));
        let block = Block {
            hash,
            header: alloy_consensus::Header {
                timestamp: 77,
                ..Default::default()
            },
            transactions: transactions.iter().map(|_| sign()).collect(),
            senders: Vec::new(),
            withdrawals: Vec::new(),
            ommers: Vec::new(),
            requests: Default::default(),
            size: 0,
        };
        let receipts: Vec<ReceiptEnvelope> = transactions
            .iter()
            .map(|logs| {
                let receipt = Receipt {
                    logs: logs.clone(),
                    ..Default::default()
                };
                ReceiptEnvelope::Legacy(ReceiptWithBloom::from(receipt))
            })
            .collect();
        LogRows::of(&block, &receipts)
    }

    fn row(rows: &LogRows, address: Address) -> LogRow {
        LogRow::new(5, rows.0[&address].clone())
    }

    /// Transaction, index and length of the data of each log.
    fn places(row: &LogRow) -> Vec<(u32, u32, usize)> {
        let mut found = Vec::new();
        row.visit(|log| {
            assert_eq!((log.block_hash, log.timestamp), (B256::repeat_byte(9), 77));
            assert_eq!(log.transaction_hash, B256::repeat_byte(9));
            assert_eq!(log.topics.len(), log.data.len() % 5);
            found.push((log.transaction_index, log.log_index, log.data.len()));
        })
        .expect("a whole row");
        found
    }

    #[test]
    fn a_row_has_the_logs_of_its_address_at_their_places_in_the_block() {
        let rows = rows(&[
            vec![log(TOKEN, 0), log(OTHER, 1)],
            vec![],
            vec![log(TOKEN, 33), log(TOKEN, 4)],
        ]);
        assert_eq!(
            places(&row(&rows, TOKEN)),
            [(0, 0, 0), (2, 2, 33), (2, 3, 4)]
        );
        assert_eq!(places(&row(&rows, OTHER)), [(0, 1, 1)]);
    }

    #[test]
    fn a_row_that_would_be_long_is_left_empty_also_when_short_logs_follow() {
        let rows = rows(&[vec![
            log(TOKEN, 1),
            log(OTHER, 5),
            log(TOKEN, ROW_BYTES_MAX),
            log(TOKEN, 1),
        ]]);
        assert!(row(&rows, TOKEN).is_left_out());
        assert_eq!(places(&row(&rows, TOKEN)), []);
        assert_eq!(places(&row(&rows, OTHER)), [(0, 1, 5)]);
    }

    #[test]
    fn a_row_that_is_cut_or_has_five_topics_is_damaged() {
        let whole = row(&rows(&[vec![log(TOKEN, 6), log(TOKEN, 1)]]), TOKEN);
        let last_log = LOG_BYTES_MIN + 32 + 1;
        let intact = [
            0,
            FRONT_BYTES,
            whole.bytes.len() - last_log,
            whole.bytes.len(),
        ];
        for length in 0..=whole.bytes.len() {
            let cut = LogRow::new(5, whole.bytes[..length].to_vec());
            assert_eq!(
                cut.visit(|_| {}).is_ok(),
                intact.contains(&length),
                "{length}"
            );
        }
        let mut many = whole.bytes.clone();
        many[FRONT_BYTES + 40] = 5;
        assert!(LogRow::new(5, many).visit(|_| {}).is_err());
    }
}
