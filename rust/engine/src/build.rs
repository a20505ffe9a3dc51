//! Building a block from the pool's best transactions, within gas, size and time.

use std::{sync::Arc, time::Instant};

use alloy_consensus::{Header, Transaction, TxEnvelope, proofs, transaction::Recovered};
use alloy_eips::eip4895::Withdrawal;
use alloy_evm::block::{BlockExecutionError, BlockExecutor};
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::Encodable;

use crate::{
    Block, ChainSpec, EngineError, ExecutedBlock, Result,
    execute::{self, ExecutorFactory, Outcome, OutcomeRoots},
    header::{gas_limit_before, next_base_fee, next_excess_blob_gas, validate_gas_limit},
    overlay::Overlay,
    pool::{BestTransactions, PooledTransaction},
    spec::{BLOCK_BYTES_MAX, EXTRA_DATA_BYTES_MAX},
};

/// The gas of the cheapest transaction: with less left, no other fits.
const TRANSACTION_GAS_MIN: u64 = 21_000;
/// RLP lengths around the parts of a block: the outer list, the lists in it; a generous bound.
const LIST_HEADERS_BYTES: usize = 64;
/// Roots and encoding after the last transaction take about as long as running the transactions did.
const FINISH_SHARE: u32 = 1;

/// What consensus decides about a block before it is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildAttributes {
    /// Seconds since the Unix epoch; greater than the parent's.
    pub timestamp: u64,
    pub fee_recipient: Address,
    pub prev_randao: B256,
    pub withdrawals: Vec<Withdrawal>,
    pub parent_beacon_block_root: B256,
    /// Within 1/1024 of the parent's.
    pub gas_limit: u64,
    /// At most 32 bytes.
    pub extra_data: Bytes,
}

/// The header of a child of `parent`, with everything that does not depend on its transactions.
pub(crate) fn child_header(
    spec: &ChainSpec,
    parent: &Header,
    parent_hash: B256,
    attributes: &BuildAttributes,
) -> Header {
    let timestamp = attributes.timestamp;
    let is_cancun = spec.is_cancun_active_at_timestamp(timestamp);
    Header {
        parent_hash,
        beneficiary: attributes.fee_recipient,
        number: parent.number.saturating_add(1),
        gas_limit: attributes.gas_limit,
        timestamp,
        extra_data: attributes.extra_data.clone(),
        mix_hash: attributes.prev_randao,
        base_fee_per_gas: next_base_fee(spec, parent),
        withdrawals_root: spec
            .is_shanghai_active_at_timestamp(timestamp)
            .then(|| proofs::calculate_withdrawals_root(&attributes.withdrawals)),
        blob_gas_used: is_cancun.then_some(0),
        excess_blob_gas: next_excess_blob_gas(spec, parent, timestamp),
        parent_beacon_block_root: is_cancun.then_some(attributes.parent_beacon_block_root),
        ..Header::default()
    }
}

/// Attributes that no valid block could have are the caller's mistake.
pub(crate) fn validate_attributes(
    spec: &ChainSpec,
    parent: &Header,
    attributes: &BuildAttributes,
) -> Result<()> {
    if !spec.is_paris_active_at_block(parent.number.saturating_add(1)) {
        return Err(EngineError::InvalidInput(format!(
            "block {} is before the merge: such blocks are imported, not built",
            parent.number.saturating_add(1)
        )));
    }
    if attributes.timestamp <= parent.timestamp {
        return Err(EngineError::InvalidInput(format!(
            "timestamp {} is not after the parent's {}",
            attributes.timestamp, parent.timestamp
        )));
    }
    if attributes.extra_data.len() > EXTRA_DATA_BYTES_MAX {
        return Err(EngineError::InvalidInput(format!(
            "extra data has {} bytes, over {EXTRA_DATA_BYTES_MAX}",
            attributes.extra_data.len()
        )));
    }
    let before = gas_limit_before(spec, parent);
    validate_gas_limit(attributes.gas_limit, before).map_err(|error| match error {
        EngineError::InvalidBlock { detail, .. } => EngineError::InvalidInput(detail),
        other => other,
    })
}

/// Transactions chosen for a block, and what running them gave.
#[derive(Debug)]
pub(crate) struct Filled {
    pub(crate) transactions: Vec<TxEnvelope>,
    pub(crate) senders: Vec<Address>,
    pub(crate) outcome: Outcome,
}

/// A transaction that may go into a block.
pub(crate) trait Candidate {
    fn transaction(&self) -> &Recovered<TxEnvelope>;
}

/// A source of transactions, best first. The pool's iterator is one.
pub(crate) trait Candidates: Iterator<Item: Candidate> {
    /// Leave out what else the sender of the last transaction has.
    fn skip_sender(&mut self);

    /// Hear why the last transaction was left out.
    fn refused(&mut self, reason: &dyn std::fmt::Display) {
        let _ = reason;
    }

    /// Hear that the time was over before the next one was asked for.
    fn out_of_time(&mut self) {}
}

/// Transactions that somebody chose, in their order; the first that is refused ends it.
pub(crate) struct Chosen {
    transactions: std::vec::IntoIter<Recovered<TxEnvelope>>,
    /// Why not all of them are in the block.
    pub(crate) refusal: Option<String>,
    /// Whether time ended it.
    pub(crate) is_late: bool,
}

impl Chosen {
    pub(crate) fn new(transactions: Vec<Recovered<TxEnvelope>>) -> Self {
        Self {
            transactions: transactions.into_iter(),
            refusal: None,
            is_late: false,
        }
    }
}

