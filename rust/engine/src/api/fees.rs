//! Fees: what was paid lately, and what to offer.

use std::{sync::Arc, time::Instant};

use alloy_consensus::{Header, Transaction as _};
use alloy_primitives::{B256, U64, U128, U256};
use alloy_rpc_types_eth::FeeHistory;
use parking_lot::Mutex;

use super::{
    Answer, Api, RpcError,
    block_id::{BlockId, BlockNumber},
    json,
    params::{HexOrDecimal, Params},
    pending::PendingBlock,
};
use crate::{header::next_base_fee, store::StoredBlock};

/// Percentiles that one eth_feeHistory may ask for; source: geth.
const PERCENTILES_MAX: usize = 100;
/// The tip offered on a chain where nobody pays one: small, and not zero, which some wallets take for a failure.
const TIP_FLOOR_WEI: u128 = 1_000_000;
/// The most that is suggested, whatever was paid; source: geth.
const TIP_CEILING_WEI: u128 = 500_000_000_000;
/// Tips below this say nothing about the market; source: geth.
const TIP_IGNORED_WEI: u128 = 2;
const TIP_BLOCKS: u64 = 20;
const TIP_SAMPLES_PER_BLOCK: usize = 3;
const TIP_PERCENTILE: usize = 60;

/// The suggested tip, worked out once a block.
#[derive(Debug, Default)]
pub(super) struct TipOracle(Mutex<Option<(B256, u128)>>);

impl Api {
    pub(super) fn gas_price(&self, _: &Params<'_>) -> Answer {
        let base_fee = self.head_header()?.base_fee_per_gas.unwrap_or_default();
        json(&U256::from(self.suggested_tip()? + u128::from(base_fee)))
    }

    pub(super) fn max_priority_fee_per_gas(&self, _: &Params<'_>) -> Answer {
        json(&U128::from(self.suggested_tip()?))
    }

    /// The base fee of the next block.
    pub(super) fn base_fee(&self, _: &Params<'_>) -> Answer {
        json(&U64::from(self.next_base_fee(&self.head_header()?)))
    }

    /// The blob base fee of the next block.
    pub(super) fn blob_base_fee(&self, _: &Params<'_>) -> Answer {
        json(&U128::from(self.next_blob_base_fee(&self.head_header()?)))
    }

    pub(super) fn next_base_fee(&self, parent: &Header) -> u64 {
        next_base_fee(self.engine.spec(), parent).unwrap_or_default()
    }

    fn next_blob_base_fee(&self, parent: &Header) -> u128 {
        self.engine
            .spec()
            .blob_params_at(parent.timestamp)
            .and_then(|blobs| parent.next_block_blob_fee(blobs))
            .unwrap_or_default()
    }

    fn head_header(&self) -> Result<Header, RpcError> {
        let number = self.engine.store().head().number;
        let header = self.engine.store().header(number)?;
        header
            .map(|header| header.0.clone())
            .ok_or_else(|| RpcError::internal("the head has no header"))
    }

    /// A low percentile of the lowest tips of recent blocks; a proposer's own transactions do not count.
    fn suggested_tip(&self) -> Result<u128, RpcError> {
        let head = self.engine.store().head();
        if let Some((hash, tip)) = *self.tip_oracle.0.lock()
            && hash == head.hash
        {
            return Ok(tip);
        }
        let mut samples = Vec::new();
        let oldest = head.number.saturating_sub(TIP_BLOCKS - 1).max(1);
        for number in oldest..=head.number {
            let Some(header) = self.engine.store().header(number)? else {
                continue;
            };
            if header.0.gas_used == 0 {
                continue;
            }
            if let Some(stored) = self.engine.store().block(number)? {
                samples.extend(lowest_tips(&stored));
            }
        }
        samples.sort_unstable();
        let tip = samples
            .len()
            .checked_sub(1)
            .map_or(TIP_FLOOR_WEI, |last| samples[last * TIP_PERCENTILE / 100])
            .min(TIP_CEILING_WEI);
        *self.tip_oracle.0.lock() = Some((head.hash, tip));
        Ok(tip)
    }

