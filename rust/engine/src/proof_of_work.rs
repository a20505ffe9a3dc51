//! What blocks before the merge have and later ones have not: ommers, and the DAO fork. Only imported chains have them.
//!
//! The work itself is not checked: neither the difficulty nor the seal of a header. An imported chain is believed to be the
//! one that somebody mined; what its blocks do to the state is checked in full.

use alloy_consensus::Header;
use alloy_evm::eth::dao_fork::{DAO_HARDFORK_ACCOUNTS, DAO_HARDFORK_BENEFICIARY};
use alloy_primitives::{Address, B256, U256};
use revm::{
    Database, DatabaseCommit,
    state::{Account, TransactionId},
};

use crate::{
    Block, ChainSpec, EngineError, Result, block::invalid, execute::OverlayState,
    header::validate_header, overlay::Overlay,
};

/// An ommer's parent is at most this many blocks before the block that names it; source: Yellow Paper, 11.1.
pub(crate) const OMMER_GENERATIONS: u64 = 7;
const OMMERS_MAX: usize = 2;
/// Blocks from the DAO fork on that carry [`DAO_EXTRA_DATA`]; source: EIP-779.
const DAO_EXTRA_DATA_BLOCKS: u64 = 10;
const DAO_EXTRA_DATA: &[u8] = b"dao-hard-fork";

/// A block before another, as far as ommers are judged by it.
#[derive(Debug, Clone)]
pub(crate) struct Ancestor {
    pub(crate) hash: B256,
    pub(crate) header: Header,
    pub(crate) ommers: Vec<Header>,
}

impl Ancestor {
    pub(crate) fn of(block: &Block) -> Self {
        Self {
            hash: block.hash,
            header: block.header.clone(),
            ommers: block.ommers.clone(),
        }
    }
}

/// Check the ommers of a block; `ancestors` are the [`OMMER_GENERATIONS`] blocks before it, or all, newest first.
pub(crate) fn validate_ommers(
    spec: &ChainSpec,
    block: &Block,
    ancestors: &[Ancestor],
) -> Result<()> {
    if block.ommers.len() > OMMERS_MAX {
        return Err(refused(format!(
            "{} ommers, over {OMMERS_MAX}",
            block.ommers.len()
        )));
    }
    let mut known: Vec<B256> = ancestors
        .iter()
        .flat_map(|ancestor| ancestor.ommers.iter().map(Header::hash_slow))
        .collect();
    for ommer in &block.ommers {
        let hash = ommer.hash_slow();
        if known.contains(&hash) {
            return Err(refused(format!("the ommer {hash} was named before")));
        }
        if ancestors.iter().any(|ancestor| ancestor.hash == hash) {
            return Err(refused(format!("the ommer {hash} is an ancestor")));
        }
        // The first ancestor is the block's parent, whose children are its brothers, not ommers.
        let parent = ancestors
            .iter()
            .skip(1)
            .find(|ancestor| ancestor.hash == ommer.parent_hash)
            .ok_or_else(|| {
                refused(format!(
                    "the parent {} of the ommer {hash} is none of the second to seventh blocks before",
                    ommer.parent_hash
                ))
            })?;
        validate_header(spec, ommer, &parent.header, parent.hash).map_err(|error| match error {
            EngineError::InvalidBlock { code, detail } => {
                refused(format!("the ommer {hash}: {code}: {detail}"))
            }
            other => other,
        })?;
        known.push(hash);
    }
    Ok(())
}

fn refused(detail: String) -> EngineError {
    invalid("ommers", detail)
}

/// The rules of a header before the merge that are not those of every header.
pub(crate) fn validate_proof_of_work(spec: &ChainSpec, header: &Header) -> Result<()> {
    if header.difficulty.is_zero() {
        return Err(invalid(
            "difficulty",
            "the difficulty is zero before the merge".into(),
        ));
    }
    validate_dao_extra_data(spec, header)
}

/// EIP-779: both sides of the DAO fork tell their first blocks apart, so that they do not take the other's.
fn validate_dao_extra_data(spec: &ChainSpec, header: &Header) -> Result<()> {
    let Some(fork) = spec.config().dao_fork_block else {
        return Ok(());
    };
    let is_marked = *header.extra_data == *DAO_EXTRA_DATA;
    let is_in_range = (fork..fork.saturating_add(DAO_EXTRA_DATA_BLOCKS)).contains(&header.number);
    if is_in_range && is_marked != spec.config().dao_fork_support {
        let text = if is_marked { "is" } else { "is not" };
        return Err(invalid(
            "extra_data",
            format!("the extra data {text} that of the DAO fork at block {fork}"),
        ));
    }
    Ok(())
}

/// EIP-779: at the DAO fork, before its block's transactions, the balances of its accounts go to the refund contract.
pub(crate) fn apply_dao_fork(
    spec: &ChainSpec,
    overlay: &Overlay,
    state: &mut OverlayState<'_>,
    number: u64,
) -> Result<()> {
    let config = spec.config();
    if !config.dao_fork_support || config.dao_fork_block != Some(number) {
        return Ok(());
    }
    let mut drained = U256::ZERO;
    let mut changes = Vec::with_capacity(DAO_HARDFORK_ACCOUNTS.len() + 1);
    for address in DAO_HARDFORK_ACCOUNTS {
        let mut account = load(overlay, state, address)?;
        drained += std::mem::take(&mut account.info.balance);
        changes.push((address, account));
    }
    let mut refund = load(overlay, state, DAO_HARDFORK_BENEFICIARY)?;
    refund.info.balance += drained;
    changes.push((DAO_HARDFORK_BENEFICIARY, refund));
    for (_, account) in &mut changes {
        account.mark_touch();
        if account.is_empty() {
            // Before EIP-161 an account that is touched exists, also with nothing in it.
            account.mark_created();
        }
    }
    state.commit(changes.into_iter().collect());
    Ok(())
}

fn load(overlay: &Overlay, state: &mut OverlayState<'_>, address: Address) -> Result<Account> {
    let info = state.basic(address).map_err(|error| {
        overlay
            .fault()
            .cloned()
            .unwrap_or_else(|| EngineError::Storage(error.to_string()))
    })?;
    Ok(info.map_or_else(
        || Account::new_not_existing(TransactionId::ZERO),
        Account::from,
    ))
}

#[cfg(test)]
mod tests;
