//! `eth_createAccessList`: the accounts and slots that a transaction touches.

use alloy_eips::eip2930::{AccessList, AccessListResult};
use alloy_primitives::U256;
use revm_inspectors::access_list::AccessListInspector;

use super::{
    Answer, Api, RpcError,
    call::{CallRequest, Session},
    json,
    params::Params,
};
use revm::context_interface::result::ExecutionResult;

/// A list that still grows after so many runs depends on its own gas; the last one is as good as any.
const RUNS_MAX: usize = 16;

impl Api {
    pub(super) fn create_access_list(&self, params: &Params<'_>) -> Answer {
        let request = params.required::<CallRequest>(0)?;
        request.check_blob_fee()?;
        let mut session = self.session(params)?;
        let mut transaction = session.transaction(&request, session.gas_max)?;
        if let Some(tip) = transaction.gas_priority_fee
            && request.max_fee_per_gas.is_none()
            && request.max_priority_fee_per_gas.is_some()
        {
            // Here, and not in eth_call, geth fills in what is missing beside a tip.
            let base_fee = u128::from(session.env.block_env.basefee);
            transaction.gas_price = tip.saturating_add(2 * base_fee);
        }
        // The list changes what accesses cost, and cost can change which way the code takes: run until it stays.
        for _ in 0..RUNS_MAX {
            transaction.tx_type = transaction.tx_type.max(1);
            let inspector = AccessListInspector::new(transaction.access_list.clone());
            let (result, inspector) =
                session
                    .inspect(transaction.clone(), inspector)
                    .map_err(|failure| {
                        failure
                            .into_error(|text| format!("failed to apply transaction: err: {text}"))
                    })?;
            let found = inspector.into_access_list();
            if same(&found, &transaction.access_list) {
                return json(&AccessListResult {
                    access_list: found,
                    gas_used: U256::from(result.tx_gas_used()),
                    error: error_text(&result, &session),
                });
            }
            transaction.access_list = found;
        }
        Err(RpcError::server(format!(
            "the access list did not settle within {RUNS_MAX} runs"
        )))
    }
}

fn same(one: &AccessList, other: &AccessList) -> bool {
    let sorted = |list: &AccessList| {
        let mut list = list.clone();
        list.dedup();
        list.sort();
        list
    };
    sorted(one) == sorted(other)
}

fn error_text(result: &ExecutionResult, session: &Session) -> Option<String> {
    match result {
        ExecutionResult::Success { .. } => None,
        ExecutionResult::Revert { .. } => Some("execution reverted".to_owned()),
        ExecutionResult::Halt { reason, .. } => Some(session.halt_text(reason)),
    }
}
