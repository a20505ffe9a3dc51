//! The rules of a block's body against its header, as far as they can be checked without executing it.

use alloy_consensus::{Transaction, proofs};
use alloy_eips::eip7825::MAX_TX_GAS_LIMIT_OSAKA;
use alloy_hardforks::EthereumHardforks;

use crate::{
    Block, ChainSpec, Result, block::invalid, header::expect_equal, spec::BLOCK_BYTES_MAX,
};

/// Check a block's body against its header. The hash of the requests is checked here, if they came with the block, their
/// content by execution.
pub(crate) fn validate_body(
    spec: &ChainSpec,
    block: &Block,
    are_requests_given: bool,
) -> Result<()> {
    validate_size(spec, block)?;
    expect_equal(
        "ommers",
        block.header.ommers_hash,
        proofs::calculate_ommers_root(&block.ommers),
    )?;
    if are_requests_given {
        validate_requests(block)?;
    }
    validate_transactions(spec, block)?;
    if let Some(root) = block.header.withdrawals_root {
        expect_equal(
            "withdrawals_root",
            root,
            proofs::calculate_withdrawals_root(&block.withdrawals),
        )?;
    }
    expect_equal(
        "transactions_root",
        block.header.transactions_root,
        proofs::calculate_transaction_root(&block.transactions),
    )
}

/// EIP-7934.
fn validate_size(spec: &ChainSpec, block: &Block) -> Result<()> {
    if spec.is_osaka_active_at_timestamp(block.header.timestamp) && block.size > BLOCK_BYTES_MAX {
        return Err(invalid(
            "block_size",
            format!("the block has {} bytes, over {BLOCK_BYTES_MAX}", block.size),
        ));
    }
    Ok(())
}

/// EIP-7685: requests are listed by ascending type, each type once, and none is empty.
fn validate_requests(block: &Block) -> Result<()> {
    let requests = &block.requests;
    let Some(hash) = block.header.requests_hash else {
        if requests.is_empty() {
            return Ok(());
        }
        return Err(invalid(
            "requests",
            format!(
                "{} requests before the fork that allows them",
                requests.len()
            ),
        ));
    };
    let mut last_type = None;
    for request in requests.iter() {
        if request.len() < 2 {
            return Err(invalid(
                "requests",
                format!("the request {request} has no data"),
            ));
        }
        let request_type = Some(request[0]);
        if request_type <= last_type {
            return Err(invalid(
                "requests",
                "the request types are not in ascending order".into(),
            ));
        }
        last_type = request_type;
    }
    expect_equal("requests_hash", hash, requests.requests_hash())
}

fn validate_transactions(spec: &ChainSpec, block: &Block) -> Result<()> {
    let header = &block.header;
    if spec.is_osaka_active_at_timestamp(header.timestamp) {
        let over = block
            .transactions
            .iter()
            .position(|transaction| transaction.gas_limit() > MAX_TX_GAS_LIMIT_OSAKA);
        if let Some(index) = over {
            // EIP-7825.
            return Err(invalid(
                "transaction_gas_limit",
                format!("transaction {index} has a gas limit over {MAX_TX_GAS_LIMIT_OSAKA}"),
            ));
        }
    }
    if let Some(used) = header.blob_gas_used {
        let blob_gas = block
            .transactions
            .iter()
            .filter_map(|transaction| transaction.blob_gas_used())
            .sum();
        expect_equal("blob_gas_used", used, blob_gas)?;
    }
    Ok(())
}
