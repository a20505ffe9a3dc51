//! `ots_`: what the explorer Otterscan asks beside `eth_`, at level 8 of its interface.
//!
//! Nothing is indexed for it. Searches run blocks again and end after a time; what was found until then is answered, and
//! the caller goes on from there.

use std::{sync::Arc, time::Instant};

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rpc_types_trace::otterscan::{ContractCreator, InternalIssuance};
use revm_inspectors::otterscan::InternalOperationsInspector;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Answer, Api, RpcError,
    block_id::{BlockId, BlockNumber},
    call::{Allowance, Failure, transaction_env},
    debug::failed,
    json, null, objects,
    params::{Argument, HexOrDecimal, Params},
};
use crate::{
    Block,
    store::StoredBlock,
    tracing::{Ended, EntryTracer, MentionTracer, TraceInspector, Tracer},
};

/// The level of the interface that Otterscan looks for.
const API_LEVEL: u8 = 8;
/// Transactions on a page (Erigon: 25).
const PAGE_SIZE_MAX: u64 = 25;
/// Bytes of a function's selector, all that pages show of a transaction's input.
const SELECTOR_BYTES: usize = 4;

/// A block by its number, in any notation, or by a tag.
struct Height(BlockNumber);

impl Argument for Height {
    fn read(json: &str) -> Result<Self, String> {
        match json.bytes().next() {
            Some(first) if first.is_ascii_digit() => HexOrDecimal::read(json)
                .map(|HexOrDecimal(number)| Self(BlockNumber::Number(number))),
            _ => BlockNumber::read(json).map(Self),
        }
    }
}

/// A page of a search, newest first.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    txs: Vec<Value>,
    receipts: Vec<Value>,
    first_page: bool,
    last_page: bool,
}

impl Api {
    pub(super) fn ots_api_level(&self, _: &Params<'_>) -> Answer {
        json(&API_LEVEL)
    }

    pub(super) fn ots_has_code(&self, params: &Params<'_>) -> Answer {
        let address = params.required::<Address>(0)?;
        let state = self.state(params.optional(1)?.unwrap_or_default())?;
        let account = state.account(address)?;
        json(&account.is_some_and(|account| !account.is_empty_code_hash()))
    }

    /// Transfers of value inside the transaction, creations and self-destructions.
    pub(super) fn ots_internal_operations(&self, params: &Params<'_>) -> Answer {
        let (stored, index) = self.ots_transaction(params)?;
        let allowance = self.allowance(self.limits.trace_timeout, params);
        let mut session = self.session_before(&stored.block, index, &allowance)?;
        session.allow(&allowance);
        let inspector = InternalOperationsInspector::default();
        let (_, inspector) = session
            .inspect(transaction_env(&stored.block, index), inspector)
            .map_err(failed)?;
        json(inspector.operations())
    }

    /// What a failed transaction returned, `0x` for one that succeeded.
    pub(super) fn ots_transaction_error(&self, params: &Params<'_>) -> Answer {
        let (stored, index) = self.ots_transaction(params)?;
        if stored.receipts[index].status() {
            return json(&Bytes::new());
        }
        let allowance = self.allowance(self.limits.trace_timeout, params);
        let mut session = self.session_before(&stored.block, index, &allowance)?;
        session.allow(&allowance);
        let result = session
            .run(transaction_env(&stored.block, index))
            .map_err(failed)?;
        json(&result.into_output().unwrap_or_default())
    }

    /// All calls, creations and self-destructions in the order in which they began.
    pub(super) fn ots_trace_transaction(&self, params: &Params<'_>) -> Answer {
        let (stored, index) = self.ots_transaction(params)?;
        let allowance = self.allowance(self.limits.trace_timeout, params);
        let mut session = self.session_before(&stored.block, index, &allowance)?;
        session.allow(&allowance);
        let tracer = Tracer::Entries(EntryTracer::default());
        let inspector =
            TraceInspector::new(tracer, 0, self.limits.trace_bytes_max).held_by(params.caller(), 0);
        let (done, inspector) = session
            .trace(transaction_env(&stored.block, index), inspector)
            .map_err(failed)?;
        let ended = Ended {
            gas_used: done.result.tx_gas_used(),
            state: &done.state,
        };
        Ok(inspector.into_tracer().finish(&ended, &session.state)?)
    }

