//! `eth_simulateV1`: blocks that nobody decided, run one after the other on the state after a block that is there.
//!
//! A simulated block is executed as a real one is: system calls, calls, withdrawals, requests and roots. What differs is
//! that its calls carry no signature, that state and block may be overridden before it, and that without `validation`
//! neither nonces nor the base fee are held against a call.

mod block;
mod plan;
mod refusal;
mod transaction;
mod watcher;

use std::time::Instant;

use serde::{Deserialize, Serialize};

use self::{block::Simulator, plan::BlockPlan};
use super::{
    Answer, Api, RpcError,
    block_id::BlockId,
    call::CallRequest,
    overrides::{BlockOverrides, StateOverrides},
    params::{Argument, Object, Params, object},
};

/// Blocks of one simulation, those that fill gaps included (geth: 256).
const BLOCKS_MAX: u64 = 256;

/// What is to be simulated.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Simulation {
    block_state_calls: Vec<Object<BlockCalls>>,
    /// Report transfers of ether as logs of a token.
    trace_transfers: bool,
    /// Hold nonces and base fee against the calls, as a block would.
    validation: bool,
    return_full_transactions: bool,
}

/// One block of a simulation as callers write it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BlockCalls {
    block_overrides: Option<Object<BlockOverrides>>,
    state_overrides: Option<StateOverrides>,
    calls: Option<Vec<Object<CallRequest>>>,
}

#[expect(
    clippy::derivable_impls,
    reason = "serde wants a default for fields that are left out"
)]
impl Default for Simulation {
    fn default() -> Self {
        Self {
            block_state_calls: Vec::new(),
            trace_transfers: false,
            validation: false,
            return_full_transactions: false,
        }
    }
}

impl Argument for Simulation {
    fn read(json: &str) -> Result<Self, String> {
        object(json, "an object with blockStateCalls")
    }
}

/// A simulated block with what its calls gave.
#[derive(Debug, Serialize)]
struct BlockResult {
    #[serde(flatten)]
    block: serde_json::Value,
    calls: Vec<block::CallResult>,
}

impl Api {
    pub(super) fn simulate(&self, params: &Params<'_>) -> Answer {
        let simulation = params.required::<Simulation>(0)?;
        let id = params.optional::<BlockId>(1)?.unwrap_or_default();
        let deadline = Instant::now() + self.limits.call_timeout;
        self.check_simulation(&simulation)?;
        let base = self.state(id)?;
        let header = base.header(self.engine.store())?;
        let plans = BlockPlan::sequence(simulation.block_state_calls, &header.0)?;
        let mut simulator = Simulator {
            engine: &self.engine,
            validation: simulation.validation,
            trace_transfers: simulation.trace_transfers,
            full: simulation.return_full_transactions,
            caller: params.caller(),
            held: 0,
            deadline,
            timeout: self.limits.call_timeout,
            gas_left: self.engine.config().gas_ceiling,
        };
        let results = simulator.run(base, &header, plans)?;
        params.caller().json(&results)
    }

    fn check_simulation(&self, simulation: &Simulation) -> Result<(), RpcError> {
        let blocks = &simulation.block_state_calls;
        if blocks.is_empty() {
            return Err(RpcError::invalid_params("empty input"));
        }
        if blocks.len() as u64 > BLOCKS_MAX {
            return Err(refusal::too_many_blocks());
        }
        let overrides = blocks
            .iter()
            .filter_map(|Object(block)| block.state_overrides.as_ref());
        StateOverrides::check_size_of_all(overrides, self.limits.override_entries_max)
    }
}
