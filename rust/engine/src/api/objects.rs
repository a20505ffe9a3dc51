//! Blocks, transactions, receipts and logs as alloy's RPC types, from what the store and the pool keep.

use alloy_consensus::{Sealed, Transaction as _, transaction::Recovered};
use alloy_primitives::U256;
use alloy_rpc_types_eth::{
    Block as RpcBlock, BlockTransactions, Header as RpcHeader, Log, Transaction,
    TransactionReceipt, Withdrawals,
};

use crate::{Block, pool::PooledTransaction, store::StoredBlock};

/// The header as newHeads gives it: without the size, which belongs to the whole block.
pub(super) fn header(block: &Block) -> RpcHeader {
    RpcHeader::from_consensus(
        Sealed::new_unchecked(block.header.clone(), block.hash),
        None,
        None,
    )
}

/// The block with its transactions, whole or as hashes.
pub(super) fn block(block: &Block, full: bool) -> RpcBlock {
    let transactions = if full {
        BlockTransactions::Full(
            (0..block.transactions.len())
                .map(|index| transaction(block, index))
                .collect(),
        )
    } else {
        BlockTransactions::Hashes(block.transactions.iter().map(|tx| *tx.hash()).collect())
    };
    RpcBlock {
        header: header(block).with_size(Some(U256::from(block.size))),
        uncles: block
            .ommers
            .iter()
            .map(alloy_consensus::Header::hash_slow)
            .collect(),
        transactions,
        withdrawals: block
            .header
            .withdrawals_root
            .map(|_| Withdrawals::new(block.withdrawals.clone())),
    }
}

/// Transaction `index` of a decided block; the caller has checked the index.
pub(super) fn transaction(block: &Block, index: usize) -> Transaction {
    let transaction = &block.transactions[index];
    Transaction {
        inner: Recovered::new_unchecked(transaction.clone(), block.senders[index]),
        block_hash: Some(block.hash),
        block_number: Some(block.header.number),
        transaction_index: Some(index as u64),
        effective_gas_price: Some(transaction.effective_gas_price(block.header.base_fee_per_gas)),
        block_timestamp: Some(block.header.timestamp),
    }
}

/// A transaction that no block holds; its gas price is the most it would pay.
pub(super) fn pending_transaction(pooled: &PooledTransaction) -> Transaction {
    Transaction {
        effective_gas_price: Some(pooled.transaction.max_fee_per_gas()),
        inner: pooled.transaction.clone(),
        block_hash: None,
        block_number: None,
        transaction_index: None,
        block_timestamp: None,
    }
}

/// The receipt of transaction `index`. `blob_gas_price` is the block's.
pub(super) fn receipt(
    stored: &StoredBlock,
    index: usize,
    first_log: u64,
    blob_gas_price: Option<u128>,
) -> TransactionReceipt {
    let block = &stored.block;
    let transaction = &block.transactions[index];
    let from = block.senders[index];
    let gas_before = index
        .checked_sub(1)
        .map_or(0, |before| stored.receipts[before].cumulative_gas_used());
    let mut log_index = first_log;
    let inner = stored.receipts[index].clone().map_logs(|inner| {
        let log = log(block, index, log_index, inner);
        log_index += 1;
        log
    });
    TransactionReceipt {
        gas_used: inner.cumulative_gas_used() - gas_before,
        inner,
        transaction_hash: *transaction.hash(),
        transaction_index: Some(index as u64),
        block_hash: Some(block.hash),
        block_number: Some(block.header.number),
        effective_gas_price: transaction.effective_gas_price(block.header.base_fee_per_gas),
        blob_gas_used: transaction.blob_gas_used(),
        blob_gas_price: transaction.blob_gas_used().and(blob_gas_price),
        from,
        to: transaction.to(),
        contract_address: transaction
            .is_create()
            .then(|| from.create(transaction.nonce())),
    }
}

/// How many logs the block has before those of transaction `index`.
pub(super) fn logs_before(stored: &StoredBlock, index: usize) -> u64 {
    stored.receipts[..index]
        .iter()
        .map(|receipt| receipt.logs().len() as u64)
        .sum()
}

/// All logs of a block, numbered through the block.
pub(super) fn logs(stored: &StoredBlock) -> impl Iterator<Item = Log> {
    stored
        .receipts
        .iter()
        .enumerate()
        .flat_map(|(index, receipt)| receipt.logs().iter().map(move |inner| (index, inner)))
        .zip(0..)
        .map(|((index, inner), log_index)| log(&stored.block, index, log_index, inner.clone()))
}

/// A log with its place in the chain.
pub(super) fn log(
    block: &Block,
    transaction_index: usize,
    log_index: u64,
    inner: alloy_primitives::Log,
) -> Log {
    Log {
        inner,
        block_hash: Some(block.hash),
        block_number: Some(block.header.number),
        block_timestamp: Some(block.header.timestamp),
        transaction_hash: block
            .transactions
            .get(transaction_index)
            .map(|transaction| *transaction.hash()),
        transaction_index: Some(transaction_index as u64),
        log_index: Some(log_index),
        removed: false,
    }
}