    pub(super) fn fee_history(&self, params: &Params<'_>) -> Answer {
        let HexOrDecimal(asked) = params.required(0)?;
        let newest = params.required::<BlockNumber>(1)?;
        let percentiles = params.optional::<Vec<f64>>(2)?.unwrap_or_default();
        check_percentiles(&percentiles)?;
        let pending = match newest {
            BlockNumber::Pending => self.pending(),
            _ => None,
        };
        let asked = match newest {
            // As in geth there is one block less to tell of.
            BlockNumber::Pending if pending.is_none() => asked.saturating_sub(1),
            _ => asked,
        };
        let head = self.engine.store().head().number;
        let newest = match newest {
            BlockNumber::Number(number) if number > head => {
                return Err(RpcError::server(format!(
                    "request beyond head block: requested {number}, head {head}"
                )));
            }
            BlockNumber::Number(number) => number,
            BlockNumber::Earliest => 0,
            BlockNumber::Latest => head,
            BlockNumber::Pending => pending.as_ref().map_or(head, |pending| pending.number()),
        };
        let count = asked
            .min(self.limits.fee_history_blocks_max)
            .min(newest + 1);
        self.check_kept(newest)?;
        // A node that began from a snapshot tells of the blocks that it has.
        let first = self.engine.store().first_block();
        let count = if newest < first {
            count
        } else if first > 1 {
            count.min(newest + 1 - first)
        } else {
            count
        };
        if count == 0 {
            return json(&FeeHistory::default());
        }
        let deadline = Instant::now() + self.limits.scan_timeout;
        let mut history = FeeHistory {
            oldest_block: newest + 1 - count,
            reward: (!percentiles.is_empty()).then(Vec::new),
            ..FeeHistory::default()
        };
        for number in history.oldest_block..=newest {
            if Instant::now() > deadline || params.caller().is_abandoned() {
                return Err(RpcError::timed_out(
                    "fee history took too long: ask for fewer blocks",
                ));
            }
            let pending = pending.as_deref().filter(|one| one.number() == number);
            self.add_fees(&mut history, number, pending, &percentiles)?;
            if number == newest {
                self.add_next_fees(&mut history, number, pending)?;
            }
        }
        json(&history)
    }

    /// Block `number`, the pending one or a decided one.
    fn header_for_fees(
        &self,
        number: u64,
        pending: Option<&PendingBlock>,
    ) -> Result<Arc<(Header, B256)>, RpcError> {
        if let Some(pending) = pending {
            return Ok(Arc::clone(pending.header()));
        }
        let sealed = self.engine.store().header(number)?;
        sealed.ok_or_else(|| RpcError::internal(format!("block {number} has no header")))
    }

    /// Append block `number`.
    fn add_fees(
        &self,
        history: &mut FeeHistory,
        number: u64,
        pending: Option<&PendingBlock>,
        percentiles: &[f64],
    ) -> Result<(), RpcError> {
        let sealed = self.header_for_fees(number, pending)?;
        let header = &sealed.0;
        let blobs = self.engine.spec().blob_params_at(header.timestamp);
        history
            .base_fee_per_gas
            .push(header.base_fee_per_gas.unwrap_or_default().into());
        history
            .gas_used_ratio
            .push(ratio(header.gas_used, header.gas_limit));
        history.base_fee_per_blob_gas.push(
            blobs
                .zip(header.excess_blob_gas)
                .map_or(0, |(blobs, excess)| blobs.calc_blob_fee(excess)),
        );
        history.blob_gas_used_ratio.push(ratio(
            header.blob_gas_used.unwrap_or_default(),
            blobs.map_or(0, |blobs| blobs.max_blob_gas_per_block()),
        ));
        if let Some(reward) = &mut history.reward {
            reward.push(match pending {
                _ if header.gas_used == 0 => vec![0; percentiles.len()],
                Some(pending) => rewards(pending.stored(), percentiles),
                None => {
                    let block = self.find_block(BlockId::Number(BlockNumber::Number(number)))?;
                    let missing = || RpcError::internal(format!("block {number} has no body"));
                    rewards(&*block.ok_or_else(missing)?, percentiles)
                }
            });
        }
        Ok(())
    }