impl Candidate for Recovered<TxEnvelope> {
    fn transaction(&self) -> &Recovered<TxEnvelope> {
        self
    }
}

impl Iterator for &mut Chosen {
    type Item = Recovered<TxEnvelope>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.refusal.is_some() {
            return None;
        }
        self.transactions.next()
    }
}

impl Candidates for &mut Chosen {
    fn skip_sender(&mut self) {}

    fn refused(&mut self, reason: &dyn std::fmt::Display) {
        self.refusal.get_or_insert_with(|| reason.to_string());
    }

    fn out_of_time(&mut self) {
        self.is_late = true;
    }
}

impl Candidate for Arc<PooledTransaction> {
    fn transaction(&self) -> &Recovered<TxEnvelope> {
        &self.transaction
    }
}

impl Candidates for BestTransactions {
    fn skip_sender(&mut self) {
        Self::skip_sender(self);
    }
}

/// Run candidates on `overlay` until gas, bytes or time are used up.
pub(crate) fn fill(
    factory: &ExecutorFactory,
    overlay: &Overlay,
    header: &Header,
    withdrawals: &[Withdrawal],
    mut candidates: impl Candidates,
    deadline: Instant,
) -> Result<Filled> {
    let spec = factory.spec();
    let started = Instant::now();
    let mut bytes_left = bytes_for_transactions(spec, header, withdrawals);
    let mut gas_left = header.gas_limit;
    let mut transactions = Vec::new();
    let mut senders = Vec::new();

    let mut state = execute::overlay_state(overlay);
    let context = execute::execution_context(header, withdrawals, 0);
    let mut executor = execute::create_executor(factory, &mut state, spec.evm_env(header), context);
    executor
        .apply_pre_execution_changes()
        .map_err(|error| execute::fault_or(overlay, error, None))?;
    while gas_left >= TRANSACTION_GAS_MIN {
        let now = Instant::now();
        if now + (now - started) * FINISH_SHARE >= deadline {
            candidates.out_of_time();
            break;
        }
        let Some(candidate) = candidates.next() else {
            break;
        };
        let transaction = candidate.transaction();
        let length = transaction.inner().length();
        // Blobs need sidecars, which nothing here keeps: only the pool of an imported chain has such transactions.
        if transaction.gas_limit() > gas_left
            || length > bytes_left
            || transaction.inner().is_eip4844()
        {
            candidates.refused(&"the block has no place for it");
            candidates.skip_sender();
            continue;
        }
        let result = executor.execute_transaction(Recovered::new_unchecked(
            transaction.inner(),
            transaction.signer(),
        ));
        match result {
            Ok(gas) => {
                gas_left = gas_left.saturating_sub(gas.tx_gas_used());
                bytes_left -= length;
                transactions.push(transaction.inner().clone());
                senders.push(transaction.signer());
            }
            Err(error)
                if overlay.fault().is_some()
                    || matches!(error, BlockExecutionError::Internal(_)) =>
            {
                return Err(execute::fault_or(overlay, error, None));
            }
            Err(error) => {
                candidates.refused(&error);
                if !execute::is_stale_nonce(&error) {
                    candidates.skip_sender();
                }
            }
        }
    }
    let result = executor
        .finish()
        .map(|(_, result)| result)
        .map_err(|error| execute::fault_or(overlay, error, None))?;
    let outcome = execute::finish(spec, overlay, state, header, result)?;
    Ok(Filled {
        transactions,
        senders,
        outcome,
    })
}

/// EIP-7934 bounds the whole block; what is not transactions is set aside.
fn bytes_for_transactions(spec: &ChainSpec, header: &Header, withdrawals: &[Withdrawal]) -> usize {
    if !spec.is_osaka_active_at_timestamp(header.timestamp) {
        return usize::MAX;
    }
    // The header still grows: roots have their length, numbers at most nine bytes each, the requests hash 33.
    let header_bytes = header.length() + 4 * 9 + 33;
    let withdrawals_bytes: usize = withdrawals.iter().map(Encodable::length).sum();
    BLOCK_BYTES_MAX.saturating_sub(header_bytes + withdrawals_bytes + LIST_HEADERS_BYTES)
}

/// Complete a header with its outcome; gives the encoded block and the block.
pub(crate) fn seal(
    spec: &ChainSpec,
    mut header: Header,
    withdrawals: Vec<Withdrawal>,
    filled: Filled,
    roots: OutcomeRoots,
    transactions_root: B256,
) -> (Bytes, ExecutedBlock) {
    let Filled {
        transactions,
        senders,
        outcome,
    } = filled;
    header.state_root = roots.trie.root();
    header.receipts_root = roots.receipts_root;
    header.logs_bloom = roots.logs_bloom;
    header.transactions_root = transactions_root;
    header.gas_used = outcome.gas_used;
    if spec.is_cancun_active_at_timestamp(header.timestamp) {
        header.blob_gas_used = Some(outcome.blob_gas_used);
    }
    if spec.is_prague_active_at_timestamp(header.timestamp) {
        header.requests_hash = Some(outcome.requests.requests_hash());
    }
    let block = Block::from_parts(header, transactions, senders, withdrawals, outcome.requests);
    let rlp = block.encode();
    (
        rlp,
        ExecutedBlock {
            block,
            receipts: outcome.receipts,
            bundle: outcome.bundle,
            trie: roots.trie,
        },
    )
}
