//! Blocks, their hashes and their transactions: where each stands in the log, and the recent ones decoded.

use std::{collections::HashMap, ops::Range, sync::Arc};

use alloy_consensus::{Header, ReceiptEnvelope, TxEnvelope};
use alloy_eips::{eip4895::Withdrawals, eip7685::Requests};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_rlp::{Decodable, Encodable};
use parking_lot::RwLock;
use quick_cache::{OptionsBuilder, Weighter, sync::Cache};

use super::{
    SearchedBlock, StoredBlock,
    delta::Delta,
    keys,
    kv::{Batch, Kv},
    log::{BlockLog, Location, Record},
    log_rows::{KeptRows, LogRow},
};
use crate::{Block, EngineError, Result};

/// A day of headers at two seconds is 43,200; log queries over a few thousand blocks stay in memory.
const CACHED_HEADERS: usize = 4_096;

pub(crate) struct Blocks {
    pub(crate) log: BlockLog,
    pub(crate) rows: KeptRows,
    kv: Arc<dyn Kv>,
    unflushed: RwLock<Unflushed>,
    headers: Cache<u64, Arc<(Header, B256)>>,
    decoded: Cache<u64, Arc<StoredBlock>, BlockWeight>,
}

#[derive(Default)]
struct Unflushed {
    locations: HashMap<u64, Location>,
    numbers: HashMap<B256, u64>,
    transactions: HashMap<B256, (u64, u32)>,
}

#[derive(Debug, Clone)]
struct BlockWeight;

impl Weighter<u64, Arc<StoredBlock>> for BlockWeight {
    /// Bytes in memory, roughly: decoded parts are a few times their RLP.
    fn weight(&self, _number: &u64, stored: &Arc<StoredBlock>) -> u64 {
        const TRANSACTION: usize = 1_200;
        let logs: usize = stored.receipts.iter().map(|r| r.logs().len()).sum();
        let block = &stored.block;
        (2_000 + 2 * block.size + TRANSACTION * block.transactions.len() + 300 * logs) as u64
    }
}

impl Blocks {
    pub(crate) fn new(log: BlockLog, kv: Arc<dyn Kv>, cache_bytes: u64) -> Result<Self> {
        const TYPICAL_BLOCK_BYTES: u64 = 50_000;
        let options = OptionsBuilder::new()
            .weight_capacity(cache_bytes)
            .estimated_items_capacity((cache_bytes / TYPICAL_BLOCK_BYTES).max(16) as usize)
            // One shard: a full block must fit into it.
            .shards(1)
            .build()
            .map_err(|error| EngineError::InvalidInput(format!("block cache: {error}")))?;
        Ok(Self {
            log,
            rows: KeptRows::default(),
            kv,
            unflushed: RwLock::default(),
            headers: Cache::new(CACHED_HEADERS),
            decoded: Cache::with_options(
                options,
                BlockWeight,
                Default::default(),
                Default::default(),
            ),
        })
    }

    /// Make a block findable. The caller sees to it that nobody asks before it is the head.
    pub(crate) fn add(&self, stored: Arc<StoredBlock>, delta: &Delta) {
        let header = Arc::new((stored.block.header.clone(), stored.block.hash));
        let mut unflushed = self.unflushed.write();
        unflushed.locations.insert(delta.number, delta.location);
        unflushed.numbers.insert(delta.hash, delta.number);
        let transactions = (0..).zip(&delta.transactions);
        unflushed
            .transactions
            .extend(transactions.map(|(index, hash)| (*hash, (delta.number, index))));
        drop(unflushed);
        self.headers.insert(delta.number, header);
        self.decoded.insert(delta.number, stored);
    }

    pub(crate) fn write_index(deltas: &[Arc<Delta>], batch: &mut Batch) {
        for delta in deltas {
            let number = delta.number.to_be_bytes();
            batch.put(keys::location(delta.number), delta.location.encode());
            batch.put(keys::number_of(&delta.hash), number);
            for (index, hash) in (0u32..).zip(&delta.transactions) {
                let place = [&number[..], &index.to_be_bytes()].concat();
                batch.put(keys::transaction(hash), place);
            }
            for (address, row) in delta.logs.iter() {
                batch.put(keys::log_row(address, delta.number), row.clone());
            }
        }
    }