    /// Append the fees of the block that follows block `number`.
    fn add_next_fees(
        &self,
        history: &mut FeeHistory,
        number: u64,
        pending: Option<&PendingBlock>,
    ) -> Result<(), RpcError> {
        let sealed = self.header_for_fees(number, pending)?;
        history
            .base_fee_per_gas
            .push(self.next_base_fee(&sealed.0).into());
        history
            .base_fee_per_blob_gas
            .push(self.next_blob_base_fee(&sealed.0));
        Ok(())
    }
}

fn check_percentiles(percentiles: &[f64]) -> Result<(), RpcError> {
    let refuse = |what: String| {
        Err(RpcError::server(format!(
            "invalid reward percentile: {what}"
        )))
    };
    if percentiles.len() > PERCENTILES_MAX {
        return refuse(format!("over the query limit {PERCENTILES_MAX}"));
    }
    if let Some(outside) = percentiles.iter().find(|p| !(0.0..=100.0).contains(*p)) {
        return refuse(format!("{outside:.6}"));
    }
    for (index, pair) in percentiles.windows(2).enumerate() {
        if pair[1] <= pair[0] {
            return refuse(format!(
                "#{index}:{:.6} >= #{}:{:.6}",
                pair[0],
                index + 1,
                pair[1]
            ));
        }
    }
    Ok(())
}

fn ratio(used: u64, limit: u64) -> f64 {
    if limit == 0 {
        0.0
    } else {
        used as f64 / limit as f64
    }
}

/// Tip and gas of each transaction, cheapest first.
fn tips(stored: &StoredBlock) -> Vec<(u128, u64)> {
    let base_fee = stored.block.header.base_fee_per_gas.unwrap_or_default();
    let mut gas_before = 0;
    let mut tips: Vec<(u128, u64)> = stored
        .block
        .transactions
        .iter()
        .zip(&stored.receipts)
        .map(|(transaction, receipt)| {
            let gas = receipt.cumulative_gas_used() - gas_before;
            gas_before = receipt.cumulative_gas_used();
            let tip = transaction.effective_tip_per_gas(base_fee);
            (tip.unwrap_or_default(), gas)
        })
        .collect();
    tips.sort_by_key(|(tip, _)| *tip);
    tips
}

/// The tip at each percentile of the block's gas. `percentiles` rise.
fn rewards(stored: &StoredBlock, percentiles: &[f64]) -> Vec<u128> {
    let tips = tips(stored);
    let Some(mut gas_so_far) = tips.first().map(|(_, gas)| *gas) else {
        return vec![0; percentiles.len()];
    };
    let mut index = 0;
    percentiles
        .iter()
        .map(|percentile| {
            let threshold = (stored.block.header.gas_used as f64 * percentile / 100.0) as u64;
            while gas_so_far < threshold && index + 1 < tips.len() {
                index += 1;
                gas_so_far += tips[index].1;
            }
            tips[index].0
        })
        .collect()
}

fn lowest_tips(stored: &StoredBlock) -> Vec<u128> {
    let block = &stored.block;
    let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
    let mut tips: Vec<u128> = block
        .transactions
        .iter()
        .zip(&block.senders)
        .filter(|(_, sender)| **sender != block.header.beneficiary)
        .filter_map(|(transaction, _)| transaction.effective_tip_per_gas(base_fee))
        .filter(|tip| *tip >= TIP_IGNORED_WEI)
        .collect();
    tips.sort_unstable();
    tips.truncate(TIP_SAMPLES_PER_BLOCK);
    tips
}
