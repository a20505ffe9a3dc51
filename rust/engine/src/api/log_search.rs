//! The search for logs: the rows of an address where blocks have them, blocks by their bloom elsewhere.

use std::{ops::Range, time::Instant};

use alloy_primitives::{Address, B256};

use super::{
    Answer, Api, ApiLimits, Caller, Holding, RpcError,
    log_json::{FoundLog, LogsJson},
    log_scan::{Place, collect, scan},
    logs::Matcher,
};
use crate::store::{LogRow, SearchedBlock, Store};

/// Rows read between two looks at the clock; of at most 16 KiB each.
const ROWS_TOGETHER_MAX: usize = 256;
/// An address has to be looked for in every table of the store, which costs about as much as the blooms of so many blocks.
const BLOCKS_PER_ADDRESS_MIN: u64 = 8;

/// A search that is going on.
pub(super) struct Search<'a> {
    store: &'a Store,
    limits: &'a ApiLimits,
    caller: &'a Caller,
    matcher: Matcher,
    blocks: Range<u64>,
    deadline: Instant,
    found: LogsJson,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        api: &'a Api,
        caller: &'a Caller,
        matcher: Matcher,
        blocks: Range<u64>,
    ) -> Self {
        Self {
            store: api.engine.store(),
            limits: &api.limits,
            caller,
            matcher,
            blocks,
            deadline: Instant::now() + api.limits.scan_timeout,
            found: LogsJson::default(),
        }
    }

    /// All that match, in the chain's order.
    pub(super) fn run(mut self) -> Answer {
        let Range { start, end } = self.blocks;
        let rows = self.blocks_by_rows();
        self.walk(start..rows.start)?;
        self.look_up(rows.clone())?;
        self.walk(rows.end..end)?;
        self.found.into_answer()
    }

    /// Those of the blocks that are searched by rows; an empty range where it is no use.
    fn blocks_by_rows(&self) -> Range<u64> {
        let kept = self.store.blocks_with_log_rows();
        let rows = kept.start.max(self.blocks.start)..kept.end.min(self.blocks.end);
        let addresses = self.matcher.addresses().len() as u64;
        let count = rows.end.saturating_sub(rows.start);
        if addresses == 0 || count == 0 || count < addresses * BLOCKS_PER_ADDRESS_MIN {
            return self.blocks.start..self.blocks.start;
        }
        rows
    }

    fn look_up(&mut self, blocks: Range<u64>) -> Result<(), RpcError> {
        if blocks.is_empty() {
            return Ok(());
        }
        let begun = self.found.len();
        let addresses = self.matcher.addresses().to_vec();
        for address in &addresses {
            let mut next = blocks.start;
            while next < blocks.end {
                self.check_time(next)?;
                let rows = self
                    .store
                    .log_rows(address, next..blocks.end, ROWS_TOGETHER_MAX)?;
                for row in &rows {
                    self.read_row(address, row)?;
                }
                next = match rows.last() {
                    Some(last) if rows.len() == ROWS_TOGETHER_MAX => last.number + 1,
                    _ => blocks.end,
                };
            }
        }
        if addresses.len() > 1 {
            self.found.sort_after(begun);
        }
        Ok(())
    }

    fn read_row(&mut self, address: &Address, row: &LogRow) -> Result<(), RpcError> {
        if row.is_left_out() {
            self.check_time(row.number)?;
            return self.read_block(row.number, Some(address));
        }
        let (matcher, found) = (&self.matcher, &mut self.found);
        row.visit(|log| {
            if matcher.matches(address, log.topics) {
                found.push(&FoundLog {
                    address,
                    topics: log.topics,
                    data: log.data,
                    block_hash: log.block_hash,
                    block_number: row.number,
                    block_timestamp: log.timestamp,
                    transaction_hash: log.transaction_hash,
                    transaction_index: log.transaction_index.into(),
                    log_index: log.log_index.into(),
                });
            }
        })?;
        self.check_count()
    }

    fn walk(&mut self, blocks: Range<u64>) -> Result<(), RpcError> {
        for number in blocks {
            self.check_time(number)?;
            self.read_block(number, None)?;
        }
        Ok(())
    }

    /// Take a block's logs; those of one address only, where there is one.
    fn read_block(&mut self, number: u64, only: Option<&Address>) -> Result<(), RpcError> {
        let Some(header) = self.store.header(number)? else {
            return Ok(());
        };
        if !self.matcher.may_match(&header.0.logs_bloom) {
            return Ok(());
        }
        let matcher = &self.matcher;
        let wanted = |address: &Address, topics: &[B256]| {
            only.is_none_or(|only| only == address) && matcher.matches(address, topics)
        };
        match self.store.searched_block(number)? {
            Some(SearchedBlock::Decoded(stored)) => {
                collect(&stored, wanted, &mut self.found);
            }
            Some(SearchedBlock::Encoded { body, receipts }) => {
                let place = Place {
                    number,
                    hash: header.1,
                    timestamp: header.0.timestamp,
                };
                scan(&body, &receipts, place, wanted, &mut self.found)?;
            }
            None => {}
        }
        self.check_count()
    }

    /// Whether the search may go on: it has time, and somebody waits for it.
    fn check_time(&self, number: u64) -> Result<(), RpcError> {
        if Instant::now() <= self.deadline && !self.caller.is_abandoned() {
            return Ok(());
        }
        Err(RpcError::timed_out(format!(
            "log search stopped at block {number} after {} s: ask for fewer blocks",
            self.limits.scan_timeout.as_secs()
        )))
    }

    fn check_count(&self) -> Result<(), RpcError> {
        // Sorting those of several addresses writes them once more.
        let copies = self.matcher.addresses().len().clamp(1, 2);
        if !self
            .caller
            .may_hold(Holding::Text, copies * self.found.bytes())
        {
            return Err(RpcError::no_room());
        }
        if self.found.len() <= self.limits.logs_max {
            return Ok(());
        }
        // The words by which indexers know that they have to halve their range.
        Err(RpcError::limit_exceeded(format!(
            "query returned more than {} results: ask for fewer blocks than {} to {}",
            self.limits.logs_max,
            self.blocks.start,
            self.blocks.end - 1
        )))
    }
}