    /// Disk now has the index of these blocks.
    pub(crate) fn flushed(&self, deltas: &[Arc<Delta>]) {
        let mut unflushed = self.unflushed.write();
        for delta in deltas {
            unflushed.locations.remove(&delta.number);
            unflushed.numbers.remove(&delta.hash);
            for hash in &delta.transactions {
                unflushed.transactions.remove(hash);
            }
        }
    }

    pub(crate) fn reset(&self) {
        *self.unflushed.write() = Unflushed::default();
        self.headers.clear();
        self.decoded.clear();
    }

    pub(crate) fn location(&self, number: u64) -> Result<Option<Location>> {
        if let Some(location) = self.unflushed.read().locations.get(&number) {
            return Ok(Some(*location));
        }
        let value = self.kv.get(&keys::location(number))?;
        value.map(|value| Location::decode(&value)).transpose()
    }

    pub(crate) fn number_of(&self, hash: &B256) -> Result<Option<u64>> {
        if let Some(number) = self.unflushed.read().numbers.get(hash) {
            return Ok(Some(*number));
        }
        let value = self.kv.get(&keys::number_of(hash))?;
        value.map(|value| number_from(&value)).transpose()
    }

    pub(crate) fn transaction(&self, hash: &B256) -> Result<Option<(u64, u32)>> {
        if let Some(place) = self.unflushed.read().transactions.get(hash) {
            return Ok(Some(*place));
        }
        let Some(value) = self.kv.get(&keys::transaction(hash))? else {
            return Ok(None);
        };
        let place = value.split_first_chunk::<8>().and_then(|(number, index)| {
            let index = index.try_into().ok()?;
            Some((u64::from_be_bytes(*number), u32::from_be_bytes(index)))
        });
        place
            .map(Some)
            .ok_or_else(|| damaged("a transaction's place"))
    }

    pub(crate) fn header(&self, number: u64) -> Result<Option<Arc<(Header, B256)>>> {
        if let Some(header) = self.headers.get(&number) {
            return Ok(Some(header));
        }
        let Some(location) = self.location(number)? else {
            return Ok(None);
        };
        let rlp = self.log.read_header(location)?;
        let header = decode::<Header>(&rlp, "header")?;
        check_number(number, header.number)?;
        let header = Arc::new((header, keccak256(&rlp)));
        self.headers.insert(number, Arc::clone(&header));
        Ok(Some(header))
    }

    pub(crate) fn block(&self, number: u64) -> Result<Option<Arc<StoredBlock>>> {
        if let Some(block) = self.decoded.get(&number) {
            return Ok(Some(block));
        }
        let Some(record) = self.record(number)? else {
            return Ok(None);
        };
        let block = Arc::new(decode_record(record)?);
        self.decoded.insert(number, Arc::clone(&block));
        Ok(Some(block))
    }

    /// What a search for logs reads: without decoding it, and without putting others out of the cache.
    pub(crate) fn searched(&self, number: u64) -> Result<Option<SearchedBlock>> {
        if let Some(block) = self.decoded.get(&number) {
            return Ok(Some(SearchedBlock::Decoded(block)));
        }
        let record = self.record(number)?;
        Ok(record.map(|record| SearchedBlock::Encoded {
            body: record.rest,
            receipts: record.receipts,
        }))
    }

    /// The first rows of an address, `most` of them, of blocks from `from` on and before `to`.
    pub(crate) fn log_rows(
        &self,
        address: &Address,
        blocks: Range<u64>,
        most: usize,
    ) -> Result<Vec<LogRow>> {
        let (from, to) = (
            keys::log_row(address, blocks.start),
            keys::log_row(address, blocks.end),
        );
        let mut rows = Vec::new();
        self.kv.range(&from, &to, &mut |key, row| {
            let number = key.last_chunk::<8>().copied().map(u64::from_be_bytes);
            let number = number.ok_or_else(|| damaged("a row of logs"))?;
            rows.push(LogRow::new(number, row.to_vec()));
            Ok(rows.len() < most)
        })?;
        Ok(rows)
    }

