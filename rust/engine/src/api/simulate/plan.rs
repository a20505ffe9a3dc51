//! The blocks of a simulation in order: numbers and times filled in, gaps filled with empty blocks.

use alloy_consensus::Header;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::U256;

use super::{BLOCKS_MAX, BlockCalls, refusal};
use crate::api::{
    RpcError,
    call::CallRequest,
    overrides::{BlockOverrides, StateOverrides},
    params::Object,
};

/// Seconds between two simulated blocks whose times nobody chose: the slot of Ethereum.
const SECONDS_BETWEEN_BLOCKS: u64 = 12;

/// One block to simulate.
#[derive(Debug, Default)]
pub(super) struct BlockPlan {
    pub(super) number: u64,
    pub(super) timestamp: u64,
    pub(super) block: BlockOverrides,
    pub(super) state: Option<StateOverrides>,
    pub(super) calls: Vec<CallRequest>,
}

impl BlockPlan {
    /// The blocks that follow `base`.
    pub(super) fn sequence(
        blocks: Vec<Object<BlockCalls>>,
        base: &Header,
    ) -> Result<Vec<Self>, RpcError> {
        let mut plans: Vec<Self> = Vec::new();
        let (mut number, mut timestamp) = (base.number, base.timestamp);
        for Object(calls) in blocks {
            let Object(block) = calls.block_overrides.unwrap_or_default();
            let wanted = block.number.as_ref().map(|number| number.0);
            let wanted = wanted.unwrap_or(U256::from(number) + U256::ONE);
            if wanted <= U256::from(number) {
                return Err(refusal::block_number_order(wanted, number));
            }
            if wanted - U256::from(base.number) > U256::from(BLOCKS_MAX) {
                return Err(refusal::too_many_blocks());
            }
            let wanted: u64 = wanted.saturating_to();
            while number + 1 < wanted {
                number += 1;
                timestamp = later(timestamp)?;
                plans.push(Self {
                    number,
                    timestamp,
                    ..Self::default()
                });
            }
            number = wanted;
            timestamp = match &block.time {
                None => later(timestamp)?,
                Some(time) if time.0 > timestamp => time.0,
                Some(time) => return Err(refusal::block_timestamp_order(time.0, timestamp)),
            };
            plans.push(Self {
                number,
                timestamp,
                block,
                state: calls.state_overrides,
                calls: calls
                    .calls
                    .unwrap_or_default()
                    .into_iter()
                    .map(|Object(call)| call)
                    .collect(),
            });
        }
        Ok(plans)
    }

    pub(super) fn withdrawals(&self) -> Vec<Withdrawal> {
        let withdrawals = self.block.withdrawals.iter().flatten();
        withdrawals.map(|Object(one)| one.to_withdrawal()).collect()
    }
}

fn later(timestamp: u64) -> Result<u64, RpcError> {
    timestamp
        .checked_add(SECONDS_BETWEEN_BLOCKS)
        .ok_or_else(|| RpcError::invalid_params("block timestamp overflows 64 bits"))
}