    fn ots_transaction(&self, params: &Params<'_>) -> Result<(Arc<StoredBlock>, usize), RpcError> {
        let hash = params.required::<B256>(0)?;
        self.find_transaction(hash)?
            .ok_or_else(|| RpcError::server("transaction not found"))
    }

    /// How older Otterscans find out whether a node will do.
    pub(super) fn erigon_header_by_number(&self, params: &Params<'_>) -> Answer {
        let Height(number) = params.required(0)?;
        self.header_of(number)
    }

    pub(super) fn ots_block_details(&self, params: &Params<'_>) -> Answer {
        let Height(number) = params.required(0)?;
        self.ots_details(BlockId::Number(number))
    }

    pub(super) fn ots_block_details_by_hash(&self, params: &Params<'_>) -> Answer {
        self.ots_details(BlockId::Hash(params.required(0)?))
    }

    /// The block without its transactions, with what its senders paid.
    fn ots_details(&self, id: BlockId) -> Answer {
        let Some(stored) = self.find_block(id)? else {
            return null();
        };
        let fees: U256 = self
            .receipts(&stored)
            .iter()
            .map(|receipt| {
                let gas = U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price);
                let blobs = U256::from(receipt.blob_gas_used.unwrap_or_default())
                    * U256::from(receipt.blob_gas_price.unwrap_or_default());
                gas + blobs
            })
            .sum();
        let mut block = value(&objects::block(&stored.block, false))?;
        if let Some(fields) = block.as_object_mut() {
            fields.remove("transactions");
            fields.insert("logsBloom".to_owned(), Value::Null);
            let count = stored.block.transactions.len();
            fields.insert("transactionCount".to_owned(), json!(count));
        }
        json(&json!({
            "block": block,
            "issuance": value(&InternalIssuance::default())?,
            "totalFees": fees,
        }))
    }

    /// A page of a block's transactions; page 0 has the last ones.
    pub(super) fn ots_block_transactions(&self, params: &Params<'_>) -> Answer {
        let Height(number) = params.required(0)?;
        let HexOrDecimal(page) = params.required(1)?;
        let size = page_size(params)?;
        let Some(stored) = self.find_block(BlockId::Number(number))? else {
            return null();
        };
        let count = stored.block.transactions.len() as u64;
        let end = count.saturating_sub(page.saturating_mul(size));
        let start = end.saturating_sub(size);
        let range = usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0);
        let mut block = value(&objects::block(&stored.block, false))?;
        let (mut transactions, mut receipts) = (Vec::new(), Vec::new());
        for index in range {
            let (transaction, receipt) = self.ots_shortened(&stored, index)?;
            transactions.push(transaction);
            receipts.push(receipt);
        }
        if let Some(fields) = block.as_object_mut() {
            fields.insert("transactions".to_owned(), Value::Array(transactions));
            fields.insert("transactionCount".to_owned(), json!(count));
            fields.insert("logsBloom".to_owned(), Value::Null);
        }
        json(&json!({ "fullblock": block, "receipts": receipts }))
    }

    /// A transaction with the selector of its input, and its receipt without logs.
    fn ots_shortened(
        &self,
        stored: &StoredBlock,
        index: usize,
    ) -> Result<(Value, Value), RpcError> {
        let block = &stored.block;
        let mut transaction = value(&objects::transaction(block, index))?;
        let input = block.transactions[index].input();
        let shown = Bytes::copy_from_slice(&input[..input.len().min(SELECTOR_BYTES)]);
        transaction["input"] = json!(shown);
        let blob_gas_price = self.blob_gas_price(stored);
        let mut receipt = value(&objects::receipt(stored, index, 0, blob_gas_price))?;
        receipt["logs"] = Value::Null;
        receipt["logsBloom"] = Value::Null;
        receipt["timestamp"] = json!(block.header.timestamp);
        Ok((transaction, receipt))
    }

    pub(super) fn ots_search_before(&self, params: &Params<'_>) -> Answer {
        let search = Search::of(self, params)?;
        let HexOrDecimal(before) = params.required(1)?;
        let head = self.engine.store().head().number;
        let is_first = before == 0 || before > head;
        let newest = if is_first { head } else { before - 1 };
        let oldest = self.engine.store().first_block().max(1);
        let mut found = Found::default();
        let mut number = newest;
        while number >= oldest && (found.txs.len() as u64) < search.size {
            if !search.block(self, number, &mut found)? {
                break;
            }
            number -= 1;
        }
        let cut_at = (number >= oldest).then_some(number);
        search.answer(found, is_first, cut_at.is_none(), cut_at)
    }

    pub(super) fn ots_search_after(&self, params: &Params<'_>) -> Answer {
        let search = Search::of(self, params)?;
        let HexOrDecimal(after) = params.required(1)?;
        let head = self.engine.store().head().number;
        let oldest = self.engine.store().first_block().max(1);
        let mut number = after.saturating_add(1).max(oldest);
        let mut found = Found::default();
        while number <= head && (found.txs.len() as u64) < search.size {
            if !search.block(self, number, &mut found)? {
                break;
            }
            number += 1;
        }
        let cut_at = (number <= head).then_some(number);
        found.txs.reverse();
        found.receipts.reverse();
        search.answer(found, cut_at.is_none(), after == 0, cut_at)
    }

    /// The hash of the transaction with a sender's nonce.
    pub(super) fn ots_transaction_by_sender_and_nonce(&self, params: &Params<'_>) -> Answer {
        let sender = params.required::<Address>(0)?;
        let HexOrDecimal(nonce) = params.required(1)?;
        let used = self.first_block_where(|state| {
            Ok(state
                .account(sender)?
                .is_some_and(|account| account.nonce > nonce))
        })?;
        let Some(stored) = used else {
            return null();
        };
        let block = &stored.block;
        let mut sent = block.transactions.iter().zip(&block.senders);
        // The nonce of an account also grows by what it delegates and creates.
        let found = sent.find(|sent| *sent.1 == sender && sent.0.nonce() == nonce);
        super::json_or_null(found.map(|(transaction, _)| *transaction.hash()))
    }

    /// Who created a contract, in which transaction; `null` for what is no contract or stood in the genesis block.
    pub(super) fn ots_contract_creator(&self, params: &Params<'_>) -> Answer {
        let address = params.required::<Address>(0)?;
        let exists = |state: &crate::store::StateView| {
            let account = state.account(address)?;
            Ok(account.is_some_and(|account| !account.is_empty_code_hash()))
        };
        let Some(stored) = self.first_block_where(exists)? else {
            return null();
        };
        if stored.block.header.number == 0 {
            return null();
        }
        let allowance = self.allowance(self.limits.trace_timeout, params);
        let mut session = self.session_of(&stored.block, &allowance)?;
        for (index, transaction) in stored.block.transactions.iter().enumerate() {
            session.allow(&allowance);
            let tracer = Tracer::Mention(MentionTracer::new(address));
            let inspector = TraceInspector::new(tracer, 0, usize::MAX);
            let env = transaction_env(&stored.block, index);
            let (done, inspector) = session.trace(env, inspector).map_err(failed)?;
            let is_successful = done.result.is_success();
            session.commit(done.state);
            if let Tracer::Mention(tracer) = inspector.into_tracer()
                && let Some(creator) = tracer.creator().filter(|_| is_successful)
            {
                let hash = *transaction.hash();
                return json(&ContractCreator { hash, creator });
            }
        }
        // Code that came by EIP-7702 was created by nobody.
        null()
    }

    /// The first block after which something holds, if it holds now and has not ceased to hold in between.
    fn first_block_where(
        &self,
        holds: impl Fn(&crate::store::StateView) -> Result<bool, RpcError>,
    ) -> Result<Option<Arc<StoredBlock>>, RpcError> {
        let store = self.engine.store();
        let mut high = store.head().number;
        if !holds(&store.latest())? {
            return Ok(None);
        }
        let oldest = store.stats().oldest_state;
        if holds(&store.state_at(oldest)?)? {
            if oldest == 0 {
                return Ok(store.block(0)?);
            }
            return Err(RpcError::server(format!(
                "it was so before block {oldest}, the oldest whose state is kept"
            )));
        }
        let mut low = oldest;
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if holds(&store.state_at(middle)?)? {
                high = middle;
            } else {
                low = middle;
            }
        }
        Ok(store.block(high)?)
    }
}