    pub(crate) fn rlp(&self, number: u64) -> Result<Option<(Bytes, Requests)>> {
        Ok(self.record(number)?.as_ref().map(block_rlp))
    }

    fn record(&self, number: u64) -> Result<Option<Record>> {
        let Some(location) = self.location(number)? else {
            return Ok(None);
        };
        let record = self.log.read(location)?;
        check_number(number, record.number)?;
        Ok(Some(record))
    }
}

/// A block as the log keeps it.
pub(crate) fn encode_record(block: &Block, receipts: &[ReceiptEnvelope]) -> Record {
    let mut rest = Vec::with_capacity(block.size);
    block.transactions.encode(&mut rest);
    block.ommers.encode(&mut rest);
    if block.header.withdrawals_root.is_some() {
        block.withdrawals.encode(&mut rest);
    }
    let mut encoded_receipts = Vec::new();
    alloy_rlp::encode_list(receipts, &mut encoded_receipts);
    Record {
        number: block.header.number,
        header: alloy_rlp::encode(&block.header).into(),
        rest: rest.into(),
        senders: block.senders.clone(),
        requests: block.requests.iter().cloned().collect(),
        receipts: encoded_receipts.into(),
    }
}

/// The block's RLP and its requests, without decoding anything.
pub(crate) fn block_rlp(record: &Record) -> (Bytes, Requests) {
    let payload_length = record.header.len() + record.rest.len();
    let mut rlp = Vec::with_capacity(payload_length + 5);
    alloy_rlp::Header {
        list: true,
        payload_length,
    }
    .encode(&mut rlp);
    rlp.extend_from_slice(&record.header);
    rlp.extend_from_slice(&record.rest);
    (rlp.into(), Requests::new(record.requests.clone()))
}

fn decode_record(record: Record) -> Result<StoredBlock> {
    let header = decode::<Header>(&record.header, "header")?;
    let mut rest = &record.rest[..];
    let transactions = decode_next::<Vec<TxEnvelope>>(&mut rest, "transactions")?;
    let ommers = decode_next::<Vec<Header>>(&mut rest, "ommers")?;
    let withdrawals = if header.withdrawals_root.is_some() {
        decode_next::<Withdrawals>(&mut rest, "withdrawals")?.into_inner()
    } else {
        Vec::new()
    };
    let receipts = decode::<Vec<ReceiptEnvelope>>(&record.receipts, "receipts")?;
    let counts = [record.senders.len(), receipts.len()];
    if !rest.is_empty() || counts != [transactions.len(); 2] {
        return Err(damaged("a block"));
    }
    let size = block_rlp(&record).0.len();
    let block = Block {
        hash: keccak256(&record.header),
        header,
        transactions,
        senders: record.senders,
        withdrawals,
        ommers,
        requests: Requests::new(record.requests),
        size,
    };
    Ok(StoredBlock { block, receipts })
}

fn decode<T: Decodable>(mut rlp: &[u8], what: &str) -> Result<T> {
    let value = decode_next(&mut rlp, what)?;
    if rlp.is_empty() {
        Ok(value)
    } else {
        Err(damaged(what))
    }
}

fn decode_next<T: Decodable>(rlp: &mut &[u8], what: &str) -> Result<T> {
    T::decode(rlp).map_err(|error| damaged(&format!("{what}: {error}")))
}

fn check_number(expected: u64, found: u64) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(EngineError::Corruption(format!(
        "the block log has block {found} where block {expected} should be"
    )))
}

fn number_from(value: &[u8]) -> Result<u64> {
    let bytes = value.try_into().map_err(|_| damaged("a block number"))?;
    Ok(u64::from_be_bytes(bytes))
}

fn damaged(what: &str) -> EngineError {
    EngineError::Corruption(format!("stored block: {what}"))
}