/// A search for an address through blocks.
pub(super) struct Search {
    pub(super) address: Address,
    pub(super) size: u64,
    pub(super) allowance: Allowance,
}

#[derive(Default)]
pub(super) struct Found {
    pub(super) txs: Vec<Value>,
    receipts: Vec<Value>,
}

impl Search {
    fn of(api: &Api, params: &Params<'_>) -> Result<Self, RpcError> {
        let timeout = api.limits.scan_timeout;
        Ok(Self {
            address: params.required(0)?,
            size: page_size(params)?,
            allowance: Allowance {
                end: Instant::now() + timeout,
                ..api.allowance(timeout, params)
            },
        })
    }

    /// Whether the time is over, or nobody waits any more.
    fn is_over(&self) -> bool {
        Instant::now() >= self.allowance.end || self.allowance.caller.is_abandoned()
    }

    /// Add a block's transactions in which the address calls or is called, newest first; `false` when the search is over.
    fn block(&self, api: &Api, number: u64, found: &mut Found) -> Result<bool, RpcError> {
        if self.is_over() {
            return Ok(false);
        }
        let Some(stored) = api.engine.store().block(number)? else {
            return Ok(true);
        };
        self.add(api, &stored, found)
    }

    /// The same of a block that was begun in time.
    pub(super) fn add(
        &self,
        api: &Api,
        stored: &StoredBlock,
        found: &mut Found,
    ) -> Result<bool, RpcError> {
        let matches = match self.matches(api, &stored.block) {
            Ok(matches) => matches,
            // Nothing of this block: the caller goes on behind the blocks of a page, and would never see its rest.
            Err(Failure::TimedOut(_)) => return Ok(false),
            Err(failure) => return Err(failed(failure)),
        };
        for index in matches.into_iter().rev() {
            let (transaction, receipt) = api.ots_shortened(stored, index)?;
            found.txs.push(transaction);
            found.receipts.push(receipt);
        }
        Ok(true)
    }

    /// The indices of a block's transactions in which the address calls or is called.
    fn matches(&self, api: &Api, block: &Block) -> Result<Vec<usize>, Failure> {
        let mut matches = Vec::new();
        let parent = block.header.number.checked_sub(1);
        let Some(parent) = parent.filter(|_| !block.transactions.is_empty()) else {
            return Ok(matches);
        };
        let mut session = api.session_after(parent, block, &self.allowance)?;
        for (index, transaction) in block.transactions.iter().enumerate() {
            session.allow(&self.allowance);
            let env = transaction_env(block, index);
            if block.senders[index] == self.address || transaction.to() == Some(self.address) {
                matches.push(index);
                session.apply(env)?;
                continue;
            }
            let tracer = Tracer::Mention(MentionTracer::new(self.address));
            let inspector = TraceInspector::new(tracer, 0, usize::MAX);
            let (done, inspector) = session.trace(env, inspector)?;
            session.commit(done.state);
            if let Tracer::Mention(tracer) = inspector.into_tracer()
                && tracer.is_found()
            {
                matches.push(index);
            }
        }
        Ok(matches)
    }

    /// What was found. Nothing before the search was cut at a block is an error, because the caller could not go on from it.
    fn answer(
        &self,
        found: Found,
        first_page: bool,
        last_page: bool,
        cut_at: Option<u64>,
    ) -> Answer {
        if let Some(at) = cut_at.filter(|_| found.txs.is_empty()) {
            return Err(RpcError::timed_out(format!(
                "no transaction of {} found within {:?}; the search had come to block {at}",
                self.address, self.allowance.timeout
            )));
        }
        json(&Page {
            txs: found.txs,
            receipts: found.receipts,
            first_page,
            last_page,
        })
    }
}

fn page_size(params: &Params<'_>) -> Result<u64, RpcError> {
    let HexOrDecimal(size) = params.required(2)?;
    if !(1..=PAGE_SIZE_MAX).contains(&size) {
        return Err(RpcError::invalid_params(format!(
            "invalid argument 2: page size {size}, want 1 to {PAGE_SIZE_MAX}"
        )));
    }
    Ok(size)
}

fn value<T: Serialize>(of: &T) -> Result<Value, RpcError> {
    serde_json::to_value(of).map_err(|error| RpcError::internal(error.to_string()))
}
